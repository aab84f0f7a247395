#include "corbel/server/metrics.h"

#include <algorithm>

#include "corbel/server/metrics_page.h"

namespace corbel {
namespace {

// vLLM's own (vllm/v1/metrics/loggers.py): its dashboards compute percentiles from them.
constexpr std::array kFirstToken{.001, .005, .01, .02, .04, .06, .08, .1,  .25,  .5,   .75,
                                 1.,   2.5,  5.,  7.5, 10., 20., 40., 80., 160., 640., 2560.};
constexpr std::array kTokenGap{.01, .025, .05, .075, .1,  .15, .2,  .3,  .4, .5,
                               .75, 1.,   2.5, 5.,   7.5, 10., 20., 40., 80.};
constexpr std::array kRequest{.3,  .5,  .8,  1.,  1.5,  2.,   2.5,  5.,   10.,   15.,  20.,
                              30., 40., 50., 60., 120., 240., 480., 960., 1920., 7680.};
constexpr std::array kChoices{1., 2., 5., 10., 20.};
constexpr std::array kStepTokens{1., 8., 16., 32., 64., 128., 256., 512., 1024., 2048., 4096., 8192., 16384.};

template <std::size_t kCount>
Histogram with(const std::array<double, kCount>& bounds) {
  return Histogram({bounds.begin(), bounds.end()});
}

/// 1, 2, 5, 10, 20, 50, ... up to the context.
Histogram of_tokens(std::int64_t most) {
  std::vector<double> bounds;
  for (double decade = 1.0;; decade *= 10.0) {
    for (const double step : {1.0, 2.0, 5.0}) {
      if (step * decade > static_cast<double>(most)) return Histogram(std::move(bounds));
      bounds.push_back(step * decade);
    }
  }
}

}  // namespace

Histogram step_token_histogram() { return with(kStepTokens); }

void Histogram::add(double value) {
  const auto at = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  ++counts_[static_cast<std::size_t>(at)];
  sum_ += value;
}

ModelMetrics::ModelMetrics(std::int64_t context_tokens)
    : first_token_(with(kFirstToken)),
      token_gap_(with(kTokenGap)),
      token_mean_(with(kTokenGap)),
      whole_(with(kRequest)),
      queue_(with(kRequest)),
      inference_(with(kRequest)),
      prefill_(with(kRequest)),
      decode_(with(kRequest)),
      prompt_sizes_(of_tokens(context_tokens)),
      answer_sizes_(of_tokens(context_tokens)),
      most_answer_sizes_(of_tokens(context_tokens)),
      max_tokens_(of_tokens(context_tokens)),
      computed_(of_tokens(context_tokens)),
      choices_(with(kChoices)) {}

void ModelMetrics::note_request(std::int64_t choices, std::int64_t max_tokens) {
  const std::lock_guard lock(mutex_);
  choices_.add(static_cast<double>(choices));
  if (max_tokens > 0) max_tokens_.add(static_cast<double>(max_tokens));
}

void ModelMetrics::note_first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  ++generated_tokens_;
  first_token_.add(seconds);
}

void ModelMetrics::note_token(double gap_seconds) {
  const std::lock_guard lock(mutex_);
  ++generated_tokens_;
  token_gap_.add(gap_seconds);
}

void ModelMetrics::note_end(const Answer& answer) {
  const std::lock_guard lock(mutex_);
  ++ended_[static_cast<std::size_t>(answer.end)];
  if (answer.end == End::error) return;
  const GenerateFigures& figures = answer.figures;
  const std::int64_t tokens = figures.generated_tokens;
  generated_tokens_ += std::max<std::int64_t>(tokens - answer.counted_tokens, 0);
  whole_.add(answer.seconds);
  answer_sizes_.add(static_cast<double>(tokens));
  if (tokens > 0) {
    const double prefill = figures.first_token_seconds - figures.queue_seconds;
    prefill_.add(prefill);
    decode_.add(figures.decode_seconds);
    inference_.add(prefill + figures.decode_seconds);
  }
  if (tokens > 1) token_mean_.add(figures.decode_seconds / static_cast<double>(tokens - 1));
  if (!answer.is_first) return;
  prompt_tokens_ += figures.prompt_tokens;
  cached_tokens_ += figures.cached_tokens;
  prompt_sizes_.add(static_cast<double>(figures.prompt_tokens));
  computed_.add(static_cast<double>(figures.prefilled_tokens));
  most_answer_sizes_.add(static_cast<double>(tokens));
  queue_.add(figures.queue_seconds);
}

void ModelMetrics::note_text(std::int64_t tokens, double seconds) {
  const std::lock_guard lock(mutex_);
  ++ended_[static_cast<std::size_t>(End::stop)];
  prompt_tokens_ += tokens;
  prompt_sizes_.add(static_cast<double>(tokens));
  computed_.add(static_cast<double>(tokens));
  whole_.add(seconds);
}

void ModelMetrics::note_broken() {
  const std::lock_guard lock(mutex_);
  ++broken_;
}

ModelMetrics& ServerMetrics::of(std::string_view model, std::int64_t context_tokens) {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(model);
  return found != models_.end() ? found->second : models_.try_emplace(std::string(model), context_tokens).first->second;
}

void ServerMetrics::note_response(int status) {
  const std::lock_guard lock(mutex_);
  ++responses_[status];
}

std::string ServerMetrics::page(std::span<const EngineSample> engines) {
  MetricsPage page;
  for (const EngineSample& engine : engines) page.add(engine, of(engine.model, engine.context_tokens));
  const std::lock_guard lock(mutex_);
  page.add_responses(responses_);
  return page.text();
}

}  // namespace corbel
