#include "corbel/ops/normalization.h"

#include <cmath>

#include "corbel/ops/exact_lanes.h"
#include "corbel/ops/spec_check.h"

namespace corbel {
namespace {

/// Sum of x in 16 lanes (lane l takes 16i + l) and the tree; the tail is padded with zeros.
float sum_f32(const float* x, std::int64_t count) noexcept {
  float lanes[kLanes] = {};
  for (std::int64_t i = 0; i < count; i += kLanes)
    for (int l = 0; l < kLanes; ++l) lanes[l] += i + l < count ? x[i + l] : 0.0F;
  return add_lanes(lanes);
}

/// Sum of (x - mean)^2 in 16 lanes of fused multiply-add; the padded tail counts as difference 0.
float squared_differences(const float* x, float mean, std::int64_t count) noexcept {
  float lanes[kLanes] = {};
  for (std::int64_t i = 0; i < count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const float difference = i + l < count ? x[i + l] - mean : 0.0F;
      lanes[l] = std::fma(difference, difference, lanes[l]);
    }
  }
  return add_lanes(lanes);
}

}  // namespace

Result<void> RmsNorm::check(const Spec& spec) {
  CORBEL_TRY(check_size(kName, "hidden", spec.hidden));
  return check_positive(kName, "eps", spec.eps);
}

void RmsNorm::reference(const Spec& spec, const Args& args) noexcept {
  const Rows<const float> x(args.x);
  const Rows<float> out(args.out);
  const auto* gamma = static_cast<const float*>(args.gamma.data);
  for (std::int64_t row = 0; row < args.x.rows(); ++row) {
    run_exact([&, row] {
      const float mean = dot_f32(x[row], x[row], spec.hidden) / static_cast<float>(spec.hidden);
      const float r = 1.0F / std::sqrt(mean + spec.eps);
      for (std::int64_t i = 0; i < spec.hidden; ++i) {
        const float g = spec.gamma_plus_one ? 1.0F + gamma[i] : gamma[i];
        out[row][i] = (x[row][i] * r) * g;
      }
    });
  }
}

Result<void> LayerNorm::check(const Spec& spec) {
  CORBEL_TRY(check_size(kName, "hidden", spec.hidden));
  return check_positive(kName, "eps", spec.eps);
}

void LayerNorm::reference(const Spec& spec, const Args& args) noexcept {
  const Rows<const float> x(args.x);
  const Rows<float> out(args.out);
  const auto* gamma = static_cast<const float*>(args.gamma.data);
  const auto* beta = static_cast<const float*>(args.beta.data);
  const auto count = static_cast<float>(spec.hidden);
  for (std::int64_t row = 0; row < args.x.rows(); ++row) {
    run_exact([&, row] {
      const float mean = sum_f32(x[row], spec.hidden) / count;
      const float variance = squared_differences(x[row], mean, spec.hidden) / count;
      const float r = 1.0F / std::sqrt(variance + spec.eps);
      for (std::int64_t i = 0; i < spec.hidden; ++i) {
        const float scaled = ((x[row][i] - mean) * r) * gamma[i];
        out[row][i] = beta != nullptr ? scaled + beta[i] : scaled;
      }
    });
  }
}

}  // namespace corbel
