#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "corbel/engine/step_pacer.h"

namespace corbel {

/// Guesses what comes next from what came before: where the newest tokens stood earlier in the same text, the tokens
/// behind that place. Costs no model; right where text quotes or edits itself.
/// Source: Saxena 2023, "Prompt lookup decoding"; Oliaro et al. 2024 (SuffixDecoding), arXiv 2411.04975.
class DraftLookup {
 public:
  /// For texts of up to so many tokens; takes all its memory now.
  explicit DraftLookup(std::int64_t tokens);

  struct Match {
    std::int64_t length = 0;  // tokens that agree, at most kMostLength; 0: none
    std::int64_t next = 0;    // index of the token behind the earlier place
  };
  /// The longest earlier place that ends like `text`, of equally long ones the latest. `text` is that of the call
  /// before and what came after it.
  Match find(std::span<const std::int32_t> text);

  static constexpr std::int64_t kGram = 3;  // the shortest match
  static constexpr std::int64_t kMostLength = 32;

 private:
  std::size_t bucket_of(std::span<const std::int32_t> gram) const noexcept;

  std::vector<std::int32_t> heads_;    // per bucket the latest end of a gram
  std::vector<std::int32_t> earlier_;  // [tokens] the one before it in the bucket
  std::int64_t indexed_ = 0;           // ends of grams up to here are in the buckets
};

/// How much of a draft is worth its rows: by how often guesses of such matches came true, and by what rows cost.
class DraftPolicy {
 public:
  static constexpr std::int64_t kMostTokens = 15;
  static constexpr std::int64_t kOfModel = 8;  // in place of a match's length: a draft model's guess

  /// What a draft is weighed against.
  struct Step {
    const StepPacer& pacer;
    std::int64_t decoding = 1;   // sequences that decode
    std::int64_t rows = 1;       // of the step so far
    double guess_seconds = 0.0;  // that guessing one token takes
  };
  /// Tokens to draft for one of the step's sequences.
  std::int64_t tokens_worth(std::int64_t match_length, const Step& step) const noexcept;
  /// Would so many guesses of such a match be right more often than not? Then it is for their price that they are left
  /// out.
  bool is_promising(std::int64_t match_length, std::int64_t tokens) const noexcept;
  /// A draft of `drafted` tokens was run, the first `accepted` of them were right.
  void learn(std::int64_t match_length, std::int64_t drafted, std::int64_t accepted) noexcept;
  /// A match was not worth a draft: what is held against its length fades, so that it gets another chance.
  void pass(std::int64_t match_length) noexcept;

 private:
  struct Odds {
    double tried;
    double right;
  };
  static std::size_t place_of(std::int64_t match_length) noexcept;
  // By the length of the match; a model's guesses count as one of their own length (kOfModel): 3, 4, 5 to 7, 8 to 15,
  // 16 and more. What is assumed at first counts like that many tries.
  static constexpr std::array<Odds, 5> kAssumed = {{{4.0, 1.6}, {4.0, 2.0}, {4.0, 2.6}, {4.0, 3.2}, {4.0, 3.6}}};
  std::array<Odds, 5> odds_ = kAssumed;
};

}  // namespace corbel
