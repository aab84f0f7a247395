#include "corbel/blocks/ffn.h"

namespace corbel {
namespace {

Result<void> validate_sizes(std::int64_t hidden, std::int64_t ffn) {
  if (hidden > 0 && ffn > 0) return {};
  return fail(Code::bad_file, cat("feed-forward: hidden=", hidden, " ffn=", ffn, "; both must be positive"));
}

FfnImplConfig default_config(Strategy strategy) { return {.bf16_products = strategy != Strategy::accuracy}; }

/// First layer into scratch, second into out.
void two_layers(const FfnArgs& args, std::int64_t ffn, const LinearLayer& first, const LinearLayer& down,
                RunContext& context) noexcept {
  const ArenaScope scope(*context.scratch);
  const TensorView inner = context.allocate(DType::f32, {args.x.rows(), ffn});
  first.run(args.x, {inner}, context);
  down.run(inner, {args.out}, context);
}

template <typename Spec>
Result<LinearLayer> make_down(const Spec& spec, bool bf16_products, const WeightContext& context) {
  LinearPlan down{.in_features = spec.ffn, .bf16_products = bf16_products};
  down.parts = {{context.names.module("ffn.down"), spec.hidden, spec.bias}};
  return make_linear(down, context);
}

}  // namespace

Result<void> GatedMlpSpec::validate() const { return validate_sizes(hidden, ffn); }
Result<void> MlpSpec::validate() const { return validate_sizes(hidden, ffn); }

FfnImplConfig get_default_impl_config(const GatedMlpSpec&, const DeviceInfo&, Mode, Strategy strategy) {
  return default_config(strategy);
}
FfnImplConfig get_default_impl_config(const MlpSpec&, const DeviceInfo&, Mode, Strategy strategy) {
  return default_config(strategy);
}

Result<Activation> find_activation(const std::string& name) {
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  return fail(Code::unsupported,
              cat("\"hidden_act\" is \"", name,
                  "\"; known: silu, swish, gelu, gelu_new, gelu_pytorch_tanh, relu (corbel/blocks/ffn.cpp)"));
}

Result<GatedMlpWeights> make_gated_mlp_weights(const GatedMlpSpec& spec, const FfnImplConfig& config,
                                               const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  GatedMlpWeights weights{.module = context.names.module("ffn")};
  LinearPlan gate_up{
      .in_features = spec.hidden, .bf16_products = config.bf16_products, .activation = spec.activation, .gated = true};
  gate_up.parts = {{context.names.module("ffn.gate"), spec.ffn, spec.bias},
                   {context.names.module("ffn.up"), spec.ffn, spec.bias}};
  CORBEL_ASSIGN(weights.gate_up, make_linear(gate_up, context));
  CORBEL_ASSIGN(weights.down, make_down(spec, config.bf16_products, context));
  return weights;
}

Result<MlpWeights> make_mlp_weights(const MlpSpec& spec, const FfnImplConfig& config, const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  MlpWeights weights{.module = context.names.module("ffn")};
  LinearPlan up{.in_features = spec.hidden, .bf16_products = config.bf16_products, .activation = spec.activation};
  up.parts = {{context.names.module("ffn.up"), spec.ffn, spec.bias}};
  CORBEL_ASSIGN(weights.up, make_linear(up, context));
  CORBEL_ASSIGN(weights.down, make_down(spec, config.bf16_products, context));
  return weights;
}

void prefill_forward(const FfnArgs& args, const GatedMlpSpec& spec, const FfnImplConfig&,
                     const GatedMlpWeights& weights, RunContext& context) noexcept {
  two_layers(args, spec.ffn, weights.gate_up, weights.down, context);
  context.tap(weights.module, "", args.out);
}

void decode_forward(const FfnArgs& args, const GatedMlpSpec& spec, const FfnImplConfig& config,
                    const GatedMlpWeights& weights, RunContext& context) noexcept {
  prefill_forward(args, spec, config, weights, context);
}

void prefill_forward(const FfnArgs& args, const MlpSpec& spec, const FfnImplConfig&, const MlpWeights& weights,
                     RunContext& context) noexcept {
  two_layers(args, spec.ffn, weights.up, weights.down, context);
  context.tap(weights.module, "", args.out);
}

void decode_forward(const FfnArgs& args, const MlpSpec& spec, const FfnImplConfig& config, const MlpWeights& weights,
                    RunContext& context) noexcept {
  prefill_forward(args, spec, config, weights, context);
}

}  // namespace corbel
