#pragma once
#include <span>
#include <vector>

#include "corbel/engine/prefix_cache.h"
#include "corbel/engine/sequence.h"
#include "corbel/engine/step_runner.h"

namespace corbel {

/// Decides what the next step runs: which sequences are admitted, how many rows of a prompt, who gives way when pages
/// run out. Moves page numbers and counts, never values; what it decides changes no bit of any answer. One thread.
///
/// A step first has one row for every sequence that decodes; what is left of its rows goes to prompts, the one with the
/// fewest tokens left first, so that short prompts do not wait for long ones; each step that a prompt waits counts for
/// it like kAgingTokens fewer. Waiting sequences are admitted by priority, then by arrival, while their tokens and one
/// page more fit the pool. When a sequence that decodes finds no page, unused prefixes are dropped, then the sequence
/// of lowest priority that arrived last is preempted.
class Scheduler {
 public:
  Scheduler(const TextModel& model, const RunnerLimits& limits, bool prefix_cache);

  static constexpr std::int64_t kAgingTokens = 64;

  /// The sequence waits until it is admitted; it stays its owner's.
  void add(Sequence& sequence);
  /// Takes it out, wherever it is, with its pages.
  void remove(Sequence& sequence) noexcept;

  struct Step {
    StepPlan plan;
    std::vector<Sequence*> logits;  // whose logits each wanted row has
  };
  /// The next step; no rows when there is nothing to run. Valid until the next call.
  const Step& schedule();
  /// The step was run: its rows are cached now, full pages may be shared.
  void commit();

  /// What would have to be free for so many tokens to run alone: refused when the pool never has it.
  Result<void> check_fits(std::int64_t tokens) const;

  std::int64_t running() const noexcept { return std::ssize(running_); }
  std::int64_t waiting() const noexcept { return std::ssize(waiting_); }
  std::int64_t preemptions() const noexcept { return preemptions_; }
  const PagePool& pool() const noexcept { return pool_; }
  const PrefixCache::Counts& prefix_counts() const noexcept { return prefixes_.counts(); }
  void drop_prefixes() { prefixes_.clear(); }

 private:
  void admit();
  bool try_admit(Sequence& sequence);
  bool grow(Sequence& sequence, std::int64_t tokens);
  Sequence* last_in_rank() const noexcept;
  void preempt(Sequence& sequence);
  void stop(Sequence& sequence) noexcept;
  void add_span(Sequence& sequence, std::int64_t rows);
  void plan_decoding(std::int64_t& rows_left);
  void plan_prompts(std::int64_t rows_left);

  RunnerLimits limits_;
  bool prefix_cache_;
  PagePool pool_;
  PrefixCache prefixes_;
  std::vector<Sequence*> waiting_;  // in the order in which they are admitted
  std::vector<Sequence*> running_;  // in the order in which they were admitted
  std::vector<std::int32_t> free_slots_;
  std::vector<Sequence*> prompts_;  // scratch of plan_prompts()
  struct Given {
    Sequence* sequence;
    std::int64_t rows;
  };
  std::vector<Given> given_;  // rows of the step at hand
  Step step_;
  std::int64_t preemptions_ = 0;
};

}  // namespace corbel
