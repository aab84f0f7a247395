#include "corbel/engine/sampler_passes.h"

#include <bit>
#include <limits>

#include "corbel/ops/exp_constants.h"

namespace corbel {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
constexpr float kLowest = -80.0F;  // 2^n stays a normal number; the mass is 0 long before

inline float higher(float a, float b) noexcept { return a < b ? b : a; }

/// exp(x) for kLowest <= x <= 0 as ExpConstants says, each product and sum rounded.
inline float exp_below(float x) noexcept {
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
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) - kRoundBits + 127;
  return p * std::bit_cast<float>(exponent << 23);
}

inline double mass_as_double(float likelihood) noexcept {
  constexpr double kRound = 0x1.8p52;  // adding and subtracting it rounds to an integer
  return (static_cast<double>(likelihood) * static_cast<double>(kHighestMass) + kRound) - kRound;
}

/// Loops of one thing each: that is what compilers make vectors of.
struct Block {
  float below[kLogitBlock];
  double mass[kLogitBlock];

  Block(const float* logits, float highest) noexcept {
    for (int i = 0; i < kLogitBlock; ++i) below[i] = higher(logits[i] - highest, kLowest);
    for (int i = 0; i < kLogitBlock; ++i) mass[i] = mass_as_double(exp_below(below[i]));
  }
};

/// Halves upon halves, in a fixed order.
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

}  // namespace

std::uint64_t mass_of(float below) noexcept {
  return static_cast<std::uint64_t>(mass_as_double(exp_below(higher(below, kLowest))));
}

void block_masses(const float* block, float highest, double* masses) noexcept {
  const Block values(block, highest);
  for (int i = 0; i < kLogitBlock; ++i) masses[i] = values.mass[i];
}

std::uint64_t block_mass(const float* block, float highest) noexcept {
  Block values(block, highest);
  return static_cast<std::uint64_t>(sum<kLogitBlock>(values.mass));
}

double block_mass_below(const float* block, float highest) noexcept {
  Block values(block, highest);
  for (int i = 0; i < kLogitBlock; ++i) values.mass[i] *= static_cast<double>(values.below[i]);
  return sum<kLogitBlock>(values.mass);
}

float block_highest(const float* block) noexcept {
  constexpr int kHalf = kLogitBlock / 2;
  float values[kHalf];
  for (int i = 0; i < kHalf; ++i) values[i] = higher(block[i], block[i + kHalf]);
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

}  // namespace corbel
