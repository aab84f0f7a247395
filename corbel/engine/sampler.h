#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/engine/random_bits.h"

namespace corbel {

/// How the next token is chosen. The defaults change nothing: greedy.
struct SamplingOptions {
  double temperature = 0.0;         // 0: the most likely token
  std::int64_t top_k = 0;           // 0: all tokens
  double top_p = 1.0;               // (0, 1]: the fewest tokens whose probabilities add up to this; 1: all
  double min_p = 0.0;               // [0, 1]: tokens at least this fraction as likely as the most likely one
  double repetition_penalty = 1.0;  // > 0; 1: none
  std::uint64_t seed = 0;
  std::uint32_t choice = 0;

  /// Names the option that is out of its range.
  Result<void> validate() const;
};

/// Chooses tokens from logits. The order of the filters and their arithmetic are those of transformers' generate():
/// repetition penalty, temperature, top-k, top-p, min-p; logits in f32, probabilities here in double. Equal logits: the
/// lower id counts as the more likely one, so top-k keeps exactly k tokens (transformers keeps all that tie with the
/// k-th). Owns its scratch memory; one thread at a time.
/// Source: transformers generation/logits_process.py; Keskar et al. 2019 (penalty), Holtzman et al. 2020 (top-p).
class Sampler {
 public:
  explicit Sampler(std::int64_t vocab);

  /// logits   [vocab] finite
  /// history  tokens the repetition penalty looks at: prompt and answer so far; ids outside the vocabulary are ignored
  /// position of the token to be chosen, counted from the first token of the prompt
  /// The options are valid.
  std::int32_t sample(std::span<const float> logits, std::span<const std::int32_t> history,
                      const SamplingOptions& options, std::uint64_t position);

  struct Candidate {
    std::int32_t id;
    double probability;
  };
  /// The tokens that remain, ascending by id, their probabilities adding up to 1. As sample() sees them at temperature
  /// > 0; valid until the next call.
  std::span<const Candidate> candidates(std::span<const float> logits, std::span<const std::int32_t> history,
                                        const SamplingOptions& options);

 private:
  struct Scored {
    float logit;
    std::int32_t id;
  };
  void penalize(std::span<const std::int32_t> history, double penalty);
  void sort_likeliest(std::span<Scored> part);
  std::size_t keep_top_p(std::size_t count, double top_p);
  static bool likelier(const Scored& a, const Scored& b) noexcept {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  }

  std::vector<Scored> scored_;       // [vocab]
  std::vector<Scored> swapped_;      // half of a sort
  std::vector<std::uint32_t> seen_;  // [vocab] round in which the token was last penalized
  std::uint32_t round_ = 0;
  std::vector<Candidate> candidates_;
};

/// Index of the largest value; of equal ones the first.
std::int32_t argmax(std::span<const float> values) noexcept;

}  // namespace corbel
