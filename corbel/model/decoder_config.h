#pragma once
#include "corbel/model/family.h"

namespace corbel {

/// Roles of a decoder in the naming of Hugging Face's plain causal models: "model.layers.{layer}.self_attn.q_proj", ...
std::vector<WeightRole> hf_decoder_roles();

/// What a family's own code assumes where config.json has no such key. 0: the rule stated below.
struct DecoderDefaults {
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
};

/// Reads the fields that plain decoder configs share: sizes, heads, norms, activation, rotary embedding, tied head. All
/// layers come out alike, without windows and without norms on q and k: a family adds what is its own.
///   hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads (default: all heads), head_dim (default:
///   hidden / heads), intermediate_size, rms_norm_eps, hidden_act, vocab_size, max_position_embeddings,
///   tie_word_embeddings (a checkpoint without lm_head counts as tied), attention_bias, mlp_bias, rope_*.
Result<CausalLmDescription> read_decoder_config(const ModelSource& source, const DecoderDefaults& defaults = {});

/// The window of each layer by "layer_types" ("sliding_attention" / "full_attention"), where the config has that list.
/// `window` is given to the sliding ones; refused when the list is not one entry per layer or names another type.
Result<void> apply_layer_types(const JsonFields& config, std::int64_t window, CausalLmSpec& spec);

}  // namespace corbel
