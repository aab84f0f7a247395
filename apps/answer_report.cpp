#include "apps/answer_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/terminal.h"

namespace corbel::app {
namespace {

std::string rate(double per_second) {
  char text[32];
  std::snprintf(text, sizeof text, per_second >= 99.95 ? "%.0f" : "%.1f", per_second);
  return text;
}

/// As OpenAI spells it: ids are keys.
Json bias_json(const SamplingOptions& sampling) {
  Json biases = Json::object();
  for (const TokenBias& entry : sampling.logit_bias) biases[std::to_string(entry.id)] = entry.bias;
  return biases;
}

/// The stop string or the stop id that ended the answer, null when neither did.
Json stop_reason(const GenerateResult& result) {
  if (!result.stop_string.empty()) return result.stop_string;
  return result.stop_id >= 0 ? Json(result.stop_id) : Json();
}

}  // namespace

std::string figures_line(const GenerateFigures& figures) {
  std::string line =
      cat("prompt ", figures.prompt_tokens, " tokens (", figures.prefilled_tokens, " prefilled, ",
          figures.cached_tokens, " cached) at ", rate(figures.prefill_tokens_per_second()), " tok/s | generated ",
          figures.generated_tokens, " tokens at ", rate(figures.decode_tokens_per_second()), " tok/s | first token ",
          rate(figures.first_token_seconds * 1e3), " ms");
  if (const std::int64_t peak = peak_memory_bytes(); peak > 0) line += cat(" | peak memory ", bytes_text(peak));
  return line + "\n";
}

std::string answer_json(const GenerateResult& result, const GenerateOptions& options, const OpenRunner& open) {
  const GenerateFigures& figures = result.figures;
  const SamplingOptions& sampling = options.sampling;
  const Json json = {
      {"text", result.text},
      {"finish_reason", finish_reason_name(result.finish)},
      {"stop_reason", stop_reason(result)},
      {"figures",
       {{"prompt_tokens", figures.prompt_tokens},
        {"prefilled_tokens", figures.prefilled_tokens},
        {"cached_tokens", figures.cached_tokens},
        {"generated_tokens", figures.generated_tokens},
        {"prefill_tok_per_s", figures.prefill_tokens_per_second()},
        {"decode_tok_per_s", figures.decode_tokens_per_second()},
        {"first_token_ms", figures.first_token_seconds * 1e3},
        {"load_ms", open.model->loaded.load_ms},
        {"peak_memory_bytes", peak_memory_bytes()}}},
      {"receipt",
       {{"corbel", CORBEL_VERSION},
        {"model", open.model->loaded.package->description()},
        {"profile", open.device.device->info().profile()},
        {"context_tokens", open.runner->limits().context_tokens},
        {"temperature", sampling.temperature},
        {"top_k", sampling.top_k},
        {"top_p", sampling.top_p},
        {"min_p", sampling.min_p},
        {"typical_p", sampling.typical_p},
        {"repetition_penalty", sampling.repetition_penalty},
        {"presence_penalty", sampling.presence_penalty},
        {"frequency_penalty", sampling.frequency_penalty},
        {"penalty_window", sampling.penalty_window},
        {"xtc_probability", sampling.xtc_probability},
        {"xtc_threshold", sampling.xtc_threshold},
        {"logit_bias", bias_json(sampling)},
        {"seed", sampling.seed},
        {"max_tokens", options.max_tokens},
        {"min_tokens", options.min_tokens},
        {"ignore_eos", options.ignore_eos},
        {"ids", result.ids}}},
  };
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace corbel::app
