#include "apps/bench_model.h"

#include <algorithm>
#include <chrono>

namespace corbel::app {
namespace {

constexpr std::int64_t kLargestStep = 2048;  // rows; longer prompts are prefilled in chunks

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  Bench(const TextModel& model, StepRunner& runner) : model_(model), runner_(runner) {}

  /// Prefills slots first .. first + tokens - 1 of one sequence; logits of the last token.
  Result<void> prefill(std::int32_t sequence, std::int64_t first, std::int64_t tokens) {
    for (std::int64_t done = 0; done < tokens;) {
      const std::int64_t rows = std::min(tokens - done, runner_.limits().step_rows);
      StepPlan plan = empty_plan();
      plan.prefill = {{.sequence = sequence,
                       .first_slot = static_cast<std::int32_t>(first + done),
                       .rows = static_cast<std::int32_t>(rows),
                       .logit_rows = done + rows == tokens ? 1 : 0,
                       .rope_length = static_cast<std::int32_t>(runner_.limits().context_tokens)}};
      for (std::int64_t i = 0; i < rows; ++i) plan.tokens.push_back(token(first + done + i));
      if (auto ran = runner_.run(plan); !ran) return forward_failure(ran);
      done += rows;
    }
    return {};
  }

  /// One token of each of `batch` sequences, all at `slot`.
  Result<void> decode(std::int64_t batch, std::int64_t slot) {
    StepPlan plan = empty_plan();
    for (std::int32_t sequence = 0; sequence < batch; ++sequence) {
      plan.decode.push_back({.sequence = sequence,
                             .first_slot = static_cast<std::int32_t>(slot),
                             .logit_rows = 1,
                             .rope_length = static_cast<std::int32_t>(runner_.limits().context_tokens)});
      plan.tokens.push_back(token(slot + sequence));
    }
    if (auto ran = runner_.run(plan); !ran) return forward_failure(ran);
    return {};
  }

 private:
  /// Spread over the vocabulary, so that embedding rows are not all in one page.
  std::int32_t token(std::int64_t index) const {
    return static_cast<std::int32_t>((index * 7919 + 13) % model_.info().vocab);
  }

  StepPlan empty_plan() const {
    StepPlan plan;
    plan.sequences = static_cast<std::int32_t>(runner_.limits().sequences);
    plan.max_pages = static_cast<std::int32_t>(runner_.pages_per_sequence());
    std::vector<std::int32_t> pages(static_cast<std::size_t>(plan.sequences * plan.max_pages));
    for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<std::int32_t>(i);
    plan.page_tables.assign(model_.info().cache.groups.size(), pages);
    return plan;
  }

  const TextModel& model_;
  StepRunner& runner_;
};

/// Seconds at the peak of each arithmetic's unit. The bf16 arithmetic can be done by its own instruction or by two f32
/// ones per pair; the faster unit is the limit.
double seconds_at_peak(const Operations& operations, const MachineLimits& limits) {
  const double bf16_peak = std::max(limits.bf16_ops_per_s, limits.f32_ops_per_s);
  const double int8_peak = std::max(limits.int8_ops_per_s, limits.f32_ops_per_s);
  return static_cast<double>(operations.f32) / limits.f32_ops_per_s + static_cast<double>(operations.bf16) / bf16_peak +
         static_cast<double>(operations.int8) / int8_peak;
}

Result<BenchRow> bench_prefill(Bench& bench, const TextModel& model, Device& device, std::int64_t tokens,
                               const BenchSettings& settings) {
  BenchRow row{.name = "prefill", .tokens = tokens};
  CORBEL_ASSIGN(row.limits, device.measure_limits({}));
  CORBEL_TRY(bench.prefill(0, 0, tokens));  // warms pages and clocks
  std::vector<double> seconds;
  for (int repeat = 0; repeat < settings.repeats; ++repeat) {
    const auto start = Clock::now();
    CORBEL_TRY(bench.prefill(0, 0, tokens));
    seconds.push_back(seconds_since(start));
  }
  row.seconds = median(std::move(seconds));
  const double keys = 0.5 * static_cast<double>(tokens) * static_cast<double>(tokens + 1);
  finish_row(row, arithmetic_seconds(model.info(), tokens, 1, keys, row.limits),
             memory_seconds(model.info(), 0.0, row.limits));
  return row;
}

Result<BenchRow> bench_decode(Bench& bench, const TextModel& model, Device& device, std::int64_t batch,
                              const BenchSettings& settings) {
  BenchRow row{.name = "decode", .tokens = settings.decode_tokens, .batch = batch};
  CORBEL_ASSIGN(row.limits, device.measure_limits({}));
  for (std::int32_t sequence = 0; settings.depth_tokens > 0 && sequence < batch; ++sequence) {
    CORBEL_TRY(bench.prefill(sequence, 0, settings.depth_tokens));
  }
  CORBEL_TRY(bench.decode(batch, settings.depth_tokens));
  std::vector<double> seconds;
  for (int repeat = 0; repeat < settings.repeats; ++repeat) {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < row.tokens; ++i) CORBEL_TRY(bench.decode(batch, settings.depth_tokens + i));
    seconds.push_back(seconds_since(start));
  }
  row.seconds = median(std::move(seconds));
  const double mean_context = static_cast<double>(settings.depth_tokens) + 0.5 * static_cast<double>(row.tokens + 1);
  const double keys = mean_context * static_cast<double>(batch);
  const auto steps = static_cast<double>(row.tokens);
  finish_row(row, steps * arithmetic_seconds(model.info(), batch, batch, keys, row.limits),
             steps * memory_seconds(model.info(), keys, row.limits));
  return row;
}

}  // namespace

double arithmetic_seconds(const TextModelInfo& info, std::int64_t rows, std::int64_t logit_rows, double visible_keys,
                          const MachineLimits& limits) {
  const double wanted = seconds_at_peak(info.ops_per_wanted_row, limits);
  return (seconds_at_peak(info.ops_per_row, limits) - wanted) * static_cast<double>(rows) +
         (seconds_at_peak(info.ops_per_logit_row, limits) + wanted) * static_cast<double>(logit_rows) +
         seconds_at_peak(info.attention_ops_per_key, limits) * visible_keys;
}

double memory_seconds(const TextModelInfo& info, double cached_tokens, const MachineLimits& limits) {
  const double kv = static_cast<double>(info.cache.bytes_per_page()) / kPageTokens * cached_tokens;
  return (static_cast<double>(info.step_read_bytes) + kv) / limits.read_bytes_per_s;
}

void finish_row(BenchRow& row, double arithmetic, double memory) {
  row.bound = arithmetic >= memory ? "arithmetic" : "memory";
  row.tok_per_s = static_cast<double>(row.tokens * row.batch) / row.seconds;
  const double least = std::max(arithmetic, memory);
  row.limit = least > 0.0 ? static_cast<double>(row.tokens * row.batch) / least : 0.0;
  row.fraction_of_limit = row.limit > 0.0 ? row.tok_per_s / row.limit : 0.0;
}

Result<std::vector<BenchRow>> bench_model(const TextModel& model, Device& device, const BenchSettings& settings) {
  std::int64_t longest = settings.decode_tokens > 0 ? settings.depth_tokens + settings.decode_tokens : 1;
  std::int64_t widest = settings.decode_tokens > 0 && settings.depth_tokens > 0 ? settings.depth_tokens : 1;
  std::int64_t sequences = 1;
  for (const std::int64_t tokens : settings.prefill_tokens) {
    longest = std::max(longest, tokens);
    widest = std::max(widest, tokens);
  }
  for (const std::int64_t batch : settings.batches) sequences = std::max(sequences, batch);
  const RunnerLimits limits{.step_rows = std::max(std::min(widest, kLargestStep), sequences),
                            .logit_rows = sequences,
                            .sequences = sequences,
                            .context_tokens = longest};
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(model, device, limits));
  Bench bench(model, runner);
  std::vector<BenchRow> rows;
  for (const std::int64_t tokens : settings.prefill_tokens) {
    CORBEL_ASSIGN(BenchRow row, bench_prefill(bench, model, device, tokens, settings));
    rows.push_back(std::move(row));
  }
  for (const std::int64_t batch : settings.batches) {
    if (settings.decode_tokens == 0) break;
    CORBEL_ASSIGN(BenchRow row, bench_decode(bench, model, device, batch, settings));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace corbel::app
