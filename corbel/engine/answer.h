#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "corbel/engine/engine.h"

namespace corbel {

/// One answer in the making: its sequence, its text, what its result will be. The request outlives it.
class Answer {
 public:
  Answer(const Tokenizer& tokenizer, const EngineRequest& request, std::uint64_t group, std::uint32_t choice,
         std::int64_t most_tokens);

  enum class State {
    goes_on,
    stopped,
    full,    // max_tokens
    broken,  // the constraint refuses a token that it has allowed: a fault of ours, but no reason to end the others
  };

  /// Takes in what the request says was answered before; false when the answer cannot go on behind it.
  bool go_on();
  /// The next token from f32 logits [vocab]: into the sequence, the text and the result.
  State take(std::span<const float> logits, TokenChooser& chooser);
  /// The logprobs of the prompt's token behind `position`, from the logits there.
  void take_prompt(std::int64_t position, std::span<const float> logits, TokenChooser& chooser);
  std::int32_t last_token() const noexcept { return history_.back(); }
  std::span<const std::int32_t> history() const noexcept { return history_; }

  /// The sequence's tokens for a context that was full: without the oldest half of what follows the kept ones.
  /// False when what is kept fills it.
  bool slide();

  /// Sets the sequence's draft, and returns its tokens: what followed the last time its newest tokens were seen, as far
  /// as it pays beside the step's rows; without a step as far as it goes.
  std::int64_t draft(const DraftPolicy::Step* step);
  /// Was the last draft cut or left out for the price of its rows alone?
  bool left_out_good_rows() const noexcept { return left_out_; }
  /// How many tokens of a model's guesses are worth their rows, where the text itself gave none; all without a step.
  std::int64_t guesses_worth(const DraftPolicy::Step* step);
  void learn(std::int64_t drafted, std::int64_t accepted);

  void admit() { admitted_ = Clock::now(); }
  /// The result, with the text that was held back, which is also given to on_text.
  GenerateResult finish(FinishReason reason);

  const EngineRequest& request() const noexcept { return *request_; }
  std::uint64_t group() const noexcept { return group_; }
  bool has_tokens() const noexcept { return !result_.ids.empty(); }

  Sequence sequence;

 private:
  using Clock = std::chrono::steady_clock;
  State add(std::int32_t id);
  std::int64_t most_drafted() const noexcept;

  const EngineRequest* request_;
  std::uint64_t group_;
  SamplingOptions sampling_;
  AnswerText text_;
  std::string piece_;
  std::optional<ConstraintCursor> constraint_;
  std::vector<std::int32_t> history_;  // prompt and answer; `sequence.tokens` may have slid
  std::int64_t repeats_ = 0;           // of the last token
  std::optional<DryRepeats> dry_;
  std::optional<DraftLookup> lookup_;
  DraftPolicy policy_;
  DraftPolicy guess_policy_;       // of a draft model
  bool left_out_ = false;          // rows of the last draft, for their price
  std::int64_t match_length_ = 0;  // of the draft at hand; 0: a model guessed it
  GenerateResult result_;
  Clock::time_point submitted_ = Clock::now();
  Clock::time_point admitted_;
  Clock::time_point first_token_;
};

}  // namespace corbel
