// Qwen2, Qwen2.5 and Qwen3, dense. README.md is the card.
#include "corbel/model/decoder_config.h"

namespace corbel {

ModelFamily qwen_family();

namespace {

/// With use_sliding_window, layers from max_window_layers on slide; sliding_window alone means nothing.
Result<void> apply_sliding_window(const JsonFields& config, CausalLmSpec& spec) {
  CORBEL_ASSIGN(const bool slides, config.get_bool("use_sliding_window", false));
  CORBEL_ASSIGN(const std::int64_t window, config.get_int("sliding_window", 4096, 1, std::int64_t{1} << 31));
  CORBEL_ASSIGN(const std::int64_t first, config.get_int("max_window_layers", 28, 0, std::int64_t{1} << 16));
  if (slides) {
    for (std::size_t i = static_cast<std::size_t>(first); i < spec.layers.size(); ++i)
      spec.layers[i].attention.window = window;
  }
  return apply_layer_types(config, slides ? window : 0, spec);
}

Result<std::unique_ptr<TextModel>> make_qwen(const ModelSource& source, const Device& device) {
  const bool normalizes_heads = source.architecture == "Qwen3ForCausalLM";
  CORBEL_ASSIGN(CausalLmDescription description,
                read_decoder_config(source, {.kv_heads = 32, .head_dim = normalizes_heads ? 128 : 0}));
  for (DecoderLayerSpec& layer : description.spec.layers) {
    AttentionSpec& attention = layer.attention;
    if (normalizes_heads) {
      attention.qk_norm = RmsNormSpec{.hidden = attention.head_dim, .eps = layer.input_norm.eps};
    } else {
      // Qwen2 always has biases on q, k and v, never on the output, and says so nowhere in its config.
      attention.qkv_bias = true;
      attention.output_bias = false;
    }
  }
  CORBEL_TRY(apply_sliding_window(source.config, description.spec));
  return make_causal_lm_model(std::move(description), "qwen", source, device);
}

}  // namespace

ModelFamily qwen_family() { return {"qwen", {"Qwen2ForCausalLM", "Qwen3ForCausalLM"}, make_qwen}; }

}  // namespace corbel
