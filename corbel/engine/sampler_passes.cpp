#include "corbel/engine/sampler_passes.h"

#include <bit>
#include <cmath>
#include <limits>

#include "corbel/ops/exp_constants.h"

namespace corbel {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

inline float higher(float a, float b) noexcept { return a < b ? b : a; }

/// 2^40 exp(x) for -80 <= x <= 0 as ExpConstants says, each product and sum rounded.
inline float scaled_exp(float x) noexcept {
  using C = ExpConstants;
  constexpr float kRound = 0x1.8p23F;  // adding it rounds to an integer, which then stands in the low bits
  constexpr std::int32_t kRoundBits = std::bit_cast<std::int32_t>(kRound);
  const float shifted = x * C::kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * C::kLn2High) - n * C::kLn2Low;
  float p = C::kC6 * r + C::kC5;
  p = p * r + C::kC4;
  p = p * r + C::kC3;
  p = p * r + C::kC2;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) - kRoundBits + (127 + 40);
  return p * std::bit_cast<float>(exponent << 23);
}

/// Halves upon halves: loops without a chain, which compilers make vectors of.
template <int kCount>
inline double sum(double* values) noexcept {
  if constexpr (kCount == 1) return values[0];
  constexpr int kHalf = kCount / 2;
  for (int i = 0; i < kHalf; ++i) values[i] += values[i + kHalf];
  return sum<kHalf>(values);
}

template <int kCount>
inline float highest_value(float* values) noexcept {
  if constexpr (kCount == 1) return values[0];
  constexpr int kHalf = kCount / 2;
  for (int i = 0; i < kHalf; ++i) values[i] = higher(values[i], values[i + kHalf]);
  return highest_value<kHalf>(values);
}

/// Exact: whole numbers below 2^46.
inline std::uint64_t sum_masses(const float* masses) noexcept {
  constexpr int kHalf = kLogitBlock / 2;
  double sums[kHalf];
  for (int i = 0; i < kHalf; ++i) sums[i] = static_cast<double>(masses[i]) + static_cast<double>(masses[i + kHalf]);
  return static_cast<std::uint64_t>(sum<kHalf>(sums));
}

}  // namespace

// Loops of one thing each: with two of them GCC 12 makes branches instead of vectors.

std::uint64_t fill_masses(const float* scores, float highest, float* masses) noexcept {
  constexpr float kLowest = -80.0F;  // 2^n stays a normal number
  constexpr float kWhole = 0x1p23F;  // from here on floats are whole; adding it rounds those below
  float distances[kLogitBlock];
  for (int i = 0; i < kLogitBlock; ++i) distances[i] = higher(scores[i] - highest, kLowest);
  float exact[kLogitBlock];
  for (int i = 0; i < kLogitBlock; ++i) exact[i] = scaled_exp(distances[i]);
  for (int i = 0; i < kLogitBlock; ++i) masses[i] = (exact[i] + kWhole) - kWhole;
  for (int i = 0; i < kLogitBlock; ++i) masses[i] = exact[i] < kWhole ? masses[i] : exact[i];
  return sum_masses(masses);
}

std::uint64_t keep_scores(const float* scores, float least, float* masses) noexcept {
  for (int i = 0; i < kLogitBlock; ++i) masses[i] = scores[i] < least ? 0.0F : masses[i];
  return sum_masses(masses);
}

std::uint64_t keep_masses(float least, float* masses) noexcept {
  for (int i = 0; i < kLogitBlock; ++i) masses[i] = masses[i] < least ? 0.0F : masses[i];
  return sum_masses(masses);
}

double sum_mass_distance(const float* scores, float highest, const float* masses) noexcept {
  float distances[kLogitBlock];
  for (int i = 0; i < kLogitBlock; ++i) distances[i] = higher(scores[i] - highest, kNoMass);
  double products[kLogitBlock];
  for (int i = 0; i < kLogitBlock; ++i)
    products[i] = static_cast<double>(masses[i]) * static_cast<double>(distances[i]);
  return sum<kLogitBlock>(products);
}

float negate_distances(float* scores, float center, const float* masses) noexcept {
  float distances[kLogitBlock];
  for (int i = 0; i < kLogitBlock; ++i) distances[i] = -std::fabs(scores[i] - center);
  for (int i = 0; i < kLogitBlock; ++i) scores[i] = masses[i] == 0.0F ? kNone : distances[i];
  return block_highest(scores);
}

std::int32_t count_at_least(const float* scores, float least) noexcept {
  std::int32_t count = 0;
  for (int i = 0; i < kLogitBlock; ++i) count += static_cast<std::int32_t>(scores[i] >= least);
  return count;
}

void ScoreBuckets::find(const float* scores, std::int32_t* buckets) const noexcept {
  const ScoreBuckets self = *this;
  for (int i = 0; i < kLogitBlock; ++i) buckets[i] = self.of(scores[i]);
}

float block_highest(const float* scores) noexcept {
  constexpr int kHalf = kLogitBlock / 2;
  float values[kHalf];
  for (int i = 0; i < kHalf; ++i) values[i] = higher(scores[i], scores[i + kHalf]);
  return highest_value<kHalf>(values);
}

float divide_block(const float* from, float divisor, float* to) noexcept {
  for (int i = 0; i < kLogitBlock; ++i) to[i] = from[i] / divisor;
  return block_highest(to);
}

void highest_of_blocks(std::span<const float> logits, std::span<float> highest) noexcept {
  const std::size_t whole = logits.size() / kLogitBlock;
  for (std::size_t b = 0; b < whole; ++b) highest[b] = block_highest(logits.data() + b * kLogitBlock);
  const std::size_t rest = logits.size() - whole * kLogitBlock;
  if (rest > 0) highest[whole] = highest_of(logits.last(rest));
}

float highest_of(std::span<const float> values) noexcept {
  float highest = kNone;
  for (const float value : values) highest = higher(highest, value);
  return highest;
}

bool all_finite(std::span<const float> values) noexcept {
  // Integers, which a compiler does many at a time: an exponent of ones, as NaN and infinity have, carries into bit 31.
  std::uint32_t carries = 0;
  for (const float value : values) carries |= (std::bit_cast<std::uint32_t>(value) & 0x7f800000U) + 0x00800000U;
  return carries >> 31 == 0;
}

}  // namespace corbel
