#include "corbel/server/request_record.h"

#include <vector>

namespace corbel {
namespace {

double seconds_since(RequestRecord::Clock::time_point begin) {
  return std::chrono::duration<double>(RequestRecord::Clock::now() - begin).count();
}

ModelMetrics::End end_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop: return ModelMetrics::End::stop;
    case FinishReason::length: return ModelMetrics::End::length;
    case FinishReason::cancelled:
    case FinishReason::timeout: return ModelMetrics::End::abort;
  }
  return ModelMetrics::End::error;
}

constexpr int kClientLeft = 499;  // as nginx logs it

}  // namespace

/// A request in the engine. Its thread only.
struct RequestRecord::Watch {
  std::shared_ptr<RequestRecord> record;
  ModelMetrics* metrics;
  std::function<void(const AnswerPiece&)> on_text;
  std::function<void(GenerateResult)> on_end;
  std::function<void(const Error&)> on_error;
  struct Choice {
    std::int64_t tokens = 0;
    Clock::time_point last;
  };
  std::vector<Choice> choices;
  bool has_failed = false;

  void take(const AnswerPiece& piece) {
    if (record->is_void()) return;
    Choice& choice = choices[piece.choice];
    if (piece.id >= 0) {
      const Clock::time_point now = Clock::now();
      if (choice.tokens++ > 0) {
        metrics->note_token(std::chrono::duration<double>(now - choice.last).count());
      } else {
        metrics->note_first_token(std::chrono::duration<double>(now - record->arrived).count());
      }
      choice.last = now;
    }
    if (on_text) on_text(piece);
  }
  void end(GenerateResult result) {
    if (record->is_void())
      return fail({Code::device_failed, "the model's file changed while it was served; the answer is lost"});
    metrics->note_end({.end = end_of(result.finish),
                       .seconds = seconds_since(record->arrived),
                       .figures = result.figures,
                       .is_first = result.choice == 0,
                       .counted_tokens = choices[result.choice].tokens});
    record->note_result(result);
    if (on_end) on_end(std::move(result));
  }
  void fail(const Error& error) {
    if (std::exchange(has_failed, true)) return;  // of several choices, once
    metrics->note_end({.end = ModelMetrics::End::error});
    if (error.message.starts_with("NaN or infinity")) metrics->note_broken();
    {
      const std::lock_guard lock(record->mutex_);
      record->finish_ = "error";
    }
    if (on_error) on_error(error);
  }
};

Result<void> RequestRecord::admit(EngineRequest& request, ModelMetrics& metrics) {
  const auto tokens = std::ssize(request.prompt);
  if (limits.prompt_tokens > 0 && tokens > limits.prompt_tokens)
    return fail(Code::bad_request, cat("the prompt has ", tokens, " tokens; this server takes ", limits.prompt_tokens,
                                       " (--max-prompt-tokens)"));
  const Clock::time_point deadline = arrived + limits.seconds;
  if (!request.deadline || *request.deadline > deadline) request.deadline = deadline;
  // Behind a byte that no client's own salt begins with: keys never share prefixes, whatever they ask for.
  if (!key_salt.empty()) request.prefix_salt = cat('\x01', key_salt, request.prefix_salt);
  metrics.note_request(request.choices, request.limits.max_tokens);
  {
    const std::lock_guard lock(mutex_);
    prompt_tokens_ = tokens;
  }
  const auto watch = std::make_shared<Watch>(shared_from_this(), &metrics, std::move(request.on_text),
                                             std::move(request.on_end), std::move(request.on_error));
  watch->choices.resize(static_cast<std::size_t>(std::max(request.choices, 1)));
  request.on_text = [watch](const AnswerPiece& piece) { watch->take(piece); };
  request.on_end = [watch](GenerateResult result) { watch->end(std::move(result)); };
  request.on_error = [watch](const Error& error) { watch->fail(error); };
  return {};
}

void RequestRecord::note_result(const GenerateResult& result) {
  const std::lock_guard lock(mutex_);
  if (result.choice == 0) {
    prompt_tokens_ = result.figures.prompt_tokens;
    finish_ = finish_reason_name(result.finish);
  }
  answer_tokens_ += result.figures.generated_tokens;
}

void RequestRecord::note_texts(std::int64_t tokens) {
  const std::lock_guard lock(mutex_);
  prompt_tokens_ = tokens;
  finish_ = finish_reason_name(FinishReason::stop);
}

void RequestRecord::note_answer(int status) {
  const std::lock_guard lock(mutex_);
  if (status_ == 0) status_ = status;
}

void RequestRecord::note_end() {
  const std::lock_guard lock(mutex_);
  ended_ = Clock::now();
}

void RequestRecord::note_gone() {
  const std::lock_guard lock(mutex_);
  client_left_ = true;
  ended_ = Clock::now();
  if (status_ == 0) status_ = kClientLeft;
}

RequestRecord::~RequestRecord() {
  if (!done_) return;
  done_({.arrived = arrived_utc_,
         .ms = std::chrono::duration<double, std::milli>(ended_ - arrived).count(),
         .id = std::move(id),
         .method = std::move(method),
         .path = std::move(path),
         .key = std::move(key_name),
         .finish = std::move(finish_),
         .status = status_,
         .prompt_tokens = prompt_tokens_,
         .answer_tokens = answer_tokens_,
         .client_left = client_left_});
}

}  // namespace corbel
