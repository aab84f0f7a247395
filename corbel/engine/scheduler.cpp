#include "corbel/engine/scheduler.h"

#include <algorithm>

namespace corbel {
namespace {

/// Who is admitted first, and preempted last.
bool goes_before(const Sequence* a, const Sequence* b) noexcept {
  return a->priority != b->priority ? a->priority > b->priority : a->arrival < b->arrival;
}

}  // namespace

Scheduler::Scheduler(const TextModel& model, const RunnerLimits& limits, bool prefix_cache)
    : limits_(limits),
      prefix_cache_(prefix_cache),
      pool_(static_cast<int>(model.info().cache.groups.size()), limits.pages),
      prefixes_(pool_) {
  const auto sequences = static_cast<std::size_t>(limits.sequences);
  const std::int64_t columns = pages_of_tokens(limits.context_tokens);
  StepPlan& plan = step_.plan;
  plan.sequences = static_cast<std::int32_t>(limits.sequences);
  plan.max_pages = static_cast<std::int32_t>(columns);
  plan.page_tables.assign(model.info().cache.groups.size(),
                          std::vector<std::int32_t>(sequences * static_cast<std::size_t>(columns)));
  for (auto* const spans : {&plan.prefill, &plan.decode}) spans->reserve(sequences);
  plan.tokens.reserve(static_cast<std::size_t>(limits.step_rows));
  step_.logits.reserve(sequences);
  running_.reserve(sequences);
  prompts_.reserve(sequences);
  given_.reserve(sequences);
  for (auto slot = static_cast<std::int32_t>(limits.sequences); slot > 0; --slot) free_slots_.push_back(slot - 1);
}

Result<void> Scheduler::check_fits(std::int64_t tokens) const {
  if (tokens > limits_.context_tokens) {
    return fail(Code::bad_request,
                cat("the request needs ", tokens, " tokens of context; there are ", limits_.context_tokens));
  }
  if (const std::int64_t pages = pages_of_tokens(tokens); pages > pool_.total()) {
    return fail(Code::bad_request, cat("the request needs ", pages, " cache pages of ", kPageTokens,
                                       " tokens; there are ", pool_.total()));
  }
  return {};
}

void Scheduler::add(Sequence& sequence) {
  waiting_.insert(std::ranges::upper_bound(waiting_, &sequence, goes_before), &sequence);
}

void Scheduler::remove(Sequence& sequence) noexcept {
  if (sequence.runs()) stop(sequence);
  std::erase(waiting_, &sequence);
}

/// Out of the running ones, without pages.
void Scheduler::stop(Sequence& sequence) noexcept {
  std::erase(running_, &sequence);
  pool_.shrink(sequence.pages, 0);
  sequence.cached = 0;
  free_slots_.push_back(sequence.slot);
  sequence.slot = -1;
}

void Scheduler::preempt(Sequence& sequence) {
  std::erase_if(given_, [&](const Given& given) { return given.sequence == &sequence; });
  stop(sequence);
  add(sequence);
  ++preemptions_;
}

Sequence* Scheduler::last_in_rank() const noexcept {
  Sequence* last = nullptr;
  for (Sequence* const sequence : running_) {
    if (last == nullptr || goes_before(last, sequence)) last = sequence;
  }
  return last;
}

/// Pages for so many tokens, at the price of prefixes that nobody uses.
bool Scheduler::grow(Sequence& sequence, std::int64_t tokens) {
  while (!pool_.grow(sequence.pages, tokens)) {
    if (!prefixes_.drop_oldest()) return false;
  }
  return true;
}

bool Scheduler::try_admit(Sequence& sequence) {
  if (prefix_cache_ && sequence.shares_prefix) {
    sequence.pages = prefixes_.find(sequence.tokens, sequence.salt);
    if (!sequence.pages.groups.empty()) sequence.cached = std::ssize(sequence.pages.groups[0]) * kPageTokens;
  }
  // A page to go on with: who is admitted should not be preempted at once.
  const std::int64_t wanted = std::min(sequence.length() + kPageTokens, limits_.context_tokens);
  if (!grow(sequence, std::min(wanted, pool_.total() * kPageTokens))) {
    pool_.shrink(sequence.pages, 0);
    sequence.cached = 0;
    return false;
  }
  if (prefix_cache_ && sequence.shares_prefix) prefixes_.count(sequence.length(), sequence.cached);
  if (!sequence.was_admitted) sequence.prefix_tokens = sequence.cached;
  sequence.was_admitted = true;
  sequence.slot = free_slots_.back();
  free_slots_.pop_back();
  sequence.waited_steps = 0;
  running_.push_back(&sequence);
  return true;
}

void Scheduler::admit() {
  while (!waiting_.empty() && !free_slots_.empty()) {
    if (!try_admit(*waiting_.front())) return;  // those behind it do not overtake: it would wait for ever
    waiting_.erase(waiting_.begin());
  }
}

void Scheduler::plan_decoding(std::int64_t& rows_left) {
  // By rank, so that who is preempted has not been given a row yet, mostly.
  prompts_.assign(running_.begin(), running_.end());
  std::ranges::sort(prompts_, goes_before);
  for (Sequence* const sequence : prompts_) {
    if (!sequence->runs() || !sequence->decodes() || rows_left == 0) continue;
    while (!grow(*sequence, sequence->length())) {
      Sequence* const last = last_in_rank();
      const bool itself = last == sequence;
      preempt(*last);
      if (itself) break;
    }
    if (!sequence->runs()) continue;
    given_.push_back({sequence, 1});
    --rows_left;
  }
  rows_left = limits_.step_rows - std::ssize(given_);
}

void Scheduler::plan_prompts(std::int64_t rows_left) {
  prompts_.clear();
  for (Sequence* const sequence : running_) {
    if (!sequence->decodes()) prompts_.push_back(sequence);
  }
  std::ranges::stable_sort(prompts_, {}, [](const Sequence* sequence) {
    return sequence->length() - sequence->cached - kAgingTokens * sequence->waited_steps;
  });
  for (Sequence* const sequence : prompts_) {
    const std::int64_t rows = std::min(rows_left, sequence->length() - sequence->cached);
    ++sequence->waited_steps;
    if (rows == 0) continue;
    sequence->waited_steps = 0;
    given_.push_back({sequence, rows});
    rows_left -= rows;
  }
}

const Scheduler::Step& Scheduler::schedule() {
  StepPlan& plan = step_.plan;
  plan.prefill.clear();
  plan.decode.clear();
  plan.tokens.clear();
  step_.logits.clear();
  given_.clear();
  admit();
  std::int64_t rows_left = limits_.step_rows;
  plan_decoding(rows_left);
  plan_prompts(rows_left);
  // Spans of several rows come before single ones.
  std::ranges::stable_partition(given_, [](const Given& given) { return given.rows > 1; });
  for (const Given& given : given_) add_span(*given.sequence, given.rows);
  return step_;
}

void Scheduler::add_span(Sequence& sequence, std::int64_t rows) {
  StepPlan& plan = step_.plan;
  const bool last = sequence.cached + rows == sequence.length();
  (rows == 1 ? plan.decode : plan.prefill)
      .push_back({.sequence = sequence.slot,
                  .first_slot = static_cast<std::int32_t>(sequence.cached),
                  .rows = static_cast<std::int32_t>(rows),
                  .logit_rows = last ? 1 : 0,
                  .rope_length = static_cast<std::int32_t>(limits_.context_tokens)});
  const auto begin = sequence.tokens.begin() + sequence.cached;
  plan.tokens.insert(plan.tokens.end(), begin, begin + rows);
  if (last) step_.logits.push_back(&sequence);
  for (std::size_t group = 0; group < plan.page_tables.size(); ++group) {
    const std::vector<std::int32_t>& pages = sequence.pages.groups[group];
    std::ranges::copy(pages, plan.page_tables[group].begin() + std::ptrdiff_t{sequence.slot} * plan.max_pages);
  }
}

void Scheduler::commit() {
  for (const Given& given : given_) {
    Sequence& sequence = *given.sequence;
    const std::int64_t before = sequence.cached;
    sequence.cached += given.rows;
    const bool page_filled = before / kPageTokens != sequence.cached / kPageTokens;
    if (!prefix_cache_ || !sequence.shares_prefix || !page_filled) continue;
    prefixes_.add(std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.cached)), sequence.salt,
                  sequence.pages);
  }
  given_.clear();
}

}  // namespace corbel
