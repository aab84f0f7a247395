#include "corbel/blocks/rotary.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "corbel/base/disk_names.h"

namespace corbel {
namespace {

constexpr std::int64_t kMaxPositions = std::int64_t{1} << 31;

std::int64_t trained_context(const RotarySpec& spec) {
  return spec.original_max_positions > 0 ? spec.original_max_positions : spec.max_positions;
}

/// 1 / theta^(2i/d), the frequency of pair i without scaling.
double base_frequency(const RotarySpec& spec, std::int64_t pair) {
  return 1.0 / std::pow(spec.theta, static_cast<double>(2 * pair) / static_cast<double>(spec.rotary_dim));
}

double yarn_frequency(const RotarySpec& spec, std::int64_t pair) {
  const auto dim = static_cast<double>(spec.rotary_dim);
  const auto context = static_cast<double>(trained_context(spec));
  // The pair whose frequency makes `rotations` turns over the trained context.
  const auto pair_of = [&](double rotations) {
    return dim * std::log(context / (rotations * 2.0 * std::numbers::pi)) / (2.0 * std::log(spec.theta));
  };
  double low = pair_of(spec.beta_fast);
  double high = pair_of(spec.beta_slow);
  if (spec.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1.0);
  if (low == high) high += 0.001;  // no division by zero
  const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
  const double kept = base_frequency(spec, pair);
  return kept / spec.factor * ramp + kept * (1.0 - ramp);
}

double by_wavelength_frequency(const RotarySpec& spec, std::int64_t pair) {
  const double kept = base_frequency(spec, pair);
  const double wavelength = 2.0 * std::numbers::pi / kept;
  const auto context = static_cast<double>(trained_context(spec));
  if (wavelength < context / spec.high_freq_factor) return kept;
  if (wavelength > context / spec.low_freq_factor) return kept / spec.factor;
  const double blend = (context / wavelength - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor);
  return (1.0 - blend) * kept / spec.factor + blend * kept;
}

double frequency(const RotarySpec& spec, std::int64_t pair) {
  switch (spec.scaling) {
    case RotaryScaling::none:
    case RotaryScaling::dynamic_ntk: return base_frequency(spec, pair);
    case RotaryScaling::linear: return base_frequency(spec, pair) / spec.factor;
    case RotaryScaling::yarn: return yarn_frequency(spec, pair);
    case RotaryScaling::by_wavelength: return by_wavelength_frequency(spec, pair);
    case RotaryScaling::longrope: return base_frequency(spec, pair) / spec.short_factor[pair];
  }
  return 0.0;
}

double default_attention_factor(const RotarySpec& spec) {
  const auto mscale = [&](double weight) {
    return spec.factor <= 1.0 ? 1.0 : 0.1 * weight * std::log(spec.factor) + 1.0;
  };
  if (spec.scaling == RotaryScaling::yarn) {
    if (spec.mscale != 0.0 && spec.mscale_all_dim != 0.0) return mscale(spec.mscale) / mscale(spec.mscale_all_dim);
    return mscale(1.0);
  }
  if (spec.scaling == RotaryScaling::longrope && spec.factor > 1.0) {
    return std::sqrt(1.0 + std::log(spec.factor) / std::log(static_cast<double>(trained_context(spec))));
  }
  return 1.0;
}

/// Where config.json keeps its scaling: a non-empty "rope_scaling" counts before "rope_parameters", its new name.
std::string scaling_key(const JsonFields& config) {
  for (const std::string_view candidate : {"rope_scaling", "rope_parameters"}) {
    if (config.has(candidate) && !config.json()[std::string(candidate)].empty()) return std::string(candidate);
  }
  return {};
}

Result<RotaryScaling> read_scaling(const JsonFields& scaling) {
  CORBEL_ASSIGN(std::string type, scaling.get_string("type", "default"));
  CORBEL_ASSIGN(type, scaling.get_string("rope_type", type));
  if (type == "default") return RotaryScaling::none;
  if (type == "linear") return RotaryScaling::linear;
  if (type == "dynamic") return RotaryScaling::dynamic_ntk;
  if (type == "yarn") return RotaryScaling::yarn;
  if (type == disk_names::kRopeByWavelength) return RotaryScaling::by_wavelength;
  if (type == "longrope" || type == "su") return RotaryScaling::longrope;
  return fail(Code::unsupported, cat(scaling.source(), ": \"", scaling.field_name("rope_type"), "\" is \"", type,
                                     "\"; known: \"default\", \"linear\", \"dynamic\", \"yarn\", \"",
                                     disk_names::kRopeByWavelength, "\", \"longrope\" (corbel/blocks/rotary.cpp)"));
}

/// The factor, or for yarn (an explicit null) and longrope (null or absent) the ratio of both contexts.
Result<double> read_factor(const JsonFields& scaling, const RotarySpec& spec) {
  if (spec.scaling == RotaryScaling::none) return 1.0;
  const bool is_null = scaling.json().contains("factor") && !scaling.has("factor");
  const bool derives =
      spec.scaling == RotaryScaling::longrope ? !scaling.has("factor") : spec.scaling == RotaryScaling::yarn && is_null;
  if (!derives) return scaling.require_number("factor");
  return static_cast<double>(spec.max_positions) / static_cast<double>(trained_context(spec));
}

/// An optional number for which transformers takes 0 as absent.
Result<double> read_unless_zero(const JsonFields& scaling, std::string_view key, double fallback) {
  CORBEL_ASSIGN(const double value, scaling.get_number(key, fallback));
  return value == 0.0 ? fallback : value;
}

Result<void> read_parameters(const JsonFields& scaling, RotarySpec& spec) {
  CORBEL_ASSIGN(spec.factor, read_factor(scaling, spec));
  const bool scales_attention = spec.scaling == RotaryScaling::yarn || spec.scaling == RotaryScaling::longrope;
  if (scales_attention && scaling.has("attention_factor")) {
    CORBEL_ASSIGN(spec.attention_factor, scaling.require_number("attention_factor"));
    if (!(spec.attention_factor > 0.0)) {
      return fail(Code::bad_file, cat(scaling.source(), ": \"", scaling.field_name("attention_factor"), "\" is ",
                                      spec.attention_factor, "; it must be positive"));
    }
  }
  if (spec.scaling == RotaryScaling::yarn) {
    CORBEL_ASSIGN(spec.beta_fast, read_unless_zero(scaling, "beta_fast", 32.0));
    CORBEL_ASSIGN(spec.beta_slow, read_unless_zero(scaling, "beta_slow", 1.0));
    CORBEL_ASSIGN(spec.mscale, scaling.get_number("mscale", 0.0));
    CORBEL_ASSIGN(spec.mscale_all_dim, scaling.get_number("mscale_all_dim", 0.0));
    CORBEL_ASSIGN(spec.truncate, scaling.get_bool("truncate", true));
  }
  if (spec.scaling == RotaryScaling::by_wavelength) {
    CORBEL_ASSIGN(spec.low_freq_factor, scaling.require_number("low_freq_factor"));
    CORBEL_ASSIGN(spec.high_freq_factor, scaling.require_number("high_freq_factor"));
  }
  if (spec.scaling == RotaryScaling::longrope) {
    CORBEL_ASSIGN(spec.short_factor, scaling.get_numbers("short_factor"));
    CORBEL_ASSIGN(spec.long_factor, scaling.get_numbers("long_factor"));
    // Published lists are applied as 32-bit numbers.
    for (auto* list : {&spec.short_factor, &spec.long_factor})
      for (double& value : *list) value = static_cast<float>(value);
  }
  return {};
}

/// head_dim * partial_rotary_factor, which must come out as a whole, even number: a guess at the rounding that was
/// meant would rotate the wrong dimensions.
Result<std::int64_t> rotating_dimensions(const JsonFields& config, std::int64_t head_dim, double share) {
  const double product = static_cast<double>(head_dim) * share;
  const double whole = std::round(product);
  // 128 * 0.4 is 51.2 and refused; 80 * 0.4 may miss 32 by an ulp of the decimal fraction.
  const bool is_whole = share > 0.0 && share <= 1.0 && std::abs(product - whole) <= 1e-9 * whole;
  if (is_whole && whole >= 2.0 && std::fmod(whole, 2.0) == 0.0) return static_cast<std::int64_t>(whole);
  return fail(Code::bad_file, cat(config.source(), ": ", product, " of head_dim=", head_dim,
                                  " dimensions would rotate (partial_rotary_factor=", share,
                                  "); it must be a whole, even number from 2 to head_dim"));
}

}  // namespace

Result<void> RotarySpec::validate() const {
  if (rotary_dim <= 0 || rotary_dim % 2 != 0) {
    return fail(Code::bad_file, cat("rotary embedding: rotary_dim is ", rotary_dim, "; it must be even and positive"));
  }
  if (!(theta > 1.0))
    return fail(Code::bad_file, cat("rotary embedding: rope_theta is ", theta, "; it must be above 1"));
  if (scaling != RotaryScaling::none && scaling != RotaryScaling::longrope && !(factor >= 1.0)) {
    return fail(Code::bad_file, cat("rotary embedding: rope scaling factor is ", factor, "; it must be at least 1"));
  }
  if (scaling != RotaryScaling::none && scaling != RotaryScaling::linear && trained_context(*this) <= 0) {
    return fail(Code::bad_file,
                "rotary embedding: this scaling needs max_position_embeddings or original_max_position_embeddings");
  }
  if (scaling == RotaryScaling::by_wavelength && !(low_freq_factor > 0.0 && high_freq_factor > low_freq_factor)) {
    return fail(Code::bad_file, cat("rotary embedding: low_freq_factor is ", low_freq_factor, " and high_freq_factor ",
                                    high_freq_factor, "; both must be positive, the second the larger"));
  }
  if (scaling == RotaryScaling::yarn && !(beta_fast > 0.0 && beta_slow > 0.0)) {
    return fail(Code::bad_file, cat("rotary embedding: beta_fast is ", beta_fast, " and beta_slow ", beta_slow,
                                    "; both must be positive"));
  }
  if (scaling == RotaryScaling::dynamic_ntk && rotary_dim <= 2) {
    return fail(Code::bad_file, "rotary embedding: dynamic scaling needs more than 2 rotating dimensions");
  }
  if (scaling == RotaryScaling::longrope) {
    const auto pairs = static_cast<std::size_t>(rotary_dim / 2);
    if (short_factor.size() != pairs || long_factor.size() != pairs) {
      return fail(Code::bad_file, cat("rotary embedding: short_factor has ", short_factor.size(), " and long_factor ",
                                      long_factor.size(), " values; both must have ", pairs));
    }
    const auto positive = [](double value) { return value > 0.0; };
    if (!std::all_of(short_factor.begin(), short_factor.end(), positive) ||
        !std::all_of(long_factor.begin(), long_factor.end(), positive)) {
      return fail(Code::bad_file, "rotary embedding: short_factor and long_factor must be positive");
    }
  }
  return {};
}

RopeTable::Spec make_rope_table_spec(const RotarySpec& spec) {
  RopeTable::Spec table{.rotary_dim = spec.rotary_dim};
  const std::int64_t pairs = spec.rotary_dim / 2;
  for (std::int64_t pair = 0; pair < pairs; ++pair) table.inv_freq.push_back(static_cast<float>(frequency(spec, pair)));
  table.factor =
      static_cast<float>(spec.attention_factor > 0.0 ? spec.attention_factor : default_attention_factor(spec));
  if (spec.scaling == RotaryScaling::longrope) {
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      table.long_inv_freq.push_back(static_cast<float>(base_frequency(spec, pair) / spec.long_factor[pair]));
    }
    table.long_factor = table.factor;
    table.long_after = trained_context(spec);
  }
  if (spec.scaling == RotaryScaling::dynamic_ntk) {
    table.dynamic_factor = spec.factor;
    table.dynamic_base = spec.theta;
    table.long_after = spec.max_positions;
  }
  return table;
}

Result<RotarySpec> read_rotary_spec(const JsonFields& config, std::int64_t head_dim) {
  RotarySpec spec;
  CORBEL_ASSIGN(spec.max_positions, config.get_int("max_position_embeddings", 2048, 1, kMaxPositions));
  CORBEL_ASSIGN(spec.original_max_positions, config.get_int("original_max_position_embeddings", 0, 1, kMaxPositions));
  CORBEL_ASSIGN(spec.theta, config.get_number("rope_theta", 10000.0));
  CORBEL_ASSIGN(double rotating, config.get_number("partial_rotary_factor", 1.0));

  if (const std::string key = scaling_key(config); !key.empty()) {
    CORBEL_ASSIGN(const JsonFields scaling, config.object(key));
    CORBEL_ASSIGN(spec.scaling, read_scaling(scaling));
    CORBEL_ASSIGN(spec.theta, scaling.get_number("rope_theta", spec.theta));
    CORBEL_ASSIGN(rotating, scaling.get_number("partial_rotary_factor", rotating));
    if (spec.original_max_positions == 0) {  // the top level's counts before the dictionary's
      CORBEL_ASSIGN(spec.original_max_positions,
                    scaling.get_int("original_max_position_embeddings", 0, 1, kMaxPositions));
    }
    CORBEL_TRY(read_parameters(scaling, spec));
  }
  CORBEL_ASSIGN(spec.rotary_dim, rotating_dimensions(config, head_dim, rotating));
  if (auto valid = spec.validate(); !valid) return forward_failure(valid, config.source());
  return spec;
}

}  // namespace corbel
