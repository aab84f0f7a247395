#pragma once
#include <string>

#include "corbel/blocks/block.h"

namespace corbel {

/// Hidden rows to logits over the vocabulary, with its own matrix or the token embedding's.
struct LmHeadSpec {
  std::int64_t hidden = 0;
  std::int64_t vocab = 0;
  bool tied = false;  // the weight is the embedding table
  Result<void> validate() const;
};

struct LmHeadImplConfig {
  bool bf16_products = true;  // moves bits: bf16 weights multiply activations rounded to bf16 (Arithmetic::bf16)
};

LmHeadImplConfig get_default_impl_config(const LmHeadSpec&, const DeviceInfo&, Mode, Strategy = Strategy::balanced);

struct LmHeadWeights {
  std::string module;  // "lm_head", also when tied: what taps report
  LinearLayer linear;
};

/// Roles: lm_head and, when tied, embedding.
Result<LmHeadWeights> make_lm_head_weights(const LmHeadSpec&, const LmHeadImplConfig&, const WeightContext&);

/// x f32 [rows, hidden]: normalized rows whose logits are wanted; logits f32 [rows, vocab].
struct LmHeadArgs {
  TensorView x;
  TensorView logits;
};

/// Token-wise: both names do the same.
void prefill_forward(const LmHeadArgs&, const LmHeadSpec&, const LmHeadImplConfig&, const LmHeadWeights&,
                     RunContext&) noexcept;
void decode_forward(const LmHeadArgs&, const LmHeadSpec&, const LmHeadImplConfig&, const LmHeadWeights&,
                    RunContext&) noexcept;

}  // namespace corbel
