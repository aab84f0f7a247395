#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace corbel {

/// What a cut looks at.
struct RankedToken {
  std::int32_t id = 0;
  std::uint32_t key = 0;     // tokens with lower keys go first
  std::uint64_t weight = 0;  // of the token
};

/// Of two scores the higher one has the lower key; -0 and 0 have the same.
std::uint32_t highest_first(float score) noexcept;

/// Finds which tokens go first until their weights reach a limit. Linear: the digits of keys are counted, nothing is
/// sorted. Owns its scratch memory.
class SamplerCut {
 public:
  SamplerCut() : sums_(kDigits) {}
  /// The last token needed, lowest keys first, of equal keys those that stand first in `tokens`. REQUIRES: limit > 0
  /// and tokens not empty. When all together do not reach the limit, the last one in that order.
  const RankedToken& find(std::span<const RankedToken> tokens, std::uint64_t limit);

 private:
  static constexpr int kDigitBits = 11;
  static constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;

  std::vector<std::uint64_t> sums_;  // weight of each digit
};

}  // namespace corbel
