#include "corbel/blocks/normalization.h"

namespace corbel {
namespace {

Result<void> validate_norm(std::int64_t hidden, double eps) {
  if (hidden <= 0) return fail(Code::bad_file, cat("normalization: hidden is ", hidden, "; it must be positive"));
  if (!(eps > 0.0 && eps < 1.0))
    return fail(Code::bad_file, cat("normalization: eps is ", eps, "; it must be between 0 and 1"));
  return {};
}

}  // namespace

std::string_view strategy_name(Strategy strategy) {
  switch (strategy) {
    case Strategy::balanced: return "balanced";
    case Strategy::performance: return "performance";
    case Strategy::accuracy: return "accuracy";
    case Strategy::memory: return "memory";
  }
  return "unknown";
}

Result<void> RmsNormSpec::validate() const { return validate_norm(hidden, eps); }
Result<void> LayerNormSpec::validate() const { return validate_norm(hidden, eps); }

NormImplConfig get_default_impl_config(const RmsNormSpec&, const DeviceInfo&, Mode, Strategy) { return {}; }
NormImplConfig get_default_impl_config(const LayerNormSpec&, const DeviceInfo&, Mode, Strategy) { return {}; }

Result<RmsNormWeights> make_rms_norm_weights(const RmsNormSpec& spec, const std::string& module,
                                             const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  RmsNormWeights weights{.module = module};
  CORBEL_ASSIGN(weights.gamma, context.store.vector(module + ".weight", spec.hidden));
  CORBEL_ASSIGN(weights.op,
                context.device.prepare<RmsNorm>({spec.hidden, static_cast<float>(spec.eps), spec.gamma_plus_one}));
  return weights;
}

Result<LayerNormWeights> make_layer_norm_weights(const LayerNormSpec& spec, const std::string& module,
                                                 const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  LayerNormWeights weights{.module = module};
  CORBEL_ASSIGN(weights.gamma, context.store.vector(module + ".weight", spec.hidden));
  if (context.store.has(module + ".bias")) {
    CORBEL_ASSIGN(weights.beta, context.store.vector(module + ".bias", spec.hidden));
  }
  CORBEL_ASSIGN(weights.op, context.device.prepare<LayerNorm>({spec.hidden, static_cast<float>(spec.eps)}));
  return weights;
}

void prefill_forward(const NormArgs& args, const RmsNormSpec&, const NormImplConfig&, const RmsNormWeights& weights,
                     RunContext& context) noexcept {
  weights.op({args.x, weights.gamma, args.out}, context);
  context.tap(weights.module, "", args.out);
}

void decode_forward(const NormArgs& args, const RmsNormSpec& spec, const NormImplConfig& config,
                    const RmsNormWeights& weights, RunContext& context) noexcept {
  prefill_forward(args, spec, config, weights, context);
}

void prefill_forward(const NormArgs& args, const LayerNormSpec&, const NormImplConfig&, const LayerNormWeights& weights,
                     RunContext& context) noexcept {
  weights.op({args.x, weights.gamma, weights.beta, args.out}, context);
  context.tap(weights.module, "", args.out);
}

void decode_forward(const NormArgs& args, const LayerNormSpec& spec, const NormImplConfig& config,
                    const LayerNormWeights& weights, RunContext& context) noexcept {
  prefill_forward(args, spec, config, weights, context);
}

}  // namespace corbel
