#pragma once
#include "apps/bench_model.h"

namespace corbel::app {

/// Requests that arrive at once at an engine, each with a prompt of its own.
struct ArrivalSettings {
  std::int64_t requests = 0;
  std::int64_t prompt_tokens = 100;
  std::int64_t answer_tokens = 64;
  int repeats = 3;
};

/// The row "arrive": tok/s are the answers' tokens over the time until the last one ended. Its limit counts the
/// arithmetic of prompts and answers and the reading of the weights in each step that decodes.
Result<BenchRow> bench_arrivals(const TextModel& model, Device& device, const ArrivalSettings& settings);

}  // namespace corbel::app
