#include "corbel/blocks/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "corbel/format/disk_names.h"

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
  if (scaling == RotaryScaling::by_wavelength && !(high_freq_factor > low_freq_factor)) {
    return fail(Code::bad_file, cat("rotary embedding: high_freq_factor is ", high_freq_factor,
                                    "; it must exceed low_freq_factor, ", low_freq_factor));
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
  CORBEL_ASSIGN(spec.original_max_positions,
                config.get_int("original_max_position_embeddings", 0, 0, kMaxPositions));
  CORBEL_ASSIGN(spec.theta, config.get_number("rope_theta", 10000.0));
  CORBEL_ASSIGN(double rotating, config.get_number("partial_rotary_factor", 1.0));

  std::string type = "default";
  std::string key;
  for (const std::string_view candidate : {"rope_scaling", "rope_parameters"}) {
    if (key.empty() && config.has(candidate)) key = candidate;
  }
  if (!key.empty()) {
    CORBEL_ASSIGN(const JsonFields scaling, config.object(key));
    CORBEL_ASSIGN(type, scaling.get_string("type", type));
    CORBEL_ASSIGN(type, scaling.get_string("rope_type", type));
    CORBEL_ASSIGN(spec.theta, scaling.get_number("rope_theta", spec.theta));
    CORBEL_ASSIGN(rotating, scaling.get_number("partial_rotary_factor", rotating));
    if (spec.original_max_positions == 0) {  // the top level's counts before the dictionary's
      CORBEL_ASSIGN(spec.original_max_positions,
                    scaling.get_int("original_max_position_embeddings", 0, 0, kMaxPositions));
    }
    CORBEL_ASSIGN(spec.factor, scaling.get_number("factor", 0.0));
    CORBEL_ASSIGN(spec.attention_factor, scaling.get_number("attention_factor", 0.0));
    CORBEL_ASSIGN(spec.beta_fast, scaling.get_number("beta_fast", 32.0));
    CORBEL_ASSIGN(spec.beta_slow, scaling.get_number("beta_slow", 1.0));
    CORBEL_ASSIGN(spec.mscale, scaling.get_number("mscale", 0.0));
    CORBEL_ASSIGN(spec.mscale_all_dim, scaling.get_number("mscale_all_dim", 0.0));
    CORBEL_ASSIGN(spec.truncate, scaling.get_bool("truncate", true));
    CORBEL_ASSIGN(spec.low_freq_factor, scaling.get_number("low_freq_factor", 1.0));
    CORBEL_ASSIGN(spec.high_freq_factor, scaling.get_number("high_freq_factor", 4.0));
    CORBEL_ASSIGN(spec.short_factor, scaling.get_numbers("short_factor"));
    CORBEL_ASSIGN(spec.long_factor, scaling.get_numbers("long_factor"));
  }
  spec.rotary_dim = static_cast<std::int64_t>(static_cast<double>(head_dim) * rotating);

  if (type == "default")
    spec.scaling = RotaryScaling::none;
  else if (type == "linear")
    spec.scaling = RotaryScaling::linear;
  else if (type == "dynamic")
    spec.scaling = RotaryScaling::dynamic_ntk;
  else if (type == "yarn")
    spec.scaling = RotaryScaling::yarn;
  else if (type == disk_names::kRopeByWavelength)
    spec.scaling = RotaryScaling::by_wavelength;
  else if (type == "longrope" || type == "su")
    spec.scaling = RotaryScaling::longrope;
  else {
    return fail(Code::unsupported, cat(config.source(), ": \"", key, ".rope_type\" is \"", type,
                                       "\"; known: \"default\", \"linear\", \"dynamic\", \"yarn\", \"",
                                       disk_names::kRopeByWavelength, "\", \"longrope\" (corbel/blocks/rotary.cpp)"));
  }
  // Two scalings may leave the factor to be the ratio of both contexts.
  const bool may_derive = spec.scaling == RotaryScaling::longrope || spec.scaling == RotaryScaling::yarn;
  if (spec.factor == 0.0 && may_derive && spec.original_max_positions > 0) {
    spec.factor = static_cast<double>(spec.max_positions) / static_cast<double>(spec.original_max_positions);
  }
  if (spec.factor == 0.0 && spec.scaling == RotaryScaling::longrope) spec.factor = 1.0;
  if (auto valid = spec.validate(); !valid) return forward_failure(valid, config.source());
  return spec;
}

}  // namespace corbel
