#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "corbel/ops/exp_constants.h"

/// The scalar functions that ops are defined by. A vector kernel does the same operations in the same order, so that
/// its bits are these. gelu_f32 alone calls the C library (erf in double, rounded to float afterwards), whose last bit
/// another machine's library may round otherwise.
namespace corbel {

inline constexpr int kLanes = 16;

/// exp(x): 2^n * p(r) with n = round(x / ln 2), r = x - n * ln 2 in two steps, p of degree 6 (ExpConstants).
/// Below -87.3 (where the result would soon be subnormal) the answer is 0; above 88.7 it is infinity; NaN stays NaN.
/// Error against double: at most 1 unit in the last place over [-87, 88] (measured by arithmetic_test: 0.94).
inline float exp_f32(float x) noexcept {
  using C = ExpConstants;
  if (x < C::kLow) return 0.0F;
  if (x > C::kHigh) return HUGE_VALF;
  if (x != x) return x;
  const float n = std::nearbyint(x * C::kLog2E);  // ties to even, as vrndscaleps does
  const float r = std::fma(n, -C::kLn2Low, std::fma(n, -C::kLn2High, x));
  float p = std::fma(C::kC6, r, C::kC5);
  p = std::fma(p, r, C::kC4);
  p = std::fma(p, r, C::kC3);
  p = std::fma(p, r, C::kC2);
  p = std::fma(p, r, 1.0F);
  p = std::fma(p, r, 1.0F);
  // n is at most 128; 2^n in two factors, so that n = 128 does not overflow before p < 1 brings it back.
  const auto whole = static_cast<std::int32_t>(n);
  const float half_scale = std::bit_cast<float>((127 + whole / 2) << 23);
  const float rest_scale = std::bit_cast<float>((127 + whole - whole / 2) << 23);
  return p * half_scale * rest_scale;
}

/// x / (1 + exp(-x)).
inline float silu_f32(float x) noexcept { return x / (1.0F + exp_f32(-x)); }

/// tanh(x) = 1 - 2 / (exp(2x) + 1); +-1 beyond |x| = 9.
inline float tanh_f32(float x) noexcept {
  if (x > 9.0F) return 1.0F;
  if (x < -9.0F) return -1.0F;
  return 1.0F - 2.0F / (exp_f32(2.0F * x) + 1.0F);
}

/// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). Source: arXiv 1606.08415.
inline float gelu_tanh_f32(float x) noexcept {
  const float cube = x * x * x;
  return 0.5F * x * (1.0F + tanh_f32(0.7978845608F * std::fma(0.044715F, cube, x)));
}

/// 0.5 x (1 + erf(x / sqrt 2)), erf in double and rounded: rare enough on hot paths to stay scalar.
inline float gelu_f32(float x) noexcept {
  return 0.5F * x * (1.0F + static_cast<float>(std::erf(static_cast<double>(x) * 0.70710678118654752440)));
}

inline float relu_f32(float x) noexcept { return x > 0.0F ? x : (x != x ? x : 0.0F); }

/// Adds 16 lanes 8+8, 4+4, 2+2, 1+1.
inline float add_lanes(float (&lanes)[kLanes]) noexcept {
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

/// Subnormals as zero of the same sign, as vdpbf16ps takes its inputs.
inline float flush_subnormal(float x) noexcept { return std::fabs(x) < 0x1p-126F ? std::copysign(0.0F, x) : x; }

/// One step of the bf16 dot product: x * y + sum, rounded once, zero of the same sign when the result is subnormal. x
/// and y are bf16 values, flushed. "Subnormal" is judged as x86 does, after rounding to 24 bits without a lower limit
/// of the exponent: a sum that float's subnormals would round up to 2^-126 is still flushed when it lies below
/// 2^-126 (1 - 2^-25). Setting FTZ and DAZ in MXCSR gives the same from plain vfmadd.
inline float fma_flushed(float x, float y, float sum) noexcept {
  constexpr double kRoundsToNormal = 0x1p-126 * (1.0 - 0x1p-25);
  const float rounded = std::fma(x, y, sum);
  if (std::fabs(rounded) != 0x1p-126F) return flush_subnormal(rounded);
  // Exact: the product has 16 bits, and near 2^-126 the sum is a multiple of 2^-166.
  const double exact = static_cast<double>(x) * static_cast<double>(y) + static_cast<double>(sum);
  return std::fabs(exact) < kRoundsToNormal ? std::copysign(0.0F, rounded) : rounded;
}

}  // namespace corbel
