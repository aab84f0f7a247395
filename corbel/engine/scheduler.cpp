#include "corbel/engine/scheduler.h"

#include <algorithm>
#include <new>
#include <utility>

namespace corbel {
namespace {

/// Who is admitted first, and preempted last.
bool goes_before(const Sequence* a, const Sequence* b) noexcept {
  return a->rank != b->rank ? a->rank > b->rank : a->id < b->id;
}

// A prompt so short is done in one step: a second would double its wait and spare the streams next to nothing.
constexpr std::int64_t kShortRows = 32;

bool is_short_prompt(const Sequence& sequence) {
  constexpr std::int64_t kShortPosition = 1024;  // attention costs next to nothing
  return sequence.length() - sequence.cached <= kShortRows && sequence.cached < kShortPosition &&
         !sequence.wants_prompt_logits;
}

}  // namespace

Scheduler::Scheduler(const TextModel& model, const RunnerLimits& limits, const SchedulerOptions& options,
                     CopyPage copy_page)
    : limits_(limits),
      prefix_cache_(options.prefix_cache),
      copy_page_(std::move(copy_page)),
      pool_(static_cast<int>(model.info().cache.groups.size()), limits.pages),
      prefixes_(pool_, static_cast<int>(model.info().cache.groups.size())),
      pacer_(options.stretch) {
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
  step_.admitted.reserve(sequences);
  running_.reserve(sequences);
  sorted_.reserve(sequences);
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

Result<void> Scheduler::show_cached(std::vector<std::int32_t> tokens, const std::string& salt, const WithPages& show) {
  tokens.push_back(0);  // the last one is never found
  SequencePages pages;
  PrefixCache::Place place = PrefixCache::start(salt);
  const PrefixCache::Tail tail = prefixes_.find(tokens, place, pages);
  SequencePages all = pages;
  for (std::size_t group = 0; group < tail.pages.size(); ++group) all.groups[group].push_back(tail.pages[group]);
  Result<void> shown = show(place.pages * kPageTokens + tail.tokens, all);
  pool_.shrink(pages, 0);
  return shown;
}

Result<void> Scheduler::adopt(std::span<const std::int32_t> tokens, const std::string& salt, const WithPages& fill) {
  if (!prefix_cache_) return fail(Code::bad_request, "this engine keeps no prefixes");
  Sequence sequence;
  const std::int64_t count = std::ssize(tokens);
  CORBEL_TRY(check_fits(count));
  if (!grow(sequence, count))
    return fail(Code::no_memory, cat("the saved sequence needs ", pages_of_tokens(count), " cache pages; ",
                                     pool_.free_pages(0), " of ", pool_.total(), " are free"));
  Result<void> filled = fill(count, sequence.pages);
  if (filled) {
    PrefixCache::Place place = PrefixCache::start(salt);
    prefixes_.add(tokens, place, sequence.pages);
    prefixes_.add_tail(tokens, place, sequence.pages);
  }
  pool_.shrink(sequence.pages, 0);
  return filled;
}

void Scheduler::add(Sequence& sequence) {
  // Those that came later lose a step for each: whoever waits rises above later ones of higher priority.
  if (!sequence.was_admitted) sequence.rank = sequence.priority * kStepsPerLevel - steps_;
  sequence.known = PrefixCache::start(sequence.salt);
  waiting_.insert(std::ranges::upper_bound(waiting_, &sequence, goes_before), &sequence);
}

void Scheduler::remove(Sequence& sequence) noexcept {
  // Of what is cached, not all may be known: a page that was filled in the last step.
  if (sequence.runs() && shares(sequence) && sequence.cached > 0) {
    const auto cached = std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.cached));
    prefixes_.add(cached, sequence.known, sequence.pages);
    prefixes_.add_tail(cached, sequence.known, sequence.pages);
  }
  if (sequence.runs()) stop(sequence);
  std::erase(waiting_, &sequence);
}

void Scheduler::discard(Sequence& sequence) noexcept {
  if (shares(sequence)) {
    const auto cached = std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.cached));
    prefixes_.forget(cached, sequence.salt);
  }
  if (sequence.runs()) stop(sequence);
  std::erase(waiting_, &sequence);
}

void Scheduler::restart(Sequence& sequence) {
  if (!sequence.runs()) return;
  std::erase_if(given_, [&](const Given& given) { return given.sequence == &sequence; });
  stop(sequence);
  ++sequence.restarts;
  add(sequence);
}

void Scheduler::restart_all() {
  while (!running_.empty()) restart(*running_.back());
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
  restart(sequence);
  ++preemptions_;
}

/// Pages for so many tokens, at the price of prefixes that nobody uses.
bool Scheduler::grow(Sequence& sequence, std::int64_t tokens) {
  while (!pool_.has_room(sequence.pages, tokens)) {
    if (!prefixes_.drop_oldest()) return false;
  }
  return pool_.grow(sequence.pages, tokens).has_value();
}

/// What the prefix cache has of the sequence's tokens; a begun page is copied, as this sequence goes on in it.
void Scheduler::find_prefix(Sequence& sequence) {
  const PrefixCache::Tail tail = prefixes_.find(sequence.tokens, sequence.known, sequence.pages);
  sequence.cached = sequence.known.pages * kPageTokens;
  if (tail.tokens == 0) return;
  for (std::size_t group = 0; group < tail.pages.size(); ++group)
    pool_.retain(static_cast<int>(group), tail.pages[group]);
  if (grow(sequence, sequence.cached + tail.tokens)) {
    for (std::size_t group = 0; group < tail.pages.size(); ++group)
      copy_page_(static_cast<int>(group), tail.pages[group], sequence.pages.groups[group].back());
    sequence.cached += tail.tokens;
  }
  for (std::size_t group = 0; group < tail.pages.size(); ++group)
    pool_.release(static_cast<int>(group), tail.pages[group]);
}

void Scheduler::give_slot(Sequence& sequence) {
  if (!sequence.was_admitted) {
    sequence.prefix_tokens = sequence.cached;
    step_.admitted.push_back(&sequence);
  }
  sequence.was_admitted = true;
  sequence.slot = free_slots_.back();
  free_slots_.pop_back();
  sequence.waited_steps = 0;
  running_.push_back(&sequence);
}

/// Has it pages now? What was begun for it is given back otherwise, also when memory is refused.
bool Scheduler::prepare(Sequence& sequence) try {
  // Room in its table for all pages it may have, now: later steps allocate nothing.
  sequence.pages.groups.resize(step_.plan.page_tables.size());
  for (auto& pages : sequence.pages.groups) pages.reserve(static_cast<std::size_t>(step_.plan.max_pages));
  if (shares(sequence) && !sequence.wants_prompt_logits) find_prefix(sequence);
  // A page to go on with: who is admitted should not be preempted at once.
  const std::int64_t wanted = std::min(sequence.length() + kPageTokens, limits_.context_tokens);
  return grow(sequence, std::min(wanted, pool_.total() * kPageTokens));
} catch (const std::bad_alloc&) {
  return false;
}

bool Scheduler::try_admit(Sequence& sequence) {
  if (!prepare(sequence)) {
    pool_.shrink(sequence.pages, 0);
    sequence.known = PrefixCache::start(sequence.salt);
    sequence.cached = 0;
    return false;
  }
  if (shares(sequence)) prefixes_.count(sequence.length(), sequence.cached);
  give_slot(sequence);
  return true;
}

void Scheduler::admit() {
  while (!waiting_.empty() && !free_slots_.empty()) {
    if (!try_admit(*waiting_.front())) return;  // those behind it do not overtake: it would wait for ever
    waiting_.erase(waiting_.begin());
  }
}

void Scheduler::fork(const Sequence& from, Sequence& to) {
  if (free_slots_.empty() || !from.runs()) return add(to);
  const std::int64_t whole = from.cached / kPageTokens * kPageTokens;
  to.pages = pool_.share(from.pages, whole);
  for (auto& pages : to.pages.groups) pages.reserve(static_cast<std::size_t>(step_.plan.max_pages));
  if (!grow(to, to.length())) {
    pool_.shrink(to.pages, 0);
    return add(to);
  }
  if (from.cached > whole) {
    for (std::size_t group = 0; group < to.pages.groups.size(); ++group) {
      const auto page = static_cast<std::size_t>(whole / kPageTokens);
      copy_page_(static_cast<int>(group), from.pages.groups[group][page], to.pages.groups[group][page]);
    }
  }
  to.cached = from.cached;
  to.known = from.known;
  to.rank = from.rank;
  give_slot(to);
  to.prefix_tokens = to.cached;
}

/// Pages for its next token, if need be those of sequences of lower rank, or none: then it is preempted itself.
void Scheduler::make_room(Sequence& sequence) {
  while (sequence.runs() && !grow(sequence, sequence.length())) {
    preempt(**std::ranges::max_element(running_, goes_before));
  }
}

/// How many rows its draft gets: what is left of the step, of its logits, of the context and of the pages that are
/// free.
std::int64_t Scheduler::draft_rows(Sequence& sequence) {
  std::int64_t rows = std::min(
      {std::ssize(sequence.draft), rows_left_ - 1, spare_logit_rows_, limits_.context_tokens - sequence.length()});
  if (rows <= 0) return 0;
  const std::int64_t held = std::ssize(sequence.pages.groups[0]) * kPageTokens;  // the row itself has its page
  if (sequence.length() + rows <= held) return rows;
  if (!pool_.has_room(sequence.pages, sequence.length() + rows)) return held - sequence.length();
  return pool_.grow(sequence.pages, sequence.length() + rows) ? rows : 0;
}

void Scheduler::plan_decoding() {
  // By rank, so that who is preempted has not been given a row yet, mostly.
  sorted_.assign(running_.begin(), running_.end());
  std::ranges::sort(sorted_, goes_before);
  for (Sequence* const sequence : sorted_) {
    if (!sequence->runs() || !sequence->decodes() || rows_left_ == 0) continue;
    make_room(*sequence);
    if (!sequence->runs()) continue;
    const std::int64_t drafted = draft_rows(*sequence);
    spare_logit_rows_ -= drafted;
    given_.push_back({sequence, 1 + drafted, drafted, 1 + drafted});
    rows_left_ -= 1 + drafted;
  }
  rows_left_ = limits_.step_rows;
  for (const Given& given : given_) rows_left_ -= given.rows;  // some may have lost theirs
  shape_.decode_rows = limits_.step_rows - rows_left_;
}

/// Whether this step is for short prompts alone. From so many streams on arithmetic bounds a step: rows of prompts cost
/// in it what they cost alone, and alone they are there sooner. Never twice in a row: the streams go on. The rest of a
/// longer prompt has waited for several steps and can wait for one more, in which its rows cost less.
bool Scheduler::leaves_streams_out() const {
  constexpr std::int64_t kManyStreams = 12;
  if (short_alone_) return false;
  const std::int64_t streams = std::ranges::count_if(running_, [](const Sequence* one) { return one->decodes(); });
  return streams >= kManyStreams && std::ranges::any_of(running_, [](const Sequence* one) {
           return !one->decodes() && is_short_prompt(*one) && one->cached == one->prefix_tokens;
         });
}

void Scheduler::plan_prompts() {
  sorted_.clear();
  for (Sequence* const sequence : running_) {
    if (!sequence->decodes()) sorted_.push_back(sequence);
  }
  // The order of admission decides between equals.
  std::ranges::sort(sorted_, [](const Sequence* a, const Sequence* b) {
    const auto left = [](const Sequence* one) {
      return one->length() - one->cached - kAgingTokens * one->waited_steps;
    };
    return left(a) != left(b) ? left(a) < left(b) : goes_before(a, b);
  });
  double streams = 0.0;
  for (const Sequence* const sequence : sorted_)
    streams += StepPacer::streams_for_prompt(sequence->length() - sequence->prefix_tokens);
  double seconds_left = pacer_.seconds_for_prompts(shape_.decode_rows, streams);
  double positions = 0.0;
  for (Sequence* const sequence : sorted_) {
    std::int64_t rows = std::min(rows_left_, sequence->length() - sequence->cached);
    const double row_seconds = pacer_.prompt_row_seconds(sequence->cached);
    const bool is_short = is_short_prompt(*sequence) && shape_.prompt_rows + rows <= kShortRows;
    if (short_alone_ && !is_short) continue;
    if (!is_short && static_cast<double>(rows) * row_seconds > seconds_left) {
      const auto in_time = static_cast<std::int64_t>(std::max(seconds_left, 0.0) / row_seconds);
      const std::int64_t least = pacer_.least_prompt_rows(shape_.decode_rows, row_seconds);
      rows = std::min(rows, std::max(in_time, least - shape_.prompt_rows));
    }
    if (sequence->wants_prompt_logits) rows = std::min(rows, spare_logit_rows_ + 1);
    ++sequence->waited_steps;
    if (rows <= 0) continue;
    sequence->waited_steps = 0;
    const bool last = sequence->cached + rows == sequence->length();
    const std::int64_t logit_rows = sequence->wants_prompt_logits ? rows : (last ? 1 : 0);
    spare_logit_rows_ -= std::max<std::int64_t>(logit_rows - 1, 0);
    given_.push_back({sequence, rows, 0, logit_rows});
    rows_left_ -= rows;
    seconds_left -= static_cast<double>(rows) * row_seconds;
    positions += static_cast<double>(rows) * (static_cast<double>(sequence->cached) + 0.5 * static_cast<double>(rows));
    shape_.prompt_rows += rows;
  }
  shape_.prompt_position = shape_.prompt_rows > 0 ? positions / static_cast<double>(shape_.prompt_rows) : 0.0;
}

const Scheduler::Step& Scheduler::schedule() {
  StepPlan& plan = step_.plan;
  plan.prefill.clear();
  plan.decode.clear();
  plan.tokens.clear();
  step_.logits.clear();
  step_.admitted.clear();
  given_.clear();
  shape_ = {};
  ++steps_;
  admit();
  rows_left_ = limits_.step_rows;
  spare_logit_rows_ = limits_.logit_rows - limits_.sequences;
  short_alone_ = leaves_streams_out();
  if (!short_alone_) plan_decoding();
  plan_prompts();
  // Spans of several rows come before single ones.
  for (const bool single : {false, true}) {
    for (const Given& given : given_) {
      if ((given.rows == 1) == single) add_span(given);
    }
  }
  return step_;
}

void Scheduler::add_span(const Given& given) {
  StepPlan& plan = step_.plan;
  Sequence& sequence = *given.sequence;
  (given.rows == 1 ? plan.decode : plan.prefill)
      .push_back({.sequence = sequence.slot,
                  .first_slot = static_cast<std::int32_t>(sequence.cached),
                  .rows = static_cast<std::int32_t>(given.rows),
                  .logit_rows = static_cast<std::int32_t>(given.logit_rows),
                  .rope_length = static_cast<std::int32_t>(limits_.context_tokens)});
  const auto begin = sequence.tokens.begin() + sequence.cached;
  plan.tokens.insert(plan.tokens.end(), begin, begin + (given.rows - given.drafted));
  plan.tokens.insert(plan.tokens.end(), sequence.draft.begin(), sequence.draft.begin() + given.drafted);
  if (given.logit_rows > 0)
    step_.logits.push_back(
        {&sequence, static_cast<std::int32_t>(given.logit_rows), static_cast<std::int32_t>(given.drafted)});
  for (std::size_t group = 0; group < plan.page_tables.size(); ++group) {
    const std::vector<std::int32_t>& pages = sequence.pages.groups[group];
    std::ranges::copy(pages, plan.page_tables[group].begin() + std::ptrdiff_t{sequence.slot} * plan.max_pages);
  }
}

void Scheduler::share_filled(Sequence& sequence) {
  if (!shares(sequence) || sequence.cached / kPageTokens == sequence.known.pages) return;
  prefixes_.add(std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.cached)), sequence.known,
                sequence.pages);
}

void Scheduler::commit(double seconds) {
  pacer_.measured(shape_, seconds);
  for (const Given& given : given_) {
    given.sequence->cached += given.rows - given.drafted;
    share_filled(*given.sequence);
  }
  given_.clear();
}

void Scheduler::keep_draft(Sequence& sequence, std::int64_t count) {
  if (count == 0) return;
  sequence.cached += count;
  share_filled(sequence);
}

}  // namespace corbel
