#include "corbel/patterns/causal_lm.h"

#include <algorithm>
#include <array>

namespace corbel {
namespace {

constexpr int kMaxRopeGroups = 4;  // tables held at once during a step; real models have one or two

}  // namespace

Result<void> CausalLmSpec::validate() const {
  CORBEL_TRY(embedding.validate());
  CORBEL_TRY(final_norm.validate());
  CORBEL_TRY(head.validate());
  if (layers.empty()) return fail(Code::bad_file, "causal language model: no layers");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (auto valid = layers[i].validate(); !valid) return forward_failure(valid, cat("layer ", i));
    if (layers[i].attention.hidden != embedding.hidden) {
      return fail(Code::bad_file, cat("layer ", i, ": hidden is ", layers[i].attention.hidden, ", the embedding's is ",
                                      embedding.hidden));
    }
  }
  if (final_norm.hidden != embedding.hidden || head.hidden != embedding.hidden) {
    return fail(Code::bad_file, cat("causal language model: hidden is ", embedding.hidden, " in the embedding, ",
                                    final_norm.hidden, " in the final norm, ", head.hidden, " in the head"));
  }
  return {};
}

CausalLmImplConfig get_default_impl_config(const CausalLmSpec& spec, const DeviceInfo& device, Mode mode,
                                           Strategy strategy) {
  return {get_default_impl_config(spec.layers.front(), device, mode, strategy),
          get_default_impl_config(spec.head, device, mode, strategy)};
}

Result<CausalLm> CausalLm::make(CausalLmSpec spec, const CausalLmImplConfig& config, const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  CausalLm model;
  model.config_ = config;
  CORBEL_ASSIGN(model.embedding_, make_token_embedding_weights(spec.embedding, context));
  for (int i = 0; i < static_cast<int>(spec.layers.size()); ++i) {
    const RoleNames names = context.names.at_layer(i);
    CORBEL_ASSIGN(
        DecoderLayerWeights layer,
        make_decoder_layer_weights(spec.layers[i], config.layer, WeightContext{context.store, names, context.device}));
    model.layers_.push_back(std::move(layer));

    const AttentionSpec& attention = spec.layers[i].attention;
    if (!attention.rotates) {
      model.rope_of_layer_.push_back(-1);
      continue;
    }
    const auto known = std::find_if(model.ropes_.begin(), model.ropes_.end(),
                                    [&](const RopeGroup& group) { return group.spec == attention.rotary; });
    model.rope_of_layer_.push_back(static_cast<int>(known - model.ropes_.begin()));
    if (known == model.ropes_.end()) {
      CORBEL_ASSIGN(auto table, context.device.prepare<RopeTable>(make_rope_table_spec(attention.rotary)));
      model.ropes_.push_back({attention.rotary, std::move(table)});
    }
  }
  if (model.ropes_.size() > kMaxRopeGroups) {
    return fail(Code::unsupported,
                cat("the layers have ", model.ropes_.size(), " different rotary embeddings; at most ", kMaxRopeGroups));
  }
  CORBEL_ASSIGN(model.final_norm_, make_rms_norm_weights(spec.final_norm, context.names.module("final_norm"), context));
  CORBEL_ASSIGN(model.gather_, context.device.prepare<GatherRows>({spec.embedding.hidden}));
  CORBEL_ASSIGN(model.head_, make_lm_head_weights(spec.head, config.head, context));
  model.spec_ = std::move(spec);
  return model;
}

std::array<const Linear::Spec*, 4> CausalLm::linear_specs(int layer) const {
  const DecoderLayerWeights& weights = layers_[layer];
  return {&weights.attention.qkv.op.spec(), &weights.attention.output.op.spec(), &weights.ffn.gate_up.op.spec(),
          &weights.ffn.down.op.spec()};
}

void CausalLm::embed(const StepInputs& step, const TensorView& hidden, RunContext& context) const noexcept {
  prefill_forward({step.ids, hidden}, spec_.embedding, EmbeddingImplConfig{}, embedding_, context);
}

void CausalLm::run_layers(int first, int count, const StepInputs& step, const TensorView& hidden,
                          const CacheView& cache, RunContext& context) const noexcept {
  const ArenaScope scope(*context.scratch);
  std::array<TensorView, kMaxRopeGroups> tables;
  for (std::size_t i = 0; i < ropes_.size(); ++i) {
    tables[i] = context.allocate(DType::f32, {step.rows, 2, ropes_[i].spec.rotary_dim / 2});
    ropes_[i].table({step.positions, step.rope_lengths, tables[i]}, context);
  }
  for (int i = first; i < first + count && !context.cancelled(); ++i) {
    const TensorView rope = rope_of_layer_[i] < 0 ? TensorView{} : tables[rope_of_layer_[i]];
    const bool is_last = i + 1 == static_cast<int>(layers_.size());
    step_forward(DecoderLayerArgs{hidden, rope, step, is_last && step.keeps_wanted_rows}, spec_.layers[i],
                 config_.layer, layers_[i], cache.layers[i], context);
  }
}

void CausalLm::final_hidden(const StepInputs& step, const TensorView& hidden, const TensorView& rows,
                            RunContext& context) const noexcept {
  if (step.logit_rows == 0) return;
  if (step.keeps_wanted_rows)
    return prefill_forward({hidden.row_range(0, step.logit_rows), rows}, spec_.final_norm, NormImplConfig{},
                           final_norm_, context);
  gather_({hidden, step.logit_index, rows}, context);
  prefill_forward({rows, rows}, spec_.final_norm, NormImplConfig{}, final_norm_, context);
}

void CausalLm::head(const StepInputs& step, const TensorView& hidden, const TensorView& logits,
                    RunContext& context) const noexcept {
  if (step.logit_rows == 0) return;
  const ArenaScope scope(*context.scratch);
  const TensorView rows = context.allocate(DType::f32, {step.logit_rows, spec_.embedding.hidden});
  final_hidden(step, hidden, rows, context);
  prefill_forward({rows, logits}, spec_.head, config_.head, head_, context);
}

}  // namespace corbel
