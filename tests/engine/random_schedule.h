#pragma once
#include <memory>
#include <string>

#include "corbel/engine/engine.h"
#include "tests/engine/byte_tokenizer.h"
#include "tests/engine/echo_model.h"

namespace corbel {

/// What bytes say, zeros behind their end.
class ScheduleBytes {
 public:
  explicit ScheduleBytes(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }
  std::int64_t below(std::int64_t end) {
    std::int64_t value = 0;
    for (std::int64_t range = 1; range < end; range *= 256) {
      value = value * 256 + (bytes_.empty() ? 0 : bytes_.front());
      if (!bytes_.empty()) bytes_ = bytes_.subspan(1);
    }
    return value % end;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

/// An engine of any shape, requests of any kind at any time, cancelled or interrupted at any time, as the bytes say.
/// Every answer is compared with what EchoModel's definition and a sampler of its own give. What went wrong; empty:
/// nothing.
class RandomSchedule {
 public:
  explicit RandomSchedule(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::string run() {
    const RunnerLimits limits = read_limits();
    const auto device = make_reference_device();
    auto runner = StepRunner::make(model_, *device, limits);
    if (!runner) return runner.error().message;
    static const Tokenizer tokenizer = make_byte_tokenizer();
    const Drafts drafts[] = {Drafts::none, Drafts::where_they_pay, Drafts::always};
    Engine engine(*runner, tokenizer,
                  {.prefix_cache = bytes_.below(4) > 0, .drafts = drafts[bytes_.below(3)], .stretch = 1.5});
    engine_ = &engine;
    std::atomic<bool> interrupt = false;
    while (!bytes_.done() && wrong_.empty()) {
      switch (bytes_.below(8)) {
        case 0:
        case 1: submit(); break;
        case 2: engine.cancel(1 + static_cast<std::uint64_t>(bytes_.below(64))); break;
        case 3:
          interrupt = true;
          engine.step(&interrupt);
          interrupt = false;
          break;
        default: engine.step(&interrupt);
      }
    }
    for (int steps = 0; wrong_.empty() && engine.step(); ++steps) {
      if (steps > 100000) wrong_ = "steps without end";
    }
    const EngineFigures figures = engine.figures();
    if (wrong_.empty() && ended_ != expected_endings_)
      wrong_ = cat(ended_, " of ", expected_endings_, " choices ended");
    if (wrong_.empty() && figures.free_pages + figures.prefix.pages != figures.pages) wrong_ = "pages leaked";
    return wrong_;
  }

 private:
  RunnerLimits read_limits() {
    RunnerLimits limits;
    limits.sequences = 1 + bytes_.below(6);
    limits.step_rows = limits.sequences + bytes_.below(80);
    limits.logit_rows = limits.sequences + bytes_.below(12);
    limits.context_tokens = 64 + bytes_.below(400);
    limits.pages = pages_of_tokens(limits.context_tokens) + bytes_.below(8);
    context_ = limits.context_tokens;
    return limits;
  }

  void submit() {
    EngineRequest request;
    const std::int64_t tokens = 1 + bytes_.below(context_);
    const std::int64_t kind = bytes_.below(3);  // many begin alike
    const std::int64_t own = bytes_.below(tokens + 1);
    for (std::int64_t i = 0; i < tokens; ++i)
      request.prompt.push_back(static_cast<std::int32_t>((i * 7 + kind + (i >= own ? tokens : 0)) % EchoModel::kVocab));
    request.limits.max_tokens = 1 + bytes_.below(90);
    if (bytes_.below(2) == 0) request.sampling.temperature = 1.0;
    request.sampling.seed = static_cast<std::uint64_t>(bytes_.below(5));
    request.choices = static_cast<std::int32_t>(1 + bytes_.below(2) * bytes_.below(4));
    request.priority = static_cast<std::int32_t>(bytes_.below(3));
    request.shares_prefix = bytes_.below(8) > 0;
    request.drafts = bytes_.below(8) > 0;
    if (bytes_.below(6) == 0) request.prompt_logprobs = 1;
    if (bytes_.below(8) == 0) request.deadline = std::chrono::steady_clock::now();
    const auto wanted = std::make_shared<EngineRequest>(request);
    request.on_end = [this, wanted](const GenerateResult& result) { compare(*wanted, result); };
    request.on_error = [this](const Error& error) { wrong_ = error.message; };
    if (const auto id = engine_->submit(std::move(request))) expected_endings_ += wanted->choices;
  }

  void compare(const EngineRequest& request, const GenerateResult& result) {
    ++ended_;
    std::vector<std::int32_t> all = request.prompt;
    std::vector<float> logits(static_cast<std::size_t>(EchoModel::kVocab));
    SamplingOptions sampling = request.sampling;
    sampling.choice = result.choice;
    for (const std::int32_t id : result.ids) {
      EchoModel::logits_behind(all, logits);
      const std::int32_t expected = sampler_.sample({.logits = logits,
                                                     .history = all,
                                                     .prompt_tokens = std::ssize(request.prompt),
                                                     .options = sampling,
                                                     .position = all.size()});
      if (id != expected) {
        wrong_ = cat("token ", all.size(), " is ", id, ", not ", expected);
        return;
      }
      all.push_back(id);
    }
    const bool whole = result.finish == FinishReason::length || result.finish == FinishReason::stop;
    if (whole && std::ssize(result.ids) != request.limits.max_tokens)
      wrong_ = cat(result.ids.size(), " tokens instead of ", request.limits.max_tokens);
  }

  ScheduleBytes bytes_;
  EchoModel model_;
  Sampler sampler_{EchoModel::kVocab};
  Engine* engine_ = nullptr;
  std::int64_t context_ = 0;
  std::int64_t expected_endings_ = 0;
  std::int64_t ended_ = 0;
  std::string wrong_;
};

}  // namespace corbel
