// Llama 2, 3, 3.1, 3.2 and what shares their code: Mistral 7B, Yi, TinyLlama, CodeLlama, DeepSeek-Coder. README.md is
// the card.
#include <nlohmann/json.hpp>

#include "corbel/model/decoder_config.h"

namespace corbel {

ModelFamily llama_family();

namespace {

/// Mistral's window holds for every layer; null means none, and a config without the key means its first checkpoint's
/// 4096.
Result<void> apply_sliding_window(const JsonFields& config, CausalLmSpec& spec) {
  const std::int64_t absent = config.json().contains("sliding_window") ? 0 : 4096;
  CORBEL_ASSIGN(const std::int64_t window, config.get_int("sliding_window", absent, 0, std::int64_t{1} << 31));
  for (DecoderLayerSpec& layer : spec.layers) layer.attention.window = window;
  return apply_layer_types(config, window, spec);
}

Result<std::unique_ptr<TextModel>> make_llama(const ModelSource& source, const Device& device) {
  // Llama's own code knows no window, even where a config carries one.
  const bool is_mistral = source.architecture == "MistralForCausalLM";
  CORBEL_ASSIGN(CausalLmDescription description, read_decoder_config(source, {.kv_heads = is_mistral ? 8 : 0}));
  if (is_mistral) CORBEL_TRY(apply_sliding_window(source.config, description.spec));
  return make_causal_lm_model(std::move(description), "llama", source, device);
}

}  // namespace

ModelFamily llama_family() { return {"llama", {"LlamaForCausalLM", "MistralForCausalLM"}, make_llama}; }

}  // namespace corbel
