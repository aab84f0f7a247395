#pragma once
#include <functional>
#include <span>
#include <vector>

#include "corbel/engine/page_pool.h"
#include "corbel/engine/step_runner.h"

namespace corbel {

/// One conversation on a runner of one sequence: its tokens, and their keys and values in the cache. One thread. The
/// runner outlives it; a runner serves one session at a time.
///
/// Always true: the cache holds exactly tokens(), token i in slot i at rotary position i. A sampled token is cached
/// only once it was fed, by decode() or as part of the next prefill(); what was never fed is never attended to.
///
/// Rotary scalings that look at the sequence's length (info().rope_by_length) go by the runner's context_tokens from
/// the first token to the last: keys cached early and late then agree, and neither chunks nor turns change a bit. So
/// for such models the context chosen at the start is part of the answer.
class Session {
 public:
  /// Refuses a runner made for more than one sequence.
  static Result<Session> make(StepRunner& runner);

  /// Makes `ids` the conversation: keeps the cached tokens that `ids` begins with, drops the others, runs the rest in
  /// steps of at most step_rows. At least the last id is run. Returns the logits f32 [1, vocab] after it, valid until
  /// the next call. Refused, with tokens() unchanged: no ids, an id outside the vocabulary, more than capacity(). When
  /// cancelled or failed on the way, the steps done so far stay cached.
  Result<TensorView> prefill(std::span<const std::int32_t> ids, const std::atomic<bool>* cancel = nullptr);

  /// Appends one token and returns the logits after it.
  Result<TensorView> decode(std::int32_t token, const std::atomic<bool>* cancel = nullptr);

  /// Forgets the tokens from `count` on.
  void rewind(std::int64_t count) noexcept;

  std::span<const std::int32_t> tokens() const noexcept { return tokens_; }  // cached
  std::int64_t capacity() const noexcept { return runner_->limits().context_tokens; }
  /// Tokens that the last prefill() ran; the others of its ids were cached.
  std::int64_t prefilled() const noexcept { return prefilled_; }
  const TextModel& model() const noexcept { return runner_->model(); }

  /// Where the cached tokens' keys and values lie.
  const SequencePages& pages() const noexcept { return pages_; }
  StepRunner& runner() const noexcept { return *runner_; }
  /// Makes `ids` the cached conversation without running them: `fill` puts their keys and values into the pages it
  /// gets. Refused: what prefill() refuses. When `fill` fails, nothing is cached any more.
  Result<void> restore(std::span<const std::int32_t> ids,
                       const std::function<Result<void>(const SequencePages& pages)>& fill);

 private:
  explicit Session(StepRunner& runner);
  Result<void> check(std::span<const std::int32_t> ids, std::int64_t total) const;
  Result<TensorView> step(std::span<const std::int32_t> ids, bool wants_logits, const std::atomic<bool>* cancel);

  StepRunner* runner_;
  PagePool pool_;
  SequencePages pages_;
  std::vector<std::int32_t> tokens_;
  std::int64_t prefilled_ = 0;
  StepPlan plan_;  // reused, so that a decode step allocates nothing
};

}  // namespace corbel
