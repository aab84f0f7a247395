#include "corbel/ops/rope.h"

#include <cmath>

#include "corbel/ops/head_rows.h"
#include "corbel/ops/spec_check.h"

namespace corbel {
namespace {

Result<void> check_frequencies(std::string_view field, const std::vector<float>& frequencies, std::int64_t expected) {
  if (static_cast<std::int64_t>(frequencies.size()) != expected) {
    return refuse(RopeTable::kName, cat(field, " has ", frequencies.size(), " values, rotary_dim / 2 is ", expected));
  }
  for (std::size_t i = 0; i < frequencies.size(); ++i)
    CORBEL_TRY(check_finite(RopeTable::kName, cat(field, "[", i, "]"), frequencies[i]));
  return {};
}

Result<void> check_rotary_dim(std::string_view op, std::int64_t rotary_dim) {
  CORBEL_TRY(check_size(op, "rotary_dim", rotary_dim, kMaxHeadDim, 2));
  if (rotary_dim % 2 != 0) return refuse(op, cat("rotary_dim is ", rotary_dim, ", it must be even"));
  return {};
}

Result<void> check_dynamic(const RopeTable::Spec& spec) {
  constexpr std::string_view kOp = RopeTable::kName;
  CORBEL_TRY(check_positive(kOp, "dynamic_factor", spec.dynamic_factor));
  CORBEL_TRY(check_positive(kOp, "dynamic_base", spec.dynamic_base));
  CORBEL_TRY(check_size(kOp, "long_after (with dynamic_factor)", spec.long_after));
  if (!spec.long_inv_freq.empty())
    return refuse(kOp, "dynamic_factor and long_inv_freq are both set, a table has one length-dependent scaling");
  if (spec.rotary_dim < 4)
    return refuse(kOp, cat("rotary_dim is ", spec.rotary_dim, ", dynamic_factor needs at least 4"));
  return {};
}

/// Frequency i of the dynamic scaling for a sequence of `length` tokens, longer than long_after.
float dynamic_inv_freq(const RopeTable::Spec& spec, double length, std::int64_t i) noexcept {
  const auto dim = static_cast<double>(spec.rotary_dim);
  const double stretch =
      spec.dynamic_factor * length / static_cast<double>(spec.long_after) - (spec.dynamic_factor - 1.0);
  const double base = spec.dynamic_base * std::pow(stretch, dim / (dim - 2.0));
  return static_cast<float>(std::pow(base, -2.0 * static_cast<double>(i) / dim));
}

}  // namespace

Result<void> RopeTable::check(const Spec& spec) {
  CORBEL_TRY(check_rotary_dim(kName, spec.rotary_dim));
  CORBEL_TRY(check_frequencies("inv_freq", spec.inv_freq, spec.rotary_dim / 2));
  CORBEL_TRY(check_finite(kName, "factor", spec.factor));
  CORBEL_TRY(check_size(kName, "long_after", spec.long_after, kMaxSize, 0));
  if (!spec.long_inv_freq.empty()) {
    CORBEL_TRY(check_frequencies("long_inv_freq", spec.long_inv_freq, spec.rotary_dim / 2));
    CORBEL_TRY(check_finite(kName, "long_factor", spec.long_factor));
  }
  if (spec.dynamic_factor != 0.0) CORBEL_TRY(check_dynamic(spec));
  return {};
}

void RopeTable::reference(const Spec& spec, const Args& args) noexcept {
  const Rows<const std::int32_t> positions(args.positions);
  const auto* lengths = static_cast<const std::int32_t*>(args.rope_lengths.data);
  const std::int64_t half = spec.rotary_dim / 2;
  auto* out = static_cast<float*>(args.out.data);
  for (std::int64_t r = 0; r < args.positions.rows(); ++r, out += spec.rotary_dim) {
    const bool beyond = lengths[r] > spec.long_after;
    const bool is_long = beyond && !spec.long_inv_freq.empty();
    const bool is_dynamic = beyond && spec.dynamic_factor > 0.0;
    const float factor = is_long ? spec.long_factor : spec.factor;
    const std::vector<float>& frequencies = is_long ? spec.long_inv_freq : spec.inv_freq;
    for (std::int64_t i = 0; i < half; ++i) {
      const float frequency = is_dynamic ? dynamic_inv_freq(spec, lengths[r], i) : frequencies[i];
      const float angle = static_cast<float>(positions[r][0]) * frequency;
      out[i] = static_cast<float>(std::cos(static_cast<double>(angle))) * factor;
      out[half + i] = static_cast<float>(std::sin(static_cast<double>(angle))) * factor;
    }
  }
}

Result<void> RopeApply::check(const Spec& spec) {
  CORBEL_TRY(check_size(kName, "heads", spec.heads));
  CORBEL_TRY(check_size(kName, "head_dim", spec.head_dim, kMaxHeadDim));
  CORBEL_TRY(check_rotary_dim(kName, spec.rotary_dim));
  if (spec.rotary_dim > spec.head_dim)
    return refuse(kName, cat("rotary_dim is ", spec.rotary_dim, ", it exceeds head_dim ", spec.head_dim));
  if (spec.layout != Layout::half && spec.layout != Layout::interleaved)
    return refuse(kName, cat("layout is ", static_cast<int>(spec.layout), ", known: half, interleaved"));
  return {};
}

void RopeApply::reference(const Spec& spec, const Args& args) noexcept {
  const HeadRows<float> x(args.x, spec.head_dim);
  const std::int64_t half = spec.rotary_dim / 2;
  const bool interleaved = spec.layout == Layout::interleaved;
  for (std::int64_t r = 0; r < x.rows(); ++r) {
    const float* cosines = static_cast<const float*>(args.table.data) + r * spec.rotary_dim;
    const float* sines = cosines + half;
    for (std::int64_t h = 0; h < spec.heads; ++h) {
      float* head = x(r, h);
      for (std::int64_t i = 0; i < half; ++i) {
        float& a = head[interleaved ? 2 * i : i];
        float& b = head[interleaved ? 2 * i + 1 : i + half];
        const float first = a;
        const float second = b;
        a = first * cosines[i] - second * sines[i];
        b = second * cosines[i] + first * sines[i];
      }
    }
  }
}

}  // namespace corbel
