#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace corbel {

/// A token that may be drawn.
struct SamplerCandidate {
  std::int32_t id = 0;
  std::uint32_t key = 0;   // rank: candidates with lower keys go first
  std::uint64_t mass = 0;  // mass_of (sampler_passes.h)
};

/// Of two logits the larger one has the lower key; -0 and 0 have the same.
std::uint32_t likeliest_first(float logit) noexcept;

/// Keeps the fewest candidates, lowest keys first, whose masses reach `limit`; of equal keys those that stand first.
/// Their order stays. Linear in the candidates: digits of keys are counted, nothing is sorted. Owns its scratch memory.
class SamplerCut {
 public:
  SamplerCut() : sums_(kDigits) {}
  /// limit > 0. All stay when they do not reach it. Moves those that stay to the front and returns their number.
  std::size_t keep_mass(std::span<SamplerCandidate> candidates, std::uint64_t limit);
  /// The same with `count` > 0 candidates instead of a mass.
  std::size_t keep_count(std::span<SamplerCandidate> candidates, std::uint64_t count);

 private:
  static constexpr int kDigitBits = 11;
  static constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;
  template <typename Weight>
  std::size_t keep(std::span<SamplerCandidate> candidates, std::uint64_t limit, Weight weight);

  std::vector<std::uint64_t> sums_;  // weight of each digit
};

}  // namespace corbel
