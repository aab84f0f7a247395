#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "corbel/base/result.h"

namespace corbel {

/// Added to the logit of one token.
struct TokenBias {
  std::int32_t id = 0;
  float bias = 0.0F;
};

/// How the next token is chosen. The defaults change nothing: greedy. docs/sampling.md has ranges, sources and the
/// order in which options are applied.
struct SamplingOptions {
  double temperature = 0.0;         // below kLeastTemperature: the most likely token
  std::int64_t top_k = 0;           // 0: all tokens
  double top_p = 1.0;               // (0, 1]: the fewest tokens whose probabilities add up to this; 1: all
  double min_p = 0.0;               // [0, 1]: tokens at least this fraction as likely as the most likely one
  double typical_p = 1.0;           // (0, 1]: the fewest tokens of about average surprise that add up to this; 1: all
  double repetition_penalty = 1.0;  // [0.01, 100]: tokens of prompt and answer; 1: none
  double presence_penalty = 0.0;    // [-2, 2]: taken from tokens that the answer has
  double frequency_penalty = 0.0;   // [-2, 2]: taken once for each time that the answer has them
  std::int64_t penalty_window = 0;  // penalties see only so many of the latest tokens; 0: all
  double xtc_probability = 0.0;     // [0, 1]: how often all but the least likely of the tokens that reach
  double xtc_threshold = 0.1;       // (0, 1] this probability are left out
  double dry_multiplier = 0.0;      // [0, 100]: what a token loses that would make a repetition of
  double dry_base = 1.75;           // [1, 100] allowed_length tokens longer; times base for each token more
  std::int64_t dry_allowed_length = 2;   // 1 or more
  std::int64_t dry_penalty_last_n = -1;  // repetitions of the latest tokens; -1: of all; 0: of none
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};  // no repetition goes on over one
  std::vector<TokenBias> logit_bias;                                        // ascending ids, each once; [-100, 100]
  std::uint64_t seed = 0;
  std::uint32_t choice = 0;  // of several answers to one prompt

  /// A logit divided by less may leave the range of float.
  static constexpr double kLeastTemperature = 1e-5;
  bool is_greedy() const noexcept { return temperature < kLeastTemperature; }
  bool has_penalties() const noexcept {
    return repetition_penalty != 1.0 || presence_penalty != 0.0 || frequency_penalty != 0.0;
  }

  bool has_dry() const noexcept { return dry_multiplier > 0.0 && dry_penalty_last_n != 0; }
  /// What a token loses that would make a repetition of so many tokens longer; at most a million.
  double dry_penalty(std::int64_t tokens) const noexcept;

  /// Sorts logit_bias by id; of entries with the same id the last one counts.
  void sort_bias();

  /// Names the option that is out of its range, and the range. `vocab`: ids that logit_bias may name.
  Result<void> validate(std::int64_t vocab = std::numeric_limits<std::int32_t>::max()) const;
};

}  // namespace corbel
