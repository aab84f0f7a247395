#pragma once
#include <string>

#include "corbel/blocks/block.h"
#include "corbel/ops/normalization.h"

namespace corbel {

/// RMS normalization over `hidden`. Source: arXiv 1910.07467.
struct RmsNormSpec {
  std::int64_t hidden = 0;
  double eps = 1e-5;
  bool gamma_plus_one = false;  // y = x_hat * (1 + gamma)
  Result<void> validate() const;
};

/// Layer normalization with optional bias. Source: arXiv 1607.06450.
struct LayerNormSpec {
  std::int64_t hidden = 0;
  double eps = 1e-5;
  Result<void> validate() const;
};

struct NormImplConfig {};  // one way to run it: f32 in, f32 out

NormImplConfig get_default_impl_config(const RmsNormSpec&, const DeviceInfo&, Mode, Strategy = Strategy::balanced);
NormImplConfig get_default_impl_config(const LayerNormSpec&, const DeviceInfo&, Mode, Strategy = Strategy::balanced);

struct RmsNormWeights {
  std::string module;
  TensorView gamma;  // f32 [hidden]
  Prepared<RmsNorm> op;
};
struct LayerNormWeights {
  std::string module;
  TensorView gamma;  // f32 [hidden]
  TensorView beta;   // f32 [hidden] or empty
  Prepared<LayerNorm> op;
};

/// Loads "<module>.weight".
Result<RmsNormWeights> make_rms_norm_weights(const RmsNormSpec&, const std::string& module, const WeightContext&);
/// Loads "<module>.weight" and, where there is one, "<module>.bias".
Result<LayerNormWeights> make_layer_norm_weights(const LayerNormSpec&, const std::string& module, const WeightContext&);

/// x, out: f32 [rows, hidden]; out may be x.
struct NormArgs {
  TensorView x;
  TensorView out;
};

/// Token-wise: rows know no phase, and both names do the same.
void prefill_forward(const NormArgs&, const RmsNormSpec&, const NormImplConfig&, const RmsNormWeights&,
                     RunContext&) noexcept;
void decode_forward(const NormArgs&, const RmsNormSpec&, const NormImplConfig&, const RmsNormWeights&,
                    RunContext&) noexcept;
void prefill_forward(const NormArgs&, const LayerNormSpec&, const NormImplConfig&, const LayerNormWeights&,
                     RunContext&) noexcept;
void decode_forward(const NormArgs&, const LayerNormSpec&, const NormImplConfig&, const LayerNormWeights&,
                    RunContext&) noexcept;

}  // namespace corbel
