#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "corbel/engine/engine.h"

namespace corbel {

/// What the requests to one model were. Any thread.
class ModelMetrics {
 public:
  /// An answer has ended.
  void note_end(const GenerateResult& result);

  std::atomic<std::int64_t> prompt_tokens = 0;
  std::atomic<std::int64_t> generated_tokens = 0;
};

/// The metrics of all models, by name. Any thread.
class ServerMetrics {
 public:
  /// Made when first asked for; stays where it is.
  ModelMetrics& of(std::string_view model);

 private:
  std::mutex mutex_;
  std::map<std::string, ModelMetrics, std::less<>> models_;
};

/// What an engine says at the moment when metrics are asked for.
struct EngineSample {
  std::string model;
  EngineFigures figures;
};

/// Prometheus' text format, under the names that dashboards of vLLM know.
std::string metrics_page(ServerMetrics& metrics, std::span<const EngineSample> engines);

}  // namespace corbel
