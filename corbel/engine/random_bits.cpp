#include "corbel/engine/random_bits.h"

namespace corbel {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) noexcept {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;  // golden ratio
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) - 1
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

std::uint64_t random_word(const SampleKey& key) noexcept {
  const auto bits = philox({static_cast<std::uint32_t>(key.position), static_cast<std::uint32_t>(key.position >> 32),
                            key.choice, static_cast<std::uint32_t>(key.purpose)},
                           {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)});
  return (std::uint64_t{bits[0]} << 32) | bits[1];
}

double uniform(const SampleKey& key) noexcept { return static_cast<double>(random_word(key) >> 11) * 0x1p-53; }

std::uint64_t uniform_below(std::uint64_t word, std::uint64_t count) noexcept {
  // The upper half of the 128-bit product, by halves of 32 bits.
  const std::uint64_t word_low = word & 0xffffffffU;
  const std::uint64_t word_high = word >> 32;
  const std::uint64_t count_low = count & 0xffffffffU;
  const std::uint64_t count_high = count >> 32;
  const std::uint64_t middle = word_high * count_low + (word_low * count_low >> 32);
  const std::uint64_t other = word_low * count_high + (middle & 0xffffffffU);
  return word_high * count_high + (middle >> 32) + (other >> 32);
}

}  // namespace corbel
