#include "corbel/server/metrics_page.h"

#include <algorithm>
#include <cmath>

namespace corbel {
namespace {

/// As Prometheus' text format wants the values of labels.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\' || c == '"') result += '\\';
    result += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return result;
}

/// As Python's client writes it: whole numbers with ".0".
std::string number(double value) {
  if (std::floor(value) == value && std::abs(value) < 1e15) return cat(static_cast<std::int64_t>(value), ".0");
  return cat(value);
}

}  // namespace

MetricsPage::Family& MetricsPage::family(std::string_view name, std::string_view type, std::string_view help) {
  const auto found = std::ranges::find(families_, name, &Family::name);
  if (found != families_.end()) return *found;
  return families_.emplace_back(Family{std::string(name), std::string(type), std::string(help), {}});
}

void MetricsPage::add_value(Family& family, std::string_view labels, double value) {
  family.lines += cat(family.name, '{', labels_, labels.empty() ? "" : ",", labels, "} ", number(value), '\n');
}

void MetricsPage::add_histogram(std::string_view name, std::string_view help, const Histogram& histogram) {
  Family& family = this->family(name, "histogram", help);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
    below += histogram.counts()[i];
    const std::string bound = i < histogram.bounds().size() ? number(histogram.bounds()[i]) : "+Inf";
    family.lines += cat(name, "_bucket{", labels_, ",le=\"", bound, "\"} ", below, ".0\n");
  }
  family.lines += cat(name, "_sum{", labels_, "} ", histogram.sum(), '\n');
  family.lines += cat(name, "_count{", labels_, "} ", below, ".0\n");
}

void MetricsPage::add_engine(const EngineSample& engine) {
  const EngineFigures& figures = engine.figures;
  const auto gauge = [&](std::string_view name, std::string_view help, double value, std::string_view labels = {}) {
    add_value(family(name, "gauge", help), labels, value);
  };
  gauge("vllm:num_requests_running", "Requests that run.", static_cast<double>(figures.running));
  gauge("vllm:num_requests_waiting", "Requests that wait for a place.", static_cast<double>(figures.waiting));
  gauge("vllm:num_requests_waiting_by_reason", "Requests that wait, by why they do.",
        static_cast<double>(figures.waiting), "reason=\"capacity\"");
  for (const std::string_view state : {"awake", "weights_offloaded", "discard_all"})
    gauge("vllm:engine_sleep_state", "1 for the state that the engine is in.", state == "awake" ? 1.0 : 0.0,
          cat("sleep_state=\"", state, '"'));
  const auto used = static_cast<double>(figures.pages - figures.free_pages - figures.prefix.pages);
  gauge("vllm:kv_cache_usage_perc", "Share of the KV cache that running requests hold; 1 is all of it.",
        std::clamp(used / static_cast<double>(std::max<std::int64_t>(figures.pages, 1)), 0.0, 1.0));
  gauge("vllm:cache_config_info", "The KV cache: pages and tokens in each.", 1.0,
        cat("block_size=\"", kPageTokens, "\",num_gpu_blocks=\"", figures.pages,
            "\",enable_prefix_caching=\"True\",max_model_len=\"", engine.context_tokens, '"'));
}

void MetricsPage::add_counter(std::string_view name, std::string_view help, double value, std::string_view labels) {
  add_value(family(name, "counter", help), labels, value);
}

void MetricsPage::add_drafts(const EngineFigures& figures) {
  add_counter("vllm:spec_decode_num_drafts_total", "Times that tokens were guessed.",
              static_cast<double>(figures.drafts));
  add_counter("vllm:spec_decode_num_draft_tokens_total", "Tokens that were guessed.",
              static_cast<double>(figures.drafted_tokens));
  add_counter("vllm:spec_decode_num_accepted_tokens_total", "Of them, right.",
              static_cast<double>(figures.accepted_tokens));
  for (std::size_t at = 0; at < figures.accepted_at.size(); ++at)
    add_counter("vllm:spec_decode_num_accepted_tokens_per_pos_total", "Of them, by their place in the guess.",
                static_cast<double>(figures.accepted_at[at]), cat("position=\"", at, '"'));
}

/// What vLLM counts and is not here: dashboards add it up with the rest.
void MetricsPage::add_absent() {
  for (const std::string_view kind : {"external_prefix_cache", "mm_cache"}) {
    const std::string_view what = kind == "mm_cache" ? "images: there are none." : "other machines: there are none.";
    add_counter(cat("vllm:", kind, "_queries_total"), cat("Looked up in caches of ", what), 0.0);
    add_counter(cat("vllm:", kind, "_hits_total"), cat("Found in caches of ", what), 0.0);
  }
}

void MetricsPage::add_counts(const EngineFigures& figures, const ModelMetrics& model) {
  const auto counter = [&](std::string_view name, std::string_view help, auto value, std::string_view labels = {}) {
    add_counter(name, help, static_cast<double>(value), labels);
  };
  counter("vllm:prefix_cache_queries_total", "Tokens of prompts that were looked up.", figures.prefix.asked_tokens);
  counter("vllm:prefix_cache_hits_total", "Of them, found in the cache.", figures.prefix.hit_tokens);
  counter("vllm:num_preemptions_total", "Requests that gave their pages up and ran again.", figures.preemptions);
  counter("vllm:prompt_tokens_total", "Tokens of prompts.", model.prompt_tokens_);
  counter("vllm:prompt_tokens_by_source_total", "Tokens of prompts, by where their cache came from.",
          model.prompt_tokens_ - model.cached_tokens_, "source=\"local_compute\"");
  counter("vllm:prompt_tokens_by_source_total", "", model.cached_tokens_, "source=\"local_cache_hit\"");
  counter("vllm:prompt_tokens_cached_total", "Tokens of prompts that were not run.", model.cached_tokens_);
  counter("vllm:generation_tokens_total", "Generated tokens.", model.generated_tokens_);
  constexpr std::array kReasons{"stop", "length", "abort", "error"};
  for (std::size_t i = 0; i < kReasons.size(); ++i)
    counter("vllm:request_success_total", "Answers, by why they ended.", model.ended_[i],
            cat("finished_reason=\"", kReasons[i], '"'));
  counter("vllm:corrupted_requests_total", "Requests whose logits were not finite.", model.broken_);
}

void MetricsPage::add_histograms(const ModelMetrics& model) {
  add_histogram("vllm:request_prompt_tokens", "Tokens of a prompt.", model.prompt_sizes_);
  add_histogram("vllm:request_generation_tokens", "Generated tokens of an answer.", model.answer_sizes_);
  add_histogram("vllm:request_max_num_generation_tokens", "Generated tokens of a request's first answer.",
                model.most_answer_sizes_);
  add_histogram("vllm:request_params_max_tokens", "max_tokens as requests ask for it.", model.max_tokens_);
  add_histogram("vllm:request_params_n", "n as requests ask for it.", model.choices_);
  add_histogram("vllm:request_prefill_kv_computed_tokens", "Tokens of a prompt that were run.", model.computed_);
  add_histogram("vllm:time_to_first_token_seconds", "From a request's arrival to its first token.", model.first_token_);
  add_histogram("vllm:inter_token_latency_seconds", "From a token to the next.", model.token_gap_);
  add_histogram("vllm:request_time_per_output_token_seconds", "The mean of that, by answer.", model.token_mean_);
  add_histogram("vllm:e2e_request_latency_seconds", "From a request's arrival to its end.", model.whole_);
  add_histogram("vllm:request_queue_time_seconds", "Until a request had a place.", model.queue_);
  add_histogram("vllm:request_inference_time_seconds", "From then to its end.", model.inference_);
  add_histogram("vllm:request_prefill_time_seconds", "From then to its first token.", model.prefill_);
  add_histogram("vllm:request_decode_time_seconds", "From the first token to the last.", model.decode_);
}

void MetricsPage::add(const EngineSample& engine, const ModelMetrics& model) {
  labels_ = cat("engine=\"0\",model_name=\"", escaped(engine.model), '"');
  add_engine(engine);
  const std::lock_guard lock(model.mutex_);
  add_counts(engine.figures, model);
  add_drafts(engine.figures);
  add_absent();
  add_histogram("vllm:iteration_tokens_total", "Rows of a step: tokens of prompts and of answers.", engine.step_tokens);
  add_histograms(model);
}

void MetricsPage::add_responses(const std::map<int, std::uint64_t>& responses) {
  Family& family = this->family("corbel:http_responses_total", "counter", "Answers over HTTP, by status.");
  for (const auto& [status, count] : responses)
    family.lines += cat(family.name, "{code=\"", status, "\"} ", count, ".0\n");
}

std::string MetricsPage::text() const {
  std::string text;
  for (const Family& family : families_) {
    text +=
        cat("# HELP ", family.name, ' ', family.help, "\n# TYPE ", family.name, ' ', family.type, '\n', family.lines);
  }
  return text;
}

}  // namespace corbel
