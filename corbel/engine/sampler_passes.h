#pragma once
#include <cstdint>
#include <span>

namespace corbel {

/// Passes over a row of logits in blocks of 64, the tokens of a word of a mask. Plain loops that compilers make vectors
/// of, without fused multiply-add or the C library: the same bits on every machine.
inline constexpr std::int64_t kLogitBlock = 64;

/// How likely a token is beside the likeliest, as an integer: round(2^40 * exp(below)), below = logit - highest <= 0.
/// Sums of integers are the same in any order, so how tokens are grouped moves no drawn token; 2^23 tokens fit 64
/// bits. exp in float (2 units in the last place); below -28.4 it is 0: such a token is never drawn.
std::uint64_t mass_of(float below) noexcept;
inline constexpr std::uint64_t kHighestMass = std::uint64_t{1} << 40;

/// Sums of one block's masses are below 2^53: doubles hold them exactly.
/// Masses of `block` [64] into `masses` [64].
void block_masses(const float* block, float highest, double* masses) noexcept;
std::uint64_t block_mass(const float* block, float highest) noexcept;
/// Sum of mass * (logit - highest) over the block, in a fixed order; -infinity counts nothing.
double block_mass_below(const float* block, float highest) noexcept;

float block_highest(const float* block) noexcept;
/// to[i] = from[i] / divisor [64]; the highest of them.
float divide_block(const float* from, float divisor, float* to) noexcept;

/// highest[b] of every block of `logits`; the tail counts what is there.
void highest_of_blocks(std::span<const float> logits, std::span<float> highest) noexcept;
/// The largest of `values`, which are not empty.
float highest_of(std::span<const float> values) noexcept;

inline std::int64_t logit_blocks(std::int64_t vocab) noexcept { return (vocab + kLogitBlock - 1) / kLogitBlock; }

}  // namespace corbel
