#pragma once
#include <cstdint>
#include <span>

namespace corbel {

/// Passes over rows of scores (logits, or what became of them) in blocks of 64, the tokens of a word of a mask. Plain
/// loops that compilers make vectors of, without fused multiply-add or the C library: the same bits on every machine.
/// A block's pointers are to its 64 values.
inline constexpr std::int64_t kLogitBlock = 64;
inline std::int64_t logit_blocks(std::int64_t vocab) noexcept { return (vocab + kLogitBlock - 1) / kLogitBlock; }

/// A token's **mass** says how likely it is beside the likeliest one: round(2^40 * exp(score - highest)), exp in float
/// to 2 units in the last place. Whole numbers add up to the same in any order, so how tokens are grouped moves no
/// drawn token; 2^23 tokens fit 64 bits, a block fits a double. Beyond a distance of 28.5 it is 0: never drawn.
inline constexpr std::uint64_t kHighestMass = std::uint64_t{1} << 40;
inline constexpr float kNoMass = -29.0F;  // score - highest of which the mass is surely 0

/// Masses of a block, 0 for -infinity. Their sum.
std::uint64_t fill_masses(const float* scores, float highest, float* masses) noexcept;
/// Makes 0 the masses of scores below `least`. The sum of the others.
std::uint64_t keep_scores(const float* scores, float least, float* masses) noexcept;
/// Makes 0 the masses below `least`. The sum of the others.
std::uint64_t keep_masses(float least, float* masses) noexcept;
/// Sum of mass * (score - highest), in a fixed order.
double sum_mass_distance(const float* scores, float highest, const float* masses) noexcept;
/// scores = -|score - center| where the mass is not 0, else -infinity. The highest.
float negate_distances(float* scores, float center, const float* masses) noexcept;

/// How many scores are at least `least`.
std::int32_t count_at_least(const float* scores, float least) noexcept;

/// Which of equally wide ranges below `origin` a score is in.
struct ScoreBuckets {
  static constexpr std::int32_t kLast = 2047;        // has all that lies deeper, too
  static constexpr std::int32_t kBelow = kLast + 1;  // scores below `least`
  float origin;
  float per_unit;
  float least;
  std::int32_t of(float score) const noexcept {
    const float depth = (origin - score) * per_unit;
    const auto bucket =
        static_cast<std::int32_t>(depth < static_cast<float>(kLast) ? depth : static_cast<float>(kLast));
    return score < least ? kBelow : bucket;
  }
  void find(const float* scores, std::int32_t* buckets) const noexcept;  // of() each
};

float block_highest(const float* scores) noexcept;
/// to[i] = from[i] / divisor; the highest of them.
float divide_block(const float* from, float divisor, float* to) noexcept;

/// highest[b] of every block of `logits`; the tail counts what is there.
void highest_of_blocks(std::span<const float> logits, std::span<float> highest) noexcept;
/// The largest of `values`; -infinity when there are none.
float highest_of(std::span<const float> values) noexcept;
/// No NaN and no infinity among `values`.
bool all_finite(std::span<const float> values) noexcept;

}  // namespace corbel
