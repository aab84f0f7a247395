#include "corbel/server/metrics.h"

#include <algorithm>

namespace corbel {
namespace {

void add_metric(std::string& text, std::string_view name, std::string_view type, double value) {
  text += cat("# TYPE ", name, ' ', type, '\n', name, ' ', value, '\n');
}

}  // namespace

void ModelMetrics::note_end(const GenerateResult& result) {
  generated_tokens += result.figures.generated_tokens;
  if (result.choice == 0) prompt_tokens += result.figures.prompt_tokens;
}

ModelMetrics& ServerMetrics::of(std::string_view model) {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(model);
  return found != models_.end() ? found->second : models_[std::string(model)];
}

std::string metrics_page(ServerMetrics& metrics, std::span<const EngineSample> engines) {
  std::string text;
  for (const EngineSample& engine : engines) {
    const EngineFigures& figures = engine.figures;
    const ModelMetrics& model = metrics.of(engine.model);
    add_metric(text, "vllm:num_requests_running", "gauge", static_cast<double>(figures.running));
    add_metric(text, "vllm:num_requests_waiting", "gauge", static_cast<double>(figures.waiting));
    const auto used = static_cast<double>(figures.pages - figures.free_pages - figures.prefix.pages);
    add_metric(text, "vllm:kv_cache_usage_perc", "gauge", std::max(0.0, used / static_cast<double>(figures.pages)));
    add_metric(text, "vllm:num_preemptions_total", "counter", static_cast<double>(figures.preemptions));
    add_metric(text, "vllm:prompt_tokens_total", "counter", static_cast<double>(model.prompt_tokens));
    add_metric(text, "vllm:generation_tokens_total", "counter", static_cast<double>(model.generated_tokens));
    add_metric(text, "vllm:prefix_cache_queries_total", "counter", static_cast<double>(figures.prefix.asked_tokens));
    add_metric(text, "vllm:prefix_cache_hits_total", "counter", static_cast<double>(figures.prefix.hit_tokens));
  }
  return text;
}

}  // namespace corbel
