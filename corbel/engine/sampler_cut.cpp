#include "corbel/engine/sampler_cut.h"

#include <algorithm>
#include <bit>

namespace corbel {

std::uint32_t highest_first(float score) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0F);
  return (bits >> 31) != 0 ? bits : ~bits & 0x7fffffffU;
}

const RankedToken& SamplerCut::find(std::span<const RankedToken> tokens, std::uint64_t limit) {
  std::uint32_t key = 0;     // of the last token needed, as far as its digits are known
  std::uint64_t before = 0;  // weight of the tokens with lower keys
  int unknown = 32;          // low bits of the key
  while (unknown > 0) {
    const int shift = std::max(0, unknown - kDigitBits);
    const std::uint32_t digits = (1U << (unknown - shift)) - 1;
    std::fill(sums_.begin(), sums_.begin() + digits + 1, 0);
    std::uint32_t last = 0;  // digit that occurs
    for (const RankedToken& token : tokens) {
      if (unknown < 32 && (token.key ^ key) >> unknown != 0) continue;
      const std::uint32_t digit = token.key >> shift & digits;
      sums_[digit] += token.weight;
      last = std::max(last, digit);
    }
    std::uint32_t digit = 0;
    while (digit < last && before + sums_[digit] < limit) before += sums_[digit++];
    key |= digit << shift;
    unknown = shift;
  }
  const RankedToken* found = nullptr;
  for (const RankedToken& token : tokens) {
    if (token.key != key) continue;
    found = &token;
    before += token.weight;
    if (before >= limit) break;
  }
  return found != nullptr ? *found : tokens.front();
}

}  // namespace corbel
