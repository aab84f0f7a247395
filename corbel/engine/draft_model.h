#pragma once
#include <memory>
#include <span>
#include <vector>

#include "corbel/engine/step_runner.h"

namespace corbel {

/// A smaller model of the same vocabulary that guesses what the large one will say. Keeps a cache of its own for each
/// place of an engine's page tables; what a text has in common with the one that was there before is not run again. Its
/// guesses are greedy; what becomes of them is the engine's business. One thread; model and device outlive it.
/// Source: Leviathan et al. 2023, arXiv 2211.17192 (here with exact acceptance: a guess stays when it equals the token
/// that the large model's own draw gives).
class DraftModel {
 public:
  /// sequences, context_tokens: as the engine's runner has them.
  static Result<DraftModel> make(const TextModel& model, Device& device, std::int64_t sequences,
                                 std::int64_t context_tokens);

  struct Wanted {
    std::int32_t slot = 0;               // of the sequence, in the engine's page tables
    std::span<const std::int32_t> text;  // prompt and answer so far
    std::int64_t tokens = 0;             // to guess
    std::vector<std::int32_t>* draft = nullptr;
  };
  /// Sets every draft, side by side; shorter than wanted at the end of the context, empty when the device fails.
  void propose(std::span<const Wanted> wanted);

  /// Seconds that one more token of the last drafts took.
  double token_seconds() const noexcept { return token_seconds_; }
  std::int64_t vocab() const noexcept { return runner_->model().info().vocab; }

 private:
  DraftModel(std::unique_ptr<StepRunner> runner);
  bool catch_up(const Wanted& one);
  bool decode(std::span<const Wanted> wanted, std::int64_t round);
  void take(const Wanted& one, const float* logits);

  std::unique_ptr<StepRunner> runner_;
  StepPlan plan_;
  std::vector<std::vector<std::int32_t>> cached_;  // per slot
  std::vector<const Wanted*> running_;             // of the step at hand
  double token_seconds_ = 0.0;
};

}  // namespace corbel
