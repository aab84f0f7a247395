#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "corbel/ops/arithmetic.h"

/// The dot products of the contracts, as plain loops, and a way to run references at a bearable speed: fused
/// multiply-add is exact by definition, so a machine's instruction gives the bits of std::fma.
namespace corbel {

#if defined(__x86_64__) && defined(__GNUC__)
/// Compiles `body`, and everything it calls that the compiler can see, for machines with fused multiply-add.
template <typename Body>
__attribute__((target("avx2,fma"), flatten)) void run_with_fma(const Body& body) noexcept {
  body();
}
template <typename Body>
void run_exact(const Body& body) noexcept {
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    run_with_fma(body);
  else
    body();
}
#else
template <typename Body>
void run_exact(const Body& body) noexcept {
  body();
}
#endif

/// Sum of x[i] * y[i]: lane l sums the products 16i + l by fused multiply-add, i ascending; then add_lanes. The tail
/// is padded with zeros (which turns a lane of -0 into +0, so it is not left out).
inline float dot_f32(const float* x, const float* y, std::int64_t count) noexcept {
  float lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int l = 0; l < kLanes; ++l) lanes[l] = std::fma(x[i + l], y[i + l], lanes[l]);
  if (i < count) {
    for (int l = 0; l < kLanes; ++l) {
      const bool inside = i + l < count;
      lanes[l] = std::fma(inside ? x[i + l] : 0.0F, inside ? y[i + l] : 0.0F, lanes[l]);
    }
  }
  return add_lanes(lanes);
}

/// A row of bf16 values as the bf16 dot product takes it: for each 16 pairs, first the 16 odd elements, then the 16
/// even ones; subnormals flushed; padded with zeros to a multiple of 32. `paired` holds padded_pairs(count) values.
inline std::int64_t padded_pairs(std::int64_t count) noexcept { return (count + 31) / 32 * 32; }

inline void pair_up(const float* values, std::int64_t count, float* paired) noexcept {
  for (std::int64_t i = 0; i < padded_pairs(count); i += 2 * kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const std::int64_t even = i + 2 * l;
      paired[i + l] = even + 1 < count ? flush_subnormal(values[even + 1]) : 0.0F;
      paired[i + kLanes + l] = even < count ? flush_subnormal(values[even]) : 0.0F;
    }
  }
}

/// lanes[l] = fma_flushed(x(i, l), y(i, l), lanes[l]) from zero, for i = 0 .. steps - 1. In integers and without
/// branches, so that compilers make vectors of it. Where a lane met the border at which fma_flushed's branch decides,
/// which is rare, all is done again in its own words.
template <typename X, typename Y>
inline void chain_flushed(std::int64_t steps, const X& x, const Y& y, float (&lanes)[kLanes]) noexcept {
  constexpr std::int32_t kSmallestNormal = 0x00800000;
  std::int32_t at_border[kLanes] = {};
  for (float& lane : lanes) lane = 0.0F;
  for (std::int64_t i = 0; i < steps; ++i) {
    for (int l = 0; l < kLanes; ++l) {
      const auto bits = std::bit_cast<std::int32_t>(std::fma(x(i, l), y(i, l), lanes[l]));
      const std::int32_t magnitude = bits & 0x7fffffff;
      const std::int32_t subnormal = (magnitude - kSmallestNormal) >> 31;  // all ones or none
      at_border[l] |= (magnitude ^ kSmallestNormal) - 1;                   // negative when equal
      lanes[l] = std::bit_cast<float>(bits & ~(subnormal & 0x7fffffff));   // the sign stays
    }
  }
  std::int32_t any = 0;
  for (const std::int32_t border : at_border) any |= border;
  if (any >= 0) [[likely]]
    return;
  for (float& lane : lanes) lane = 0.0F;
  for (std::int64_t i = 0; i < steps; ++i)
    for (int l = 0; l < kLanes; ++l) lanes[l] = fma_flushed(x(i, l), y(i, l), lanes[l]);
}

/// Sum over rows made by pair_up, `padded` values each: sum = fma(even, even', fma(odd, odd', sum)) in 16 lanes, every
/// step flushed (fma_flushed); then add_lanes.
inline float dot_bf16(const float* x, const float* y, std::int64_t padded) noexcept {
  float lanes[kLanes];
  chain_flushed(
      padded / kLanes, [x](std::int64_t i, int l) { return x[i * kLanes + l]; },
      [y](std::int64_t i, int l) { return y[i * kLanes + l]; }, lanes);
  return add_lanes(lanes);
}

/// bf16 numbers with a scale for each kScaledGroup columns (linear.h). x and w are flushed bf16 values, whole groups.
inline constexpr std::int64_t kScaledGroup = 128;

inline float dot_bf16_scaled(const float* x, const float* w, const float* scales, std::int64_t groups) noexcept {
  float y = 0.0F;
  for (std::int64_t g = 0; g < groups; ++g) {
    float t = 0.0F;
    for (std::int64_t i = g * kScaledGroup; i < (g + 1) * kScaledGroup; i += 2)
      t = fma_flushed(x[i], w[i], fma_flushed(x[i + 1], w[i + 1], t));
    y = std::fma(t, scales[g], y);
  }
  return y;
}

}  // namespace corbel
