#include "corbel/engine/sampler_cut.h"

#include <algorithm>
#include <bit>

namespace corbel {

std::uint32_t likeliest_first(float logit) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(logit + 0.0F);
  return (bits >> 31) != 0 ? bits : ~bits & 0x7fffffffU;
}

template <typename Weight>
std::size_t SamplerCut::keep(std::span<SamplerCandidate> candidates, std::uint64_t limit, Weight weight) {
  std::uint32_t key = 0;     // of the last candidate that stays, as far as its digits are known
  std::uint64_t before = 0;  // weight of the candidates with lower keys
  int unknown = 32;          // low bits of the key
  while (unknown > 0) {
    const int shift = std::max(0, unknown - kDigitBits);
    const std::uint32_t digits = (1U << (unknown - shift)) - 1;
    std::fill(sums_.begin(), sums_.begin() + digits + 1, 0);
    for (const SamplerCandidate& candidate : candidates) {
      if (unknown < 32 && (candidate.key ^ key) >> unknown != 0) continue;
      sums_[candidate.key >> shift & digits] += weight(candidate);
    }
    std::uint32_t digit = 0;
    while (digit < digits && before + sums_[digit] < limit) before += sums_[digit++];
    key |= digit << shift;
    unknown = shift;
  }
  std::size_t kept = 0;
  for (const SamplerCandidate& candidate : candidates) {
    if (candidate.key > key) continue;
    if (candidate.key == key) {
      if (before >= limit) continue;
      before += weight(candidate);
    }
    candidates[kept++] = candidate;
  }
  return kept;
}

std::size_t SamplerCut::keep_mass(std::span<SamplerCandidate> candidates, std::uint64_t limit) {
  return keep(candidates, limit, [](const SamplerCandidate& candidate) { return candidate.mass; });
}

std::size_t SamplerCut::keep_count(std::span<SamplerCandidate> candidates, std::uint64_t count) {
  if (count >= candidates.size()) return candidates.size();
  return keep(candidates, count, [](const SamplerCandidate&) { return std::uint64_t{1}; });
}

}  // namespace corbel
