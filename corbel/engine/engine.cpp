#include "corbel/engine/engine.h"

#include <algorithm>
#include <new>
#include <utility>

#include "corbel/engine/answer.h"
#include "corbel/engine/sampler_passes.h"

namespace corbel {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

constexpr std::int32_t kMostChoices = 1024;

Error out_of_memory() { return {Code::no_memory, "out of memory"}; }  // short: needs no memory itself

Error broken_constraint() {
  return {Code::device_failed, "a token that the constraint allowed was refused by it: a fault of the engine"};
}

}  // namespace

Engine::Engine(StepRunner& runner, const Tokenizer& tokenizer, const EngineOptions& options)
    : runner_(&runner),
      tokenizer_(&tokenizer),
      options_(options),
      scheduler_(runner.model(), runner.limits(), {.prefix_cache = options.prefix_cache, .stretch = options.stretch},
                 [this](int group, std::int32_t from, std::int32_t to) { runner_->copy_page(group, from, to); }),
      chooser_(runner.model().info().vocab) {
  delivered_.reserve(static_cast<std::size_t>(runner.limits().sequences));
  guessed_.reserve(static_cast<std::size_t>(runner.limits().sequences));
}

Engine::~Engine() {
  for (auto& [id, answer] : by_sequence_) scheduler_.remove(answer->sequence);
}

Result<void> Engine::check(const EngineRequest& request) const {
  const std::int64_t vocab = runner_->model().info().vocab;
  CORBEL_TRY(request.sampling.validate(vocab));
  CORBEL_TRY(request.limits.validate());
  if (request.prompt.empty()) return fail(Code::bad_request, "the prompt has no tokens");
  for (std::size_t i = 0; i < request.prompt.size(); ++i) {
    if (request.prompt[i] < 0 || request.prompt[i] >= vocab) {
      return fail(Code::bad_request, cat("token ", i, " of the prompt has id ", request.prompt[i],
                                         ", the model's vocabulary ids 0 to ", vocab - 1));
    }
  }
  if (request.choices < 1 || request.choices > kMostChoices)
    return fail(Code::bad_request, cat("choices is ", request.choices, "; it must be 1 to ", kMostChoices));
  for (const std::int32_t said : request.said) {
    if (said < 0 || said >= vocab)
      return fail(Code::bad_request,
                  cat("the answer so far has id ", said, ", the model's vocabulary ids 0 to ", vocab - 1));
  }
  if (!request.said.empty() && (request.choices != 1 || request.logprobs >= 0 || request.prompt_logprobs >= 0))
    return fail(Code::bad_request, "an answer that goes on has one choice and no logprobs");
  for (const auto& [name, count] :
       {std::pair{"logprobs", request.logprobs}, {"prompt_logprobs", request.prompt_logprobs}}) {
    if (count > kMostTopLogprobs)
      return fail(Code::bad_request, cat(name, " is ", count, "; it must be at most ", kMostTopLogprobs));
  }
  // The last token of an answer is never run.
  const bool any = request.fills_context || request.on_full == OnFull::slide;
  const std::int64_t said = std::ssize(request.said);
  if (request.limits.max_tokens > 0 && said >= request.limits.max_tokens)
    return fail(Code::bad_request,
                cat("the answer has ", said, " tokens already; max_tokens is ", request.limits.max_tokens));
  const std::int64_t answer = any ? said + 1 : std::max<std::int64_t>(request.limits.max_tokens, said + 1);
  return scheduler_.check_fits(std::ssize(request.prompt) + answer - 1);
}

Result<std::uint64_t> Engine::submit(EngineRequest wanted) {
  CORBEL_TRY(check(wanted));
  const std::uint64_t id = next_id_++;
  try {
    auto group = std::make_unique<Group>();
    group->request = std::move(wanted);
    const EngineRequest& request = group->request;
    const std::int64_t context = runner_->limits().context_tokens;
    const std::int64_t most = request.limits.max_tokens > 0 && request.on_full == OnFull::stop
                                  ? std::min(context, std::ssize(request.prompt) + request.limits.max_tokens)
                                  : context;
    for (std::int32_t choice = 0; choice < request.choices; ++choice) {
      group->answers.push_back(
          std::make_unique<Answer>(*tokenizer_, request, id, static_cast<std::uint32_t>(choice), most));
      Answer& answer = *group->answers.back();
      answer.sequence.id = next_id_++;
      by_sequence_[answer.sequence.id] = &answer;
    }
    group->left = group->answers.size();
    if (!request.said.empty() && !group->answers.front()->go_on()) {
      by_sequence_.erase(group->answers.front()->sequence.id);
      return fail(Code::bad_request, "the answer so far has ended, or is not what the constraint allows");
    }
    cancelled_.reserve(groups_.size() + 1);
    overdue_.reserve(groups_.size() + 1);
    scheduler_.reserve(std::ssize(by_sequence_));
    Sequence& first = group->answers.front()->sequence;
    groups_[id] = std::move(group);
    scheduler_.add(first);  // the others follow when the prompt is done
  } catch (const std::bad_alloc&) {
    std::erase_if(by_sequence_, [id](const auto& entry) { return entry.first > id; });
    groups_.erase(id);
    return Failure{out_of_memory()};
  }
  return id;
}

void Engine::cancel(std::uint64_t id) {
  if (!groups_.contains(id)) return;
  if (!in_step_) return end_group(id, FinishReason::cancelled);
  if (std::ranges::find(cancelled_, id) == cancelled_.end()) cancelled_.push_back(id);
}

void Engine::cancel_all() {
  while (!groups_.empty()) end_group(groups_.begin()->first, FinishReason::cancelled);
}

void Engine::end(Answer& answer, FinishReason reason) {
  const auto found = groups_.find(answer.group());
  Group& group = *found->second;
  scheduler_.remove(answer.sequence);
  by_sequence_.erase(answer.sequence.id);
  GenerateResult result = answer.finish(reason);
  group.answers[result.choice].reset();
  const auto last = --group.left == 0 ? groups_.extract(found) : decltype(groups_)::node_type();
  if (group.request.on_end) group.request.on_end(std::move(result));
}

void Engine::end_group(std::uint64_t id, FinishReason reason) {
  for (std::size_t choice = 0;; ++choice) {
    const auto found = groups_.find(id);  // a callback may have ended it
    if (found == groups_.end() || choice >= found->second->answers.size()) return;
    Answer* const answer = found->second->answers[choice].get();
    if (answer == nullptr) continue;
    try {
      end(*answer, reason);
    } catch (const std::bad_alloc&) {
      fail_group(id, out_of_memory());
    }
  }
}

void Engine::fail_group(std::uint64_t id, const Error& error) {
  const auto group = groups_.extract(id);
  if (group.empty()) return;
  for (const auto& answer : group.mapped()->answers) {
    if (answer == nullptr) continue;
    scheduler_.discard(answer->sequence);
    by_sequence_.erase(answer->sequence.id);
  }
  if (group.mapped()->request.on_error) group.mapped()->request.on_error(error);
}

void Engine::end_overdue() {
  overdue_.clear();
  const Clock::time_point now = options_.now();
  for (const auto& [id, group] : groups_) {
    if (group->request.deadline && *group->request.deadline <= now) overdue_.push_back(id);
  }
  for (const std::uint64_t id : overdue_) end_group(id, FinishReason::timeout);
}

void Engine::propose_drafts() {
  std::int64_t decoding = 0;
  for (const Sequence* const sequence : scheduler_.running_sequences()) decoding += sequence->decodes() ? 1 : 0;
  DraftPolicy::Step step{scheduler_.pacer(), decoding, decoding};
  const bool always = options_.drafts == Drafts::always;  // else what steps cost has to be known, not guessed
  if (!always && decoding > 0 && !scheduler_.pacer().knows(decoding)) return;
  guessed_.clear();
  bool left_out = false;
  for (Sequence* const sequence : scheduler_.running_sequences()) {
    if (!sequence->decodes()) continue;
    Answer& answer = *by_sequence_.find(sequence->id)->second;
    step.guess_seconds = 0.0;
    std::int64_t tokens = answer.draft(always ? nullptr : &step);
    left_out = left_out || answer.left_out_good_rows();
    if (tokens == 0 && options_.draft_model != nullptr) {
      step.guess_seconds = options_.draft_model->token_seconds() / static_cast<double>(decoding);
      tokens = answer.guesses_worth(always ? nullptr : &step);
      if (tokens > 0) guessed_.push_back({sequence->slot, answer.history(), tokens, &sequence->draft});
    }
    step.rows += tokens;
  }
  if (left_out) scheduler_.pacer().doubt_more_rows_than(step.rows);
  if (!guessed_.empty()) options_.draft_model->propose(guessed_);
}

/// A model has one token more than fits: it was never run.
bool Engine::is_full(const Sequence& sequence) const {
  const RunnerLimits& limits = runner_->limits();
  return sequence.length() > std::min(limits.context_tokens, limits.pages * kPageTokens);
}

/// The first tokens of the other answers to the prompt, which is cached now; then they run on their own. False when
/// the request has failed.
bool Engine::fork_others(Answer& first, std::span<const float> logits) {
  Group& group = *groups_.find(first.group())->second;
  for (std::size_t choice = 1; choice < group.answers.size(); ++choice) {
    Answer& other = *group.answers[choice];
    other.admit();
    const Answer::State state = other.take(logits, chooser_);
    other.sequence.prefix_tokens = first.sequence.prefix_tokens;
    if (state == Answer::State::broken) {
      fail_group(first.group(), broken_constraint());
      return false;
    }
    if (state == Answer::State::goes_on && !is_full(other.sequence)) {
      scheduler_.fork(first.sequence, other.sequence);
    } else {
      end(other, state == Answer::State::stopped ? FinishReason::stop : FinishReason::length);
    }
  }
  return true;
}

/// Fails the answer's request when the row is not finite.
bool Engine::check_row(Answer& answer, std::span<const float> logits) {
  if (all_finite(logits)) return true;
  fail_group(answer.group(), {Code::device_failed, cat("NaN or infinity after ", answer.sequence.length(),
                                                       " tokens: ", runner_->find_broken_module(),
                                                       " is the first module whose output is not finite")});
  return false;
}

/// Rows of a prompt whose logprobs are wanted; false when they have failed the request.
bool Engine::deliver_prompt(Answer& answer, const Delivery& delivery, const Rows<const float>& rows) {
  Sequence& sequence = answer.sequence;
  const std::int64_t first = sequence.cached - delivery.rows;  // position of the first of them
  for (std::int64_t row = 0; row < delivery.rows; ++row) {
    const std::span<const float> logits(rows[delivery.first_row + row], chooser_.vocab());
    if (!check_row(answer, logits)) return false;
    answer.take_prompt(first + row, logits, chooser_);
  }
  sequence.wants_prompt_logits = sequence.cached < sequence.length();
  return true;
}

void Engine::deliver(Answer& answer, const Delivery& delivery, const Rows<const float>& rows) {
  Sequence& sequence = answer.sequence;
  if (sequence.wants_prompt_logits && !deliver_prompt(answer, delivery, rows)) return;
  if (sequence.cached < sequence.length()) return;  // a part of a prompt
  std::int64_t accepted = 0;
  Answer::State state = Answer::State::goes_on;
  const std::int64_t first = delivery.first_row + delivery.rows - 1 - delivery.drafted;
  for (std::int64_t at = 0; at <= delivery.drafted; ++at) {
    const std::span<const float> logits(rows[first + at], chooser_.vocab());
    if (!check_row(answer, logits)) return;
    if (!answer.has_tokens() && answer.request().choices > 1 && !fork_others(answer, logits)) return;
    state = answer.take(logits, chooser_);
    ++counts_.generated_tokens;
    const bool right = at < delivery.drafted && answer.last_token() == sequence.draft[at];
    if (right) ++accepted;
    if (!right || state != Answer::State::goes_on || is_full(sequence) || interrupted()) break;
  }
  scheduler_.keep_draft(sequence, accepted);
  answer.learn(delivery.drafted, accepted);
  counts_.drafts += delivery.drafted > 0 ? 1 : 0;
  for (std::int64_t at = 0; at < std::min<std::int64_t>(accepted, kDraftLogitRows); ++at)
    ++counts_.accepted_at[static_cast<std::size_t>(at)];
  counts_.drafted_tokens += delivery.drafted;
  counts_.accepted_tokens += accepted;
  if (state == Answer::State::broken) return fail_group(answer.group(), broken_constraint());
  if (state == Answer::State::stopped) return end(answer, FinishReason::stop);
  if (state == Answer::State::full) return end(answer, FinishReason::length);
  if (!is_full(sequence)) return;
  if (answer.request().on_full == OnFull::stop) return end(answer, FinishReason::length);
  if (!answer.slide()) {
    return fail_group(answer.group(), {Code::bad_request, cat("the context of ", runner_->limits().context_tokens,
                                                              " tokens is filled by the part that must stay (",
                                                              answer.request().keep_tokens, " tokens)")});
  }
  scheduler_.restart(sequence);
}

/// Nothing of the step is kept: its sequences run again from their tokens, unless the step before failed as well.
void Engine::handle_failure(const Error& error) {
  ++counts_.failed_steps;
  const bool again = std::exchange(step_failed_, true);
  while (again && scheduler_.running() > 0)
    fail_group(by_sequence_.find(scheduler_.running_sequences().front()->id)->second->group(), error);
  if (again) step_failed_ = false;
  scheduler_.restart_all();
}

/// Nothing runs: because there is nothing, or because memory for the next to be admitted was refused. It tries once
/// more.
bool Engine::handle_no_rows() {
  if (scheduler_.waiting() == 0) {
    step_was_empty_ = false;  // whoever comes next has two tries of its own
    return false;
  }
  if (std::exchange(step_was_empty_, true))
    fail_group(by_sequence_.find(scheduler_.first_waiting().id)->second->group(), out_of_memory());
  return true;
}

bool Engine::step(const std::atomic<bool>* interrupt) {
  end_overdue();
  if (options_.drafts != Drafts::none) propose_drafts();
  const Scheduler::Step& step = scheduler_.schedule();
  for (const Sequence* const sequence : step.admitted) by_sequence_.find(sequence->id)->second->admit();
  if (step.plan.rows() == 0) return handle_no_rows();
  step_was_empty_ = false;
  ++counts_.steps;
  counts_.rows += step.plan.rows();
  const Clock::time_point begin = options_.now();
  interrupt_ = interrupt;
  const Result<TensorView> logits = runner_->run_unchecked(step.plan, interrupt);
  if (!logits) {
    if (logits.error().code != Code::cancelled) handle_failure(logits.error());
    return true;
  }
  step_failed_ = false;
  StepReport report{.begin = begin, .run_seconds = seconds_between(begin, options_.now()), .shape = scheduler_.shape()};
  scheduler_.commit(report.run_seconds);
  deliver_all(step, *logits);
  if (options_.on_step) {
    report.deliver_seconds = seconds_between(begin, options_.now()) - report.run_seconds;
    report.running = scheduler_.running();
    report.waiting = scheduler_.waiting();
    report.free_pages = scheduler_.pool().free_pages(0);
    options_.on_step(report);
  }
  return true;
}

void Engine::deliver_all(const Scheduler::Step& step, const TensorView& logits) {
  // By number: a request that fails takes others of this very step with it.
  delivered_.clear();
  std::int64_t row = 0;
  for (const Scheduler::Wanted& wanted : step.logits) {
    delivered_.push_back({wanted.sequence->id, row, wanted.rows, wanted.drafted});
    row += wanted.rows;
  }
  in_step_ = true;
  const Rows<const float> rows(logits);
  for (const Delivery& delivery : delivered_) {
    const auto found = by_sequence_.find(delivery.sequence);
    if (found == by_sequence_.end()) continue;
    const std::uint64_t group = found->second->group();
    try {
      deliver(*found->second, delivery, rows);
    } catch (const std::bad_alloc&) {
      fail_group(group, out_of_memory());
    }
  }
  in_step_ = false;
  for (std::size_t i = 0; i < cancelled_.size(); ++i) end_group(cancelled_[i], FinishReason::cancelled);
  cancelled_.clear();
}

EngineFigures Engine::figures() const {
  EngineFigures figures = counts_;
  figures.running = scheduler_.running();
  figures.waiting = scheduler_.waiting();
  figures.most_running = runner_->limits().sequences;
  figures.preemptions = scheduler_.preemptions();
  figures.pages = scheduler_.pool().total();
  figures.free_pages = scheduler_.pool().free_pages(0);
  figures.prefix = scheduler_.prefix_counts();
  return figures;
}

}  // namespace corbel
