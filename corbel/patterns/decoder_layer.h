#pragma once
#include "corbel/blocks/attention.h"
#include "corbel/blocks/ffn.h"
#include "corbel/blocks/normalization.h"

/// Ready arrangements of blocks. A model may use them or stand on blocks alone.
namespace corbel {

/// Pre-norm decoder layer: x + attention(norm(x)), then x + ffn(norm(x)). Source: arXiv 2002.04745 (pre-norm).
struct DecoderLayerSpec {
  RmsNormSpec input_norm;
  AttentionSpec attention;
  RmsNormSpec post_attention_norm;
  GatedMlpSpec ffn;
  Result<void> validate() const;
};

struct DecoderLayerImplConfig {
  AttentionImplConfig attention;
  FfnImplConfig ffn;
};

DecoderLayerImplConfig get_default_impl_config(const DecoderLayerSpec&, const DeviceInfo&, Mode,
                                               Strategy = Strategy::balanced);

struct DecoderLayerWeights {
  std::string module;
  RmsNormWeights input_norm;
  AttentionWeights attention;
  RmsNormWeights post_attention_norm;
  GatedMlpWeights ffn;
  Prepared<Add> add;
  Prepared<GatherRows> gather;
};

/// Roles: layer (the module), input_norm, post_attention_norm, and those of attention and ffn.
Result<DecoderLayerWeights> make_decoder_layer_weights(const DecoderLayerSpec&, const DecoderLayerImplConfig&,
                                                       const WeightContext&);

/// hidden f32 [rows, hidden], changed in place; rope as in AttentionArgs. All rows of the step, prefill and decode
/// together. keeps_wanted_rows: keys and values of all rows, the output of those whose logits are wanted, which then
/// are rows 0 .. logit_rows - 1 of hidden; the others are left as they come.
struct DecoderLayerArgs {
  TensorView hidden;
  TensorView rope;
  const StepInputs& step;
  bool keeps_wanted_rows = false;
};

void step_forward(const DecoderLayerArgs&, const DecoderLayerSpec&, const DecoderLayerImplConfig&,
                  const DecoderLayerWeights&, const KvLayer&, RunContext&) noexcept;

}  // namespace corbel
