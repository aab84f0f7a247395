#include "apps/bench_arrivals.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "corbel/engine/engine.h"

namespace corbel::app {
namespace {

/// Of no tokens: what is generated here is counted, not read.
Result<Tokenizer> silent_tokenizer() {
  return Tokenizer::from_json(
      R"({"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}})", "silent tokenizer");
}

struct Run {
  double seconds = 0.0;
  std::vector<double> first_tokens;  // seconds, ascending
};

Result<Run> run_once(StepRunner& runner, const Tokenizer& tokenizer, const ArrivalSettings& settings) {
  Engine engine(runner, tokenizer,
                {.prefix_cache = false, .drafts = Drafts::none, .stretch = std::numeric_limits<double>::infinity()});
  Run run;
  std::optional<Error> failed;
  const auto vocab = static_cast<std::uint32_t>(runner.model().info().vocab);
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t request = 0; request < settings.requests; ++request) {
    EngineRequest wanted;
    std::uint32_t state = static_cast<std::uint32_t>(request) + 1;
    for (std::int64_t token = 0; token < settings.prompt_tokens; ++token) {
      state = state * 1664525U + 1013904223U;
      wanted.prompt.push_back(static_cast<std::int32_t>((state >> 8) % vocab));
    }
    wanted.limits.max_tokens = settings.answer_tokens;
    wanted.on_end = [&run](const GenerateResult& result) {
      run.first_tokens.push_back(result.figures.first_token_seconds);
    };
    wanted.on_error = [&failed](const Error& error) { failed = error; };
    CORBEL_TRY(engine.submit(std::move(wanted)));
  }
  while (engine.step()) continue;
  if (failed) return Failure{*failed};
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::ranges::sort(run.first_tokens);
  return run;
}

}  // namespace

Result<BenchRow> bench_arrivals(const TextModel& model, Device& device, const ArrivalSettings& settings) {
  const std::int64_t requests = settings.requests;
  const std::int64_t context = settings.prompt_tokens + settings.answer_tokens;
  const RunnerLimits limits{.step_rows = std::max<std::int64_t>(512, requests),
                            .logit_rows = requests,
                            .sequences = requests,
                            .context_tokens = context};
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(model, device, limits));
  CORBEL_ASSIGN(const Tokenizer tokenizer, silent_tokenizer());
  BenchRow row{.name = "arrive", .tokens = settings.answer_tokens, .batch = requests};
  CORBEL_ASSIGN(row.limits, device.measure_limits({}));
  std::vector<Run> runs;
  for (int repeat = 0; repeat < settings.repeats; ++repeat) {
    CORBEL_ASSIGN(Run run, run_once(runner, tokenizer, settings));
    runs.push_back(std::move(run));
  }
  std::ranges::sort(runs, {}, &Run::seconds);
  const Run& middle = runs[runs.size() / 2];
  row.seconds = middle.seconds;
  row.first_token_p50 = middle.first_tokens[middle.first_tokens.size() / 2];
  row.first_token_p95 = middle.first_tokens[middle.first_tokens.size() * 95 / 100];
  const auto steps = static_cast<double>(settings.answer_tokens);
  const double keys = 0.5 * static_cast<double>(context * (context + 1)) * static_cast<double>(requests);
  finish_row(
      row,
      arithmetic_seconds(model.info(), requests * (context - 1), requests * settings.answer_tokens, keys, row.limits),
      steps *
          memory_seconds(model.info(), static_cast<double>(requests) * 0.5 * static_cast<double>(context), row.limits));
  return row;
}

}  // namespace corbel::app
