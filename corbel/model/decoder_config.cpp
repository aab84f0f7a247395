#include "corbel/model/decoder_config.h"

namespace corbel {
namespace {

// Ranges that a config must stay in: generous for real models, far from overflow in any product of two.
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 22;
constexpr std::int64_t kMaxVocab = std::int64_t{1} << 26;
constexpr std::int64_t kMaxLayers = 4096;

Result<AttentionSpec> read_attention(const JsonFields& config, std::int64_t hidden, const DecoderDefaults& defaults) {
  AttentionSpec attention{.hidden = hidden};
  CORBEL_ASSIGN(attention.q_heads, config.require_int("num_attention_heads", 1, kMaxWidth));
  CORBEL_ASSIGN(attention.kv_heads,
                config.get_int("num_key_value_heads", defaults.kv_heads > 0 ? defaults.kv_heads : attention.q_heads, 1,
                               kMaxWidth));
  CORBEL_ASSIGN(attention.head_dim, config.get_int("head_dim", defaults.head_dim, 1, 1024));
  if (attention.head_dim == 0) {
    if (hidden % attention.q_heads != 0) {
      return fail(Code::bad_file,
                  cat(config.source(), ": \"hidden_size\" ", hidden, " is not a multiple of \"num_attention_heads\" ",
                      attention.q_heads, ", and there is no \"head_dim\""));
    }
    attention.head_dim = hidden / attention.q_heads;
  }
  CORBEL_ASSIGN(attention.rotary, read_rotary_spec(config, attention.head_dim));
  CORBEL_ASSIGN(attention.qkv_bias, config.get_bool("attention_bias", false));
  attention.output_bias = attention.qkv_bias;
  return attention;
}

}  // namespace

std::vector<WeightRole> hf_decoder_roles() {
  return {
      {"embedding", "model.embed_tokens"},
      {"layer", "model.layers.{layer}"},
      {"input_norm", "model.layers.{layer}.input_layernorm"},
      {"attention", "model.layers.{layer}.self_attn"},
      {"attention.q", "model.layers.{layer}.self_attn.q_proj"},
      {"attention.k", "model.layers.{layer}.self_attn.k_proj"},
      {"attention.v", "model.layers.{layer}.self_attn.v_proj"},
      {"attention.q_norm", "model.layers.{layer}.self_attn.q_norm"},
      {"attention.k_norm", "model.layers.{layer}.self_attn.k_norm"},
      {"attention.output", "model.layers.{layer}.self_attn.o_proj"},
      {"post_attention_norm", "model.layers.{layer}.post_attention_layernorm"},
      {"ffn", "model.layers.{layer}.mlp"},
      {"ffn.gate", "model.layers.{layer}.mlp.gate_proj"},
      {"ffn.up", "model.layers.{layer}.mlp.up_proj"},
      {"ffn.down", "model.layers.{layer}.mlp.down_proj"},
      {"final_norm", "model.norm"},
      {"lm_head", "lm_head"},
  };
}

Result<CausalLmDescription> read_decoder_config(const ModelSource& source, const DecoderDefaults& defaults) {
  const JsonFields& config = source.config;
  CausalLmDescription description{.roles = hf_decoder_roles()};
  CausalLmSpec& spec = description.spec;
  CORBEL_ASSIGN(const std::int64_t hidden, config.require_int("hidden_size", 1, kMaxWidth));
  CORBEL_ASSIGN(const std::int64_t vocab, config.require_int("vocab_size", 1, kMaxVocab));
  CORBEL_ASSIGN(const std::int64_t layers, config.require_int("num_hidden_layers", 1, kMaxLayers));
  CORBEL_ASSIGN(const double eps, config.get_number("rms_norm_eps", 1e-6));
  const RmsNormSpec norm{.hidden = hidden, .eps = eps};

  DecoderLayerSpec layer{.input_norm = norm, .post_attention_norm = norm};
  CORBEL_ASSIGN(layer.attention, read_attention(config, hidden, defaults));
  layer.ffn.hidden = hidden;
  CORBEL_ASSIGN(layer.ffn.ffn, config.require_int("intermediate_size", 1, kMaxWidth));
  CORBEL_ASSIGN(layer.ffn.bias, config.get_bool("mlp_bias", false));
  CORBEL_ASSIGN(const std::string activation, config.get_string("hidden_act", "silu"));
  if (auto known = find_activation(activation)) {
    layer.ffn.activation = *known;
  } else {
    return forward_failure(known, config.source());
  }

  CORBEL_ASSIGN(bool tied, config.get_bool("tie_word_embeddings", false));
  tied = tied || !source.tensors->has("lm_head.weight");
  spec.embedding = {.vocab = vocab, .hidden = hidden};
  spec.layers.assign(static_cast<std::size_t>(layers), layer);
  spec.final_norm = norm;
  spec.head = {.hidden = hidden, .vocab = vocab, .tied = tied};
  description.max_positions = layer.attention.rotary.max_positions;
  // Old checkpoints store the rotary frequencies, which follow from the config.
  description.ignored = {"rotary_emb.inv_freq"};
  if (tied) description.ignored.emplace_back("lm_head.weight");
  return description;
}

Result<void> apply_layer_types(const JsonFields& config, std::int64_t window, CausalLmSpec& spec) {
  CORBEL_ASSIGN(const auto types, config.get_strings("layer_types"));
  if (types.empty()) return {};
  if (types.size() != spec.layers.size()) {
    return fail(Code::bad_file, cat(config.source(), ": \"layer_types\" has ", types.size(),
                                    " entries, \"num_hidden_layers\" is ", spec.layers.size()));
  }
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] != "sliding_attention" && types[i] != "full_attention") {
      return fail(Code::unsupported, cat(config.source(), ": \"layer_types\"[", i, "] is \"", types[i],
                                         "\"; known: \"full_attention\", \"sliding_attention\""));
    }
    const bool slides = types[i] == "sliding_attention";
    if (slides && window <= 0) {
      return fail(Code::bad_file,
                  cat(config.source(), ": \"layer_types\"[", i, "] slides, but \"sliding_window\" is not set"));
    }
    spec.layers[i].attention.window = slides ? window : 0;
  }
  return {};
}

}  // namespace corbel
