#pragma once
#include <array>
#include <cstdint>

namespace corbel {

/// Philox4x32-10: 128 random bits as a pure function of a 128-bit counter and a 64-bit key, so that a number depends
/// only on what it is for and never on how many were drawn before.
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; known answers of Random123.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) noexcept;

enum class DrawPurpose : std::uint32_t { token = 0, leave_out_likeliest = 1 };

/// What a random number of a generation is for.
struct SampleKey {
  std::uint64_t seed = 0;
  std::uint32_t choice = 0;    // of several answers to one prompt
  std::uint64_t position = 0;  // of the sampled token, counted from the first token of the prompt
  DrawPurpose purpose = DrawPurpose::token;
};

/// 64 random bits: the same for the same key, always.
std::uint64_t random_word(const SampleKey& key) noexcept;
/// Uniform in [0, 1), multiples of 2^-53: the upper bits of random_word.
double uniform(const SampleKey& key) noexcept;
/// floor(word / 2^64 * count): uniform below `count`.
std::uint64_t uniform_below(std::uint64_t word, std::uint64_t count) noexcept;

}  // namespace corbel
