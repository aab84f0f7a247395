#include "corbel/patterns/decoder_layer.h"

namespace corbel {

Result<void> DecoderLayerSpec::validate() const {
  CORBEL_TRY(input_norm.validate());
  CORBEL_TRY(attention.validate());
  CORBEL_TRY(post_attention_norm.validate());
  CORBEL_TRY(ffn.validate());
  for (const std::int64_t hidden : {input_norm.hidden, post_attention_norm.hidden, ffn.hidden}) {
    if (hidden != attention.hidden) {
      return fail(Code::bad_file, cat("decoder layer: parts disagree on hidden: attention has ", attention.hidden,
                                      ", another ", hidden));
    }
  }
  return {};
}

DecoderLayerImplConfig get_default_impl_config(const DecoderLayerSpec& spec, const DeviceInfo& device, Mode mode,
                                               Strategy strategy) {
  return {get_default_impl_config(spec.attention, device, mode, strategy),
          get_default_impl_config(spec.ffn, device, mode, strategy)};
}

Result<DecoderLayerWeights> make_decoder_layer_weights(const DecoderLayerSpec& spec,
                                                       const DecoderLayerImplConfig& config,
                                                       const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  DecoderLayerWeights weights{.module = context.names.module("layer")};
  CORBEL_ASSIGN(weights.input_norm,
                make_rms_norm_weights(spec.input_norm, context.names.module("input_norm"), context));
  CORBEL_ASSIGN(weights.attention, make_attention_weights(spec.attention, config.attention, context));
  CORBEL_ASSIGN(weights.post_attention_norm,
                make_rms_norm_weights(spec.post_attention_norm, context.names.module("post_attention_norm"), context));
  CORBEL_ASSIGN(weights.ffn, make_gated_mlp_weights(spec.ffn, config.ffn, context));
  CORBEL_ASSIGN(weights.add, context.device.prepare<Add>({spec.attention.hidden}));
  CORBEL_ASSIGN(weights.gather, context.device.prepare<GatherRows>({spec.attention.hidden}));
  return weights;
}

namespace {

/// The rows whose logits are wanted, alone.
void run_wanted_rows(const DecoderLayerArgs& args, const DecoderLayerSpec& spec, const DecoderLayerImplConfig& config,
                     const DecoderLayerWeights& weights, const KvLayer& cache, RunContext& context) noexcept {
  const std::int64_t wanted = args.step.logit_rows;
  const TensorView normed = context.allocate(DType::f32, {args.step.rows, spec.attention.hidden});
  const TensorView kept = context.allocate(DType::f32, {wanted, spec.attention.hidden});
  const TensorView branch = context.allocate(DType::f32, {wanted, spec.attention.hidden});

  prefill_forward({args.hidden, normed}, spec.input_norm, NormImplConfig{}, weights.input_norm, context);
  step_forward(AttentionStepArgs{{normed, args.rope, branch, args.step, true}}, spec.attention, config.attention,
               weights.attention, cache, context);
  if (wanted == 0) return;
  weights.gather({args.hidden, args.step.logit_index, kept}, context);
  weights.add({kept, branch, kept}, context);

  const TensorView kept_normed = normed.row_range(0, wanted);
  prefill_forward({kept, kept_normed}, spec.post_attention_norm, NormImplConfig{}, weights.post_attention_norm,
                  context);
  prefill_forward({kept_normed, branch}, spec.ffn, config.ffn, weights.ffn, context);
  weights.add({kept, branch, args.hidden.row_range(0, wanted)}, context);
}

}  // namespace

void step_forward(const DecoderLayerArgs& args, const DecoderLayerSpec& spec, const DecoderLayerImplConfig& config,
                  const DecoderLayerWeights& weights, const KvLayer& cache, RunContext& context) noexcept {
  const ArenaScope scope(*context.scratch);
  if (args.keeps_wanted_rows) return run_wanted_rows(args, spec, config, weights, cache, context);
  const NormImplConfig norm_config;
  const TensorView normed = context.allocate(DType::f32, {args.step.rows, spec.attention.hidden});
  const TensorView branch = context.allocate(DType::f32, {args.step.rows, spec.attention.hidden});

  prefill_forward({args.hidden, normed}, spec.input_norm, norm_config, weights.input_norm, context);
  step_forward(AttentionStepArgs{{normed, args.rope, branch, args.step}}, spec.attention, config.attention,
               weights.attention, cache, context);
  weights.add({args.hidden, branch, args.hidden}, context);

  prefill_forward({args.hidden, normed}, spec.post_attention_norm, norm_config, weights.post_attention_norm, context);
  prefill_forward({normed, branch}, spec.ffn, config.ffn, weights.ffn, context);
  weights.add({args.hidden, branch, args.hidden}, context);
  context.tap(weights.module, "", args.hidden);
}

}  // namespace corbel
