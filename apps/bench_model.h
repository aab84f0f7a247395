#pragma once
#include <string>
#include <vector>

#include "corbel/device/limits.h"
#include "corbel/engine/step_runner.h"

namespace corbel::app {

struct BenchSettings {
  std::vector<std::int64_t> prefill_tokens;  // one row per entry
  std::int64_t decode_tokens = 0;            // per sequence; 0: no decode row
  std::vector<std::int64_t> batches = {1};   // one decode row per entry
  std::int64_t depth_tokens = 0;             // context before the first decoded token
  int repeats = 3;                           // the median counts
};

/// One measured row beside what the machine could do at best in the same minute.
struct BenchRow {
  std::string name;  // "prefill" or "decode"
  std::int64_t tokens = 0;
  std::int64_t batch = 1;
  double seconds = 0.0;  // median of all tokens of the row
  double tok_per_s = 0.0;
  double limit =
      0.0;  // tok/s at the measured limits: arithmetic for prefill; the slower of arithmetic and memory for decode
  double fraction_of_limit = 0.0;
  std::string bound;             // "arithmetic" or "memory"
  MachineLimits limits;          // probed right before the row
  double first_token_p50 = 0.0;  // seconds; of requests that arrive at once
  double first_token_p95 = 0.0;
};

/// Runs prompts of fixed token ids on the model and times whole rows. Cache pages are written as in real use.
Result<std::vector<BenchRow>> bench_model(const TextModel& model, Device& device, const BenchSettings& settings);

/// Seconds that arithmetic alone takes: so many rows, rows of logits, and keys that rows see, at the measured peaks.
double arithmetic_seconds(const TextModelInfo& info, std::int64_t rows, std::int64_t logit_rows, double visible_keys,
                          const MachineLimits& limits);
/// Seconds that one step takes to read the weights and so many cached tokens.
double memory_seconds(const TextModelInfo& info, double cached_tokens, const MachineLimits& limits);
/// Sets rate, limit and fraction from row.seconds and the least that both would take.
void finish_row(BenchRow& row, double arithmetic, double memory);

}  // namespace corbel::app
