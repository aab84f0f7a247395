#pragma once
#include <functional>
#include <span>
#include <vector>

#include "corbel/engine/prefix_cache.h"
#include "corbel/engine/sequence.h"
#include "corbel/engine/step_pacer.h"
#include "corbel/engine/step_runner.h"

namespace corbel {

struct SchedulerOptions {
  bool prefix_cache = true;
  double stretch = 1.8;  // see StepPacer; infinity: prompts as fast as they go
};

/// Decides what the next step runs: which sequences are admitted, how many rows of a prompt, who gives way when pages
/// run out. Moves page numbers and counts, never values; what it decides changes no bit of any answer. One thread.
///
/// A step first has one row for every sequence that decodes, and its draft's; what is left of its rows, and of the time
/// that the pacer allows, goes to prompts, the one with the fewest tokens left first, so that short prompts do not wait
/// for long ones; each step that a prompt waits counts for it like kAgingTokens fewer. Waiting sequences are admitted
/// by rank (a level of priority is worth kStepsPerLevel steps of waiting), while their tokens and one page more fit the
/// pool. When a sequence that decodes finds no page, unused prefixes are dropped, then the sequence of lowest rank is
/// preempted.
class Scheduler {
 public:
  /// Makes page `to` of a cache group equal to page `from`, before anything later writes either.
  using CopyPage = std::function<void(int group, std::int32_t from, std::int32_t to)>;

  Scheduler(const TextModel& model, const RunnerLimits& limits, const SchedulerOptions& options, CopyPage copy_page);

  static constexpr std::int64_t kAgingTokens = 64;
  static constexpr std::int64_t kStepsPerLevel = 256;

  /// Room for so many sequences, so that nothing but add() of a new one allocates.
  void reserve(std::int64_t sequences) { waiting_.reserve(static_cast<std::size_t>(sequences)); }
  /// The sequence waits until it is admitted; it stays its owner's.
  void add(Sequence& sequence);
  /// `to` has the tokens of `from`, whose prompt is cached, and one of its own: it runs at once on the same pages, its
  /// own copy of the last one, when there is a slot and a page for it, and waits otherwise.
  void fork(const Sequence& from, Sequence& to);
  /// Takes it out, wherever it is, with its pages; what it has cached may be found by others.
  void remove(Sequence& sequence) noexcept;
  /// As remove(), when what it has cached is worth nothing.
  void discard(Sequence& sequence) noexcept;
  /// Its tokens have changed, or its cache is lost: it waits and runs all of them.
  void restart(Sequence& sequence);
  /// The same for all that run, when a device has failed.
  void restart_all();

  /// A sequence whose logits a step has: of its last `rows` rows, `drafted` of them of its draft.
  struct Wanted {
    Sequence* sequence = nullptr;
    std::int32_t rows = 1;
    std::int32_t drafted = 0;
  };
  struct Step {
    StepPlan plan;
    std::vector<Wanted> logits;
    std::vector<Sequence*> admitted;
  };
  /// The next step; no rows when there is nothing to run. Valid until the next call.
  const Step& schedule();
  /// The step was run: its rows are cached now (drafts apart), full pages may be shared.
  void commit(double seconds);
  /// The first `count` drafted tokens were right; they stand behind the others in tokens, and they are cached.
  void keep_draft(Sequence& sequence, std::int64_t count);

  using WithPages = std::function<Result<void>(std::int64_t tokens, const SequencePages& pages)>;
  /// Shows the pages of the longest beginning of `tokens` that the prefix cache has; 0 tokens where it has none.
  Result<void> show_cached(std::vector<std::int32_t> tokens, const std::string& salt, const WithPages& show);
  /// Makes `tokens` a prefix that others find, at the price of prefixes that nobody uses: `fill` puts their keys and
  /// values into the pages. Refused: too few pages; what `fill` refuses.
  Result<void> adopt(std::span<const std::int32_t> tokens, const std::string& salt, const WithPages& fill);

  /// What would have to be free for so many tokens to run alone: refused when the pool never has it.
  Result<void> check_fits(std::int64_t tokens) const;

  std::int64_t running() const noexcept { return std::ssize(running_); }
  std::int64_t waiting() const noexcept { return std::ssize(waiting_); }
  /// Who is admitted next, of those that wait.
  const Sequence& first_waiting() const noexcept { return *waiting_.front(); }
  std::span<Sequence* const> running_sequences() const noexcept { return running_; }
  std::int64_t preemptions() const noexcept { return preemptions_; }
  const PagePool& pool() const noexcept { return pool_; }
  StepPacer& pacer() noexcept { return pacer_; }
  /// Of the step that schedule() gave last.
  const StepPacer::Shape& shape() const noexcept { return shape_; }
  const PrefixCache::Counts& prefix_counts() const noexcept { return prefixes_.counts(); }

 private:
  bool shares(const Sequence& sequence) const noexcept { return prefix_cache_ && sequence.shares_prefix; }
  void admit();
  bool try_admit(Sequence& sequence);
  bool prepare(Sequence& sequence);
  void find_prefix(Sequence& sequence);
  void give_slot(Sequence& sequence);
  bool grow(Sequence& sequence, std::int64_t tokens);
  void preempt(Sequence& sequence);
  void stop(Sequence& sequence) noexcept;
  void make_room(Sequence& sequence);
  std::int64_t draft_rows(Sequence& sequence);
  bool leaves_streams_out() const;
  void plan_decoding();
  void plan_prompts();
  void share_filled(Sequence& sequence);

  RunnerLimits limits_;
  bool prefix_cache_;
  CopyPage copy_page_;
  PagePool pool_;
  PrefixCache prefixes_;
  StepPacer pacer_;
  std::vector<Sequence*> waiting_;  // in the order in which they are admitted
  std::vector<Sequence*> running_;  // in the order in which they were admitted
  std::vector<std::int32_t> free_slots_;
  std::vector<Sequence*> sorted_;  // scratch of plan_...()
  struct Given {
    Sequence* sequence;
    std::int64_t rows;
    std::int64_t drafted;
    std::int64_t logit_rows;
  };
  void add_span(const Given& given);
  std::vector<Given> given_;  // rows of the step at hand
  StepPacer::Shape shape_;
  bool short_alone_ = false;  // the step has rows of short prompts alone
  std::int64_t rows_left_ = 0;
  std::int64_t spare_logit_rows_ = 0;  // beyond one for every sequence
  Step step_;
  std::int64_t steps_ = 0;
  std::int64_t preemptions_ = 0;
};

}  // namespace corbel
