#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"
#include "corbel/format/gguf_config.h"

// Rotary scalings of GGUF files in the words of config.json (corbel/blocks/rotary.h says what they mean).

namespace corbel {
namespace {

constexpr std::string_view kOriginalLength = "original_max_position_embeddings";

/// Scaling by wavelength: what a pair's frequency is divided by.
/// Source: HF modeling_rope_utils.py, _compute_llama3_parameters, solved for the divisor.
struct ByWavelength {
  double factor;
  double low = 1.0;
  double high = 4.0;
  double original;

  double divisor(double theta, std::int64_t pair, std::int64_t pairs) const {
    const double frequency = std::pow(theta, -static_cast<double>(pair) / static_cast<double>(pairs));
    const double wavelength = 2.0 * std::numbers::pi / frequency;
    if (wavelength < original / high) return 1.0;
    if (wavelength > original / low) return factor;
    const double blend = (original / wavelength - low) / (high - low);
    return 1.0 / ((1.0 - blend) / factor + blend);
  }
};

/// The parameters that give these divisors, where they are of the kind that published models use: low 1, high 4, and
/// an original length that the file names or that is a power of two.
std::optional<ByWavelength> explain(const std::vector<float>& divisors, const GgufSizes& sizes, std::int64_t named) {
  constexpr double kTolerance = 1e-5;  // files hold f32, computed in f32
  const auto pairs = static_cast<std::int64_t>(divisors.size());
  std::vector<std::int64_t> lengths{named, sizes.context};
  for (std::int64_t length = 1 << 13; length <= 1 << 20; length *= 2) lengths.push_back(length);
  for (std::int64_t length = 1 << 12; length >= 1 << 4; length /= 2) lengths.push_back(length);
  for (const std::int64_t length : lengths) {
    if (length <= 0) continue;
    const ByWavelength candidate{.factor = *std::max_element(divisors.begin(), divisors.end()),
                                 .original = static_cast<double>(length)};
    const auto fits = [&](std::int64_t pair) {
      const double divisor = divisors[static_cast<std::size_t>(pair)];
      return std::abs(candidate.divisor(sizes.rope_theta, pair, pairs) - divisor) <= kTolerance * divisor;
    };
    std::int64_t pair = 0;
    while (pair < pairs && fits(pair)) ++pair;
    if (pair == pairs) return candidate;
  }
  return std::nullopt;
}

Result<void> check_divisors(const GgufKeys& keys, const GgufSizes& sizes, const std::vector<float>& divisors,
                            std::string_view tensor) {
  const bool positive =
      std::all_of(divisors.begin(), divisors.end(), [](float v) { return v > 0.0F && std::isfinite(v); });
  CORBEL_ASSIGN(const std::int64_t rotating, keys.get_size("rope.dimension_count", sizes.head_dim));
  if (positive && static_cast<std::int64_t>(divisors.size()) == rotating / 2) return {};
  return fail(Code::bad_file, cat(keys.header().source(), ": tensor \"", tensor, "\" has ", divisors.size(),
                                  " numbers, expected ", rotating / 2, ", all positive"));
}

Result<Json> divided(const GgufKeys& keys, const GgufSizes& sizes, const std::vector<float>& divisors) {
  CORBEL_TRY(check_divisors(keys, sizes, divisors, "rope_freqs.weight"));
  if (std::all_of(divisors.begin(), divisors.end(), [](float v) { return v == 1.0F; })) return Json();
  CORBEL_ASSIGN(const std::int64_t named, keys.get_size("rope.scaling.original_context_length", 0));
  if (const auto found = explain(divisors, sizes, named); found && found->factor > 1.0) {
    return Json{{"rope_type", disk_names::kRopeByWavelength},
                {"factor", found->factor},
                {"low_freq_factor", found->low},
                {"high_freq_factor", found->high},
                {kOriginalLength, static_cast<std::int64_t>(found->original)}};
  }
  // Divisors of any origin: the same list for short and long sequences, and nothing else of that scaling.
  return Json{{"rope_type", "longrope"},
              {"short_factor", divisors},
              {"long_factor", divisors},
              {"attention_factor", 1.0},
              {kOriginalLength, sizes.context}};
}

Result<Json> by_length(const GgufKeys& keys, const GgufSizes& sizes, const GgufRopeFactors& factors) {
  CORBEL_TRY(check_divisors(keys, sizes, factors.shorter, "rope_factors_short.weight"));
  CORBEL_TRY(check_divisors(keys, sizes, factors.longer, "rope_factors_long.weight"));
  CORBEL_ASSIGN(const std::int64_t original, keys.get_size("rope.scaling.original_context_length", sizes.context));
  Json scaling = {{"rope_type", "longrope"},
                  {"short_factor", factors.shorter},
                  {"long_factor", factors.longer},
                  {kOriginalLength, original}};
  if (keys.has("rope.scaling.attn_factor")) {
    CORBEL_ASSIGN(scaling["attention_factor"], keys.get_number("rope.scaling.attn_factor", 1.0));
  }
  return scaling;
}

Result<Json> yarn(const GgufKeys& keys, double factor) {
  Json scaling = {{"rope_type", "yarn"}, {"factor", factor}};
  if (keys.has("rope.scaling.original_context_length")) {
    CORBEL_ASSIGN(scaling[std::string(kOriginalLength)], keys.get_size("rope.scaling.original_context_length", 0));
  }
  // Both multiply cosine and sine: one replaces the usual 0.1 ln(factor) + 1, the other comes on top.
  if (keys.has("rope.scaling.yarn_attn_factor") || keys.has("rope.scaling.attn_factor")) {
    CORBEL_ASSIGN(const double own, keys.get_number("rope.scaling.yarn_attn_factor", 0.1 * std::log(factor) + 1.0));
    CORBEL_ASSIGN(const double more, keys.get_number("rope.scaling.attn_factor", 1.0));
    scaling["attention_factor"] = own * more;
  }
  for (const std::string_view name : {"beta_fast", "beta_slow"}) {
    const std::string key = cat("rope.scaling.yarn_", name);
    if (!keys.has(key)) continue;
    CORBEL_ASSIGN(scaling[std::string(name)], keys.get_number(key, 0.0));
  }
  return scaling;
}

}  // namespace

Result<Json> make_rope_scaling(const GgufKeys& keys, const GgufSizes& sizes, const GgufRopeFactors& factors) {
  CORBEL_ASSIGN(std::string type, keys.get_string("rope.scaling.type", "none"));
  CORBEL_ASSIGN(const double old_factor, keys.get_number("rope.scale_linear", 1.0));  // before there was a type
  CORBEL_ASSIGN(const double factor, keys.get_number("rope.scaling.factor", old_factor));
  if (type == "none" && !keys.has("rope.scaling.type") && factor != 1.0) type = "linear";
  if (!factors.longer.empty() || !factors.shorter.empty() || type == "longrope") return by_length(keys, sizes, factors);
  if (!factors.all.empty() && type != "none") {
    return fail(Code::unsupported, cat(keys.header().source(), ": \"", keys.key("rope.scaling.type"), "\" is ",
                                       quote(type), ", and there are divisors (rope_freqs.weight), too"));
  }
  if (!factors.all.empty()) return divided(keys, sizes, factors.all);
  if (type == "none" || (type == "linear" && factor == 1.0)) return Json();
  if (type == "linear") return Json{{"rope_type", "linear"}, {"factor", factor}};
  if (type == "yarn") return yarn(keys, factor);
  return fail(Code::unsupported, cat(keys.header().source(), ": \"", keys.key("rope.scaling.type"), "\" is ",
                                     quote(type), "; known: \"none\", \"linear\", \"yarn\", \"longrope\""));
}

}  // namespace corbel
