#include "corbel/engine/engine.h"

#include <chrono>

namespace corbel {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

struct Engine::Work {
  Work(const Tokenizer& tokenizer, EngineRequest wanted)
      : request(std::move(wanted)), text(tokenizer, request.limits) {}

  EngineRequest request;
  Sequence sequence;
  AnswerText text;
  std::string piece;
  GenerateResult result;
  Clock::time_point submitted = Clock::now();
  Clock::time_point first_token;
};

Engine::Engine(StepRunner& runner, const Tokenizer& tokenizer, const EngineOptions& options)
    : runner_(&runner),
      tokenizer_(&tokenizer),
      scheduler_(runner.model(), runner.limits(), options.prefix_cache),
      sampler_(runner.model().info().vocab) {}

Engine::~Engine() {
  for (auto& [id, work] : works_) scheduler_.remove(work->sequence);
}

Result<std::uint64_t> Engine::submit(EngineRequest request) {
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
  // The last token of an answer is never run.
  const std::int64_t answer = std::max<std::int64_t>(request.limits.max_tokens, 1);
  CORBEL_TRY(scheduler_.check_fits(std::ssize(request.prompt) + answer - 1));
  const std::uint64_t id = next_id_++;
  auto work = std::make_unique<Work>(*tokenizer_, std::move(request));
  Sequence& sequence = work->sequence;
  sequence.id = id;
  sequence.arrival = id;
  sequence.priority = work->request.priority;
  sequence.salt = work->request.prefix_salt;
  sequence.shares_prefix = work->request.shares_prefix;
  sequence.tokens.reserve(static_cast<std::size_t>(runner_->limits().context_tokens) + 1);
  sequence.tokens = work->request.prompt;
  work->result.figures.prompt_tokens = sequence.length();
  scheduler_.add(sequence);
  works_[id] = std::move(work);
  return id;
}

void Engine::cancel(std::uint64_t id) {
  const auto found = works_.find(id);
  if (found != works_.end()) end(*found->second, FinishReason::cancelled);
}

void Engine::end(Work& work, FinishReason reason) {
  if (std::string rest = work.text.finish(); !rest.empty()) {
    work.result.text += rest;
    if (work.request.on_text) work.request.on_text(rest);
  }
  work.result.finish = reason;
  work.result.stop_id = work.text.stop_id();
  if (work.text.stop_string() != nullptr) work.result.stop_string = *work.text.stop_string();
  GenerateFigures& figures = work.result.figures;
  figures.generated_tokens = std::ssize(work.result.ids);
  figures.cached_tokens = work.sequence.prefix_tokens;
  figures.prefilled_tokens = figures.generated_tokens > 0 ? figures.prompt_tokens - figures.cached_tokens : 0;
  if (figures.generated_tokens > 0) figures.decode_seconds = seconds_since(work.first_token);
  scheduler_.remove(work.sequence);
  const auto owned = works_.extract(work.sequence.id);
  if (work.request.on_end) work.request.on_end(std::move(work.result));
}

void Engine::fail_work(Work& work, const Error& error) {
  scheduler_.remove(work.sequence);
  const auto owned = works_.extract(work.sequence.id);
  if (work.request.on_error) work.request.on_error(error);
}

void Engine::deliver(Work& work, std::span<const float> logits) {
  if (!all_finite(logits)) {
    const auto broken = fail(Code::device_failed, cat("NaN or infinity after ", work.sequence.length(),
                                                      " tokens: ", runner_->find_broken_module(),
                                                      " is the first module whose output is not finite"));
    return fail_work(work, broken.error);
  }
  Sequence& sequence = work.sequence;
  const std::int32_t id = sampler_.sample({.logits = logits,
                                           .history = sequence.tokens,
                                           .prompt_tokens = std::ssize(work.request.prompt),
                                           .options = work.request.sampling,
                                           .position = static_cast<std::uint64_t>(sequence.length()),
                                           .banned_ids = work.text.banned_ids()});
  if (work.result.ids.empty()) {
    work.first_token = Clock::now();
    work.result.figures.first_token_seconds = seconds_since(work.submitted);
  }
  sequence.tokens.push_back(id);
  work.result.ids.push_back(id);
  const AnswerText::State state = work.text.push(id, work.piece);
  work.result.text += work.piece;
  if (!work.piece.empty() && work.request.on_text) work.request.on_text(work.piece);
  if (state == AnswerText::State::stopped) return end(work, FinishReason::stop);
  const RunnerLimits& limits = runner_->limits();
  const std::int64_t most = std::min(limits.context_tokens, limits.pages * kPageTokens);
  if (state == AnswerText::State::full || sequence.length() > most) return end(work, FinishReason::length);
}

bool Engine::step() {
  const Scheduler::Step& step = scheduler_.schedule();
  if (step.plan.rows() == 0) return false;
  ++steps_;
  rows_ += step.plan.rows();
  const Result<TensorView> logits = runner_->run_unchecked(step.plan);
  if (!logits) {
    std::vector<Work*> hit;
    for (auto& [id, work] : works_) {
      if (work->sequence.runs()) hit.push_back(work.get());
    }
    for (Work* const work : hit) fail_work(*work, logits.error());
    return true;
  }
  scheduler_.commit();
  // By number: callbacks may cancel requests of this very step.
  delivered_.clear();
  for (const Sequence* const sequence : step.logits) delivered_.push_back(sequence->id);
  const Rows<const float> rows(*logits);
  for (std::size_t row = 0; row < delivered_.size(); ++row) {
    const auto found = works_.find(delivered_[row]);
    if (found == works_.end()) continue;
    deliver(*found->second, {rows[static_cast<std::int64_t>(row)], static_cast<std::size_t>(logits->columns())});
  }
  return true;
}

EngineFigures Engine::figures() const {
  return {.running = scheduler_.running(),
          .waiting = scheduler_.waiting(),
          .steps = steps_,
          .rows = rows_,
          .preemptions = scheduler_.preemptions(),
          .pages = scheduler_.pool().total(),
          .free_pages = scheduler_.pool().free_pages(0),
          .prefix = scheduler_.prefix_counts()};
}

}  // namespace corbel
