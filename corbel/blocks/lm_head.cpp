#include "corbel/blocks/lm_head.h"

namespace corbel {

Result<void> LmHeadSpec::validate() const {
  if (hidden > 0 && vocab > 0) return {};
  return fail(Code::bad_file, cat("lm_head: hidden=", hidden, " vocab=", vocab, "; both must be positive"));
}

LmHeadImplConfig get_default_impl_config(const LmHeadSpec&, const DeviceInfo&, Mode, Strategy strategy) {
  return {.bf16_products = strategy != Strategy::accuracy};
}

Result<LmHeadWeights> make_lm_head_weights(const LmHeadSpec& spec, const LmHeadImplConfig& config,
                                           const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  LmHeadWeights weights{.module = context.names.module("lm_head")};
  LinearPlan plan{.in_features = spec.hidden, .bf16_products = config.bf16_products};
  plan.parts = {{spec.tied ? context.names.module("embedding") : weights.module, spec.vocab}};
  CORBEL_ASSIGN(weights.linear, make_linear(plan, context));
  return weights;
}

void prefill_forward(const LmHeadArgs& args, const LmHeadSpec&, const LmHeadImplConfig&, const LmHeadWeights& weights,
                     RunContext& context) noexcept {
  weights.linear.run(args.x, {args.logits}, context);
  context.tap(weights.module, "", args.logits);
}

void decode_forward(const LmHeadArgs& args, const LmHeadSpec& spec, const LmHeadImplConfig& config,
                    const LmHeadWeights& weights, RunContext& context) noexcept {
  prefill_forward(args, spec, config, weights, context);
}

}  // namespace corbel
