#include "corbel/engine/generate.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "corbel/engine/engine.h"

namespace corbel {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::span<const float> last_row(const TensorView& logits) {
  return {static_cast<const float*>(logits.data), static_cast<std::size_t>(logits.columns())};
}

/// One answer while it is being made.
class Generation {
 public:
  Generation(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options,
             const GenerateObserver& observer)
      : session_(session),
        options_(options),
        observer_(observer),
        sampler_(session.model().info().vocab),
        text_(tokenizer, options.limits()) {
    if (options.sampling.has_dry()) dry_.emplace(tokenizer, options.sampling, session.capacity());
  }

  Result<GenerateResult> run(std::span<const std::int32_t> prompt);

 private:
  void emit(const std::string& text) {
    if (text.empty()) return;
    result_.text += text;
    if (observer_.on_text) observer_.on_text(text);
  }
  /// Takes the token in; true when the answer is complete.
  bool take(std::int32_t id);
  Result<TensorView> feed(std::int32_t id);
  GenerateResult finish(FinishReason reason);

  Session& session_;
  const GenerateOptions& options_;
  const GenerateObserver& observer_;
  Sampler sampler_;
  AnswerText text_;
  std::optional<DryRepeats> dry_;
  std::string piece_;
  std::vector<std::int32_t> history_;  // prompt and answer
  GenerateResult result_;
};

bool Generation::take(std::int32_t id) {
  result_.ids.push_back(id);
  history_.push_back(id);
  const AnswerText::State state = text_.push(id, piece_);
  emit(piece_);
  result_.finish = state == AnswerText::State::stopped ? FinishReason::stop : FinishReason::length;
  return state != AnswerText::State::goes_on;
}

/// Logits after `id`. On a full context that slides, the kept half is run again; positions start anew.
Result<TensorView> Generation::feed(std::int32_t id) {
  const std::span<const std::int32_t> cached = session_.tokens();
  if (static_cast<std::int64_t>(cached.size()) < session_.capacity()) return session_.decode(id, observer_.cancel);
  const auto keep = std::min<std::size_t>(static_cast<std::size_t>(options_.keep_tokens), cached.size());
  const std::size_t dropped = std::max<std::size_t>(1, (cached.size() - keep) / 2);
  if (keep + dropped > cached.size()) {
    return fail(Code::bad_request, cat("the context of ", session_.capacity(),
                                       " tokens is filled by the part that must stay (", keep, " tokens)"));
  }
  std::vector<std::int32_t> rest(cached.begin(), cached.begin() + static_cast<std::ptrdiff_t>(keep));
  rest.insert(rest.end(), cached.begin() + static_cast<std::ptrdiff_t>(keep + dropped), cached.end());
  rest.push_back(id);
  return session_.prefill(rest, observer_.cancel);
}

GenerateResult Generation::finish(FinishReason reason) {
  result_.finish = reason;
  emit(text_.finish());
  result_.stop_id = text_.stop_id();
  if (text_.stop_string() != nullptr) result_.stop_string = *text_.stop_string();
  result_.figures.generated_tokens = static_cast<std::int64_t>(result_.ids.size());
  return std::move(result_);
}

Result<GenerateResult> Generation::run(std::span<const std::int32_t> prompt) {
  const Stopwatch whole;
  CORBEL_TRY(options_.check_prompt(std::ssize(prompt)));
  history_.assign(prompt.begin(), prompt.end());
  GenerateFigures& figures = result_.figures;
  figures.prompt_tokens = static_cast<std::int64_t>(prompt.size());
  Result<TensorView> logits = session_.prefill(prompt, observer_.cancel);
  figures.prefill_seconds = whole.seconds();
  figures.prefilled_tokens = session_.prefilled();
  figures.cached_tokens = figures.prompt_tokens - figures.prefilled_tokens;
  const auto cancelled = [](const Result<TensorView>& failed) { return failed.error().code == Code::cancelled; };
  if (!logits && cancelled(logits)) return finish(FinishReason::cancelled);
  if (!logits) return forward_failure(logits);

  Stopwatch decoding;
  while (true) {
    const std::int32_t id = sampler_.sample({.logits = last_row(*logits),
                                             .history = history_,
                                             .prompt_tokens = figures.prompt_tokens,
                                             .options = options_.sampling,
                                             .position = history_.size(),
                                             .repeats = dry_ ? dry_->find(history_) : std::span<const DryRepeat>(),
                                             .banned_ids = text_.banned_ids()});
    if (result_.ids.empty()) {
      figures.first_token_seconds = whole.seconds();
      decoding = Stopwatch();
    }
    const bool complete = take(id);
    figures.decode_seconds = decoding.seconds();
    if (complete) return finish(result_.finish);
    if (observer_.cancel != nullptr && observer_.cancel->load()) return finish(FinishReason::cancelled);
    const bool full = static_cast<std::int64_t>(session_.tokens().size()) >= session_.capacity();
    if (full && options_.on_full == OnFull::stop) return finish(FinishReason::length);
    logits = feed(id);
    if (!logits && cancelled(logits)) return finish(FinishReason::cancelled);
    if (!logits) return forward_failure(logits);
  }
}

}  // namespace

Result<void> GenerateOptions::check_prompt(std::int64_t tokens) const {
  if (input_tokens <= 0 || tokens <= input_tokens) return {};
  return fail(Code::bad_request, cat("the prompt has ", tokens,
                                     " tokens; the model's static profile was compiled for "
                                     "inputs of at most ",
                                     input_tokens));
}

GenerateOptions generate_options(const GenerationDefaults& defaults) {
  GenerateOptions options;
  SamplingOptions& sampling = options.sampling;
  sampling.temperature = defaults.do_sample.value_or(false) ? defaults.temperature.value_or(1.0) : 0.0;
  sampling.top_k = defaults.top_k.value_or(0);
  sampling.top_p = defaults.top_p.value_or(1.0);
  sampling.min_p = defaults.min_p.value_or(0.0);
  sampling.repetition_penalty = defaults.repetition_penalty.value_or(1.0);
  options.max_tokens = defaults.max_new_tokens.value_or(kDefaultMaxTokens);
  options.input_tokens = defaults.input_tokens;
  for (const std::int64_t id : defaults.eos_ids) options.stop_ids.push_back(static_cast<std::int32_t>(id));
  return options;
}

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop: return "stop";
    case FinishReason::length: return "length";
    case FinishReason::cancelled: return "cancelled";
    case FinishReason::timeout: return "timeout";
  }
  return "?";
}

double GenerateFigures::prefill_tokens_per_second() const noexcept {
  return prefill_seconds > 0.0 ? static_cast<double>(prefilled_tokens) / prefill_seconds : 0.0;
}

double GenerateFigures::decode_tokens_per_second() const noexcept {
  return generated_tokens > 1 && decode_seconds > 0.0 ? static_cast<double>(generated_tokens - 1) / decode_seconds
                                                      : 0.0;
}

Result<GenerateResult> generate(Session& session, const Tokenizer& tokenizer, std::span<const std::int32_t> prompt,
                                const GenerateOptions& options, const GenerateObserver& observer) {
  CORBEL_TRY(options.sampling.validate(session.model().info().vocab));
  CORBEL_TRY(options.limits().validate());
  if (observer.on_begin) observer.on_begin(prompt, options);
  return Generation(session, tokenizer, options, observer).run(prompt);
}

EngineRequest engine_request(std::vector<std::int32_t> prompt, const GenerateOptions& options,
                             const GenerateObserver& observer) {
  EngineRequest request{.prompt = std::move(prompt),
                        .sampling = options.sampling,
                        .limits = options.limits(),
                        .fills_context = true,
                        .on_full = options.on_full,
                        .keep_tokens = options.keep_tokens};
  if (observer.on_text) {
    request.on_text = [on_text = observer.on_text](const AnswerPiece& piece) {
      if (!piece.text.empty()) on_text(piece.text);
    };
  }
  return request;
}

Result<GenerateResult> generate(Engine& engine, EngineRequest request, const std::atomic<bool>* cancel) {
  CORBEL_CHECK(request.choices == 1, "generate() gives one answer, not ", request.choices);
  std::optional<Result<GenerateResult>> outcome;
  request.on_end = [&outcome](GenerateResult result) { outcome = std::move(result); };
  request.on_error = [&outcome](const Error& error) { outcome = Failure{error}; };
  CORBEL_ASSIGN(const std::uint64_t id, engine.submit(std::move(request)));
  while (!outcome) {
    if (cancel != nullptr && cancel->load(std::memory_order_relaxed)) {
      engine.cancel(id);
    } else {
      engine.step(cancel);
    }
  }
  return *std::move(outcome);
}

}  // namespace corbel
