#pragma once
#include <string>

#include "corbel/blocks/block.h"

namespace corbel {

/// Feed-forward with a gate: down(act(gate(x)) * up(x)). Source: arXiv 2002.05202.
struct GatedMlpSpec {
  std::int64_t hidden = 0;
  std::int64_t ffn = 0;
  Activation activation = Activation::silu;
  bool bias = false;  // all three must have biases
  Result<void> validate() const;
};

/// Plain feed-forward: down(act(up(x))). Source: arXiv 1706.03762.
struct MlpSpec {
  std::int64_t hidden = 0;
  std::int64_t ffn = 0;
  Activation activation = Activation::gelu_tanh;
  bool bias = false;  // both must have biases
  Result<void> validate() const;
};

struct FfnImplConfig {
  bool bf16_products = true;  // moves bits: bf16 weights multiply activations rounded to bf16 (Arithmetic::bf16)
};

FfnImplConfig get_default_impl_config(const GatedMlpSpec&, const DeviceInfo&, Mode, Strategy = Strategy::balanced);
FfnImplConfig get_default_impl_config(const MlpSpec&, const DeviceInfo&, Mode, Strategy = Strategy::balanced);

/// The activation of a config.json "hidden_act"; unknown names are refused with the known ones.
Result<Activation> find_activation(const std::string& name);

struct GatedMlpWeights {
  std::string module;
  LinearLayer gate_up;
  LinearLayer down;
};
struct MlpWeights {
  std::string module;
  LinearLayer up;
  LinearLayer down;
};

/// Roles: ffn (the module), ffn.gate, ffn.up, ffn.down. Biases are used where the checkpoint has them.
Result<GatedMlpWeights> make_gated_mlp_weights(const GatedMlpSpec&, const FfnImplConfig&, const WeightContext&);
Result<MlpWeights> make_mlp_weights(const MlpSpec&, const FfnImplConfig&, const WeightContext&);

/// x, out: f32 [rows, hidden]; out may not overlap x.
struct FfnArgs {
  TensorView x;
  TensorView out;
};

/// Token-wise: rows know no phase, and both names do the same.
void prefill_forward(const FfnArgs&, const GatedMlpSpec&, const FfnImplConfig&, const GatedMlpWeights&,
                     RunContext&) noexcept;
void decode_forward(const FfnArgs&, const GatedMlpSpec&, const FfnImplConfig&, const GatedMlpWeights&,
                    RunContext&) noexcept;
void prefill_forward(const FfnArgs&, const MlpSpec&, const FfnImplConfig&, const MlpWeights&, RunContext&) noexcept;
void decode_forward(const FfnArgs&, const MlpSpec&, const FfnImplConfig&, const MlpWeights&, RunContext&) noexcept;

}  // namespace corbel
