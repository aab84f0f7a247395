#pragma once
#include <optional>
#include <string>

#include "corbel/blocks/normalization.h"
#include "corbel/blocks/rotary.h"
#include "corbel/ops/attention.h"
#include "corbel/ops/rows.h"

namespace corbel {

/// Causal self-attention with rotary positions over a paged cache: MHA, GQA or MQA by kv_heads, whole history or a
/// sliding window. Source: arXiv 1706.03762, 2305.13245 (GQA), 2004.05150 (window).
struct AttentionSpec {
  std::int64_t hidden = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;  // divides q_heads; query head h reads key head h / (q_heads / kv_heads)
  std::int64_t head_dim = 0;
  double softmax_scale = 0.0;  // 0: 1/sqrt(head_dim)
  std::int64_t window = 0;     // 0: whole history; else the newest `window` tokens, the own one included
  bool rotates = true;         // false: no rotary embedding; `rotary` is then ignored
  RotarySpec rotary;
  bool qkv_bias = false;               // q, k and v must have biases
  bool output_bias = false;            // so must the output projection
  std::optional<RmsNormSpec> qk_norm;  // normalizes every head of q and k before the rotation; hidden is head_dim

  Result<void> validate() const;
  float scale() const;
};

struct AttentionImplConfig {
  bool bf16_products = true;        // moves bits: bf16 weights multiply activations rounded to bf16 (Arithmetic::bf16)
  DType cache_dtype = DType::bf16;  // moves bits: f32, bf16 or i8
};

/// "f32", "bf16", "int8": the types a cache may have, as users and artifacts write them.
struct CacheType {
  std::string_view name;
  DType dtype;
};
std::span<const CacheType> cache_types();

AttentionImplConfig get_default_impl_config(const AttentionSpec&, const DeviceInfo&, Mode,
                                            Strategy = Strategy::balanced);

struct AttentionWeights {
  std::string module;
  LinearLayer qkv;  // three weights, one input
  LinearLayer output;
  std::optional<RmsNormWeights> q_norm, k_norm;
  Prepared<RopeApply> q_rope, k_rope;
  Prepared<KvAppend> append;
  Prepared<AttentionPrefill> prefill;
  Prepared<AttentionDecode> decode;
  Prepared<GatherRows> gather;  // of rows of all heads
};

/// Roles: attention (the module), attention.q, attention.k, attention.v, attention.output, attention.q_norm,
/// attention.k_norm. Biases are used where the checkpoint has them.
Result<AttentionWeights> make_attention_weights(const AttentionSpec&, const AttentionImplConfig&, const WeightContext&);

/// The page that one layer of this attention needs per 64 tokens.
KvPageSpec cache_page(const AttentionSpec&, const AttentionImplConfig&);

/// x     f32 [rows, hidden]  normalized input
/// rope  f32 [rows, 2, rotary_dim / 2]  RopeTable of the rows
/// out   f32 [rows, hidden]  without the residual; may not overlap x
/// wanted_rows_alone: keys and values of all rows are kept, out is [logit_rows, hidden] of those whose logits are
/// wanted
struct AttentionArgs {
  TensorView x;
  TensorView rope;
  TensorView out;
  const StepInputs& step;
  bool wanted_rows_alone = false;
};
/// Many positions of a sequence: all rows of the step belong to prefill spans.
struct AttentionPrefillArgs : AttentionArgs {};
/// One position of each of many sequences: the step has no spans.
struct AttentionDecodeArgs : AttentionArgs {};
/// Both kinds of rows in one step; projections run once over all of them.
struct AttentionStepArgs : AttentionArgs {};

void prefill_forward(const AttentionPrefillArgs&, const AttentionSpec&, const AttentionImplConfig&,
                     const AttentionWeights&, const KvLayer&, RunContext&) noexcept;
void decode_forward(const AttentionDecodeArgs&, const AttentionSpec&, const AttentionImplConfig&,
                    const AttentionWeights&, const KvLayer&, RunContext&) noexcept;
void step_forward(const AttentionStepArgs&, const AttentionSpec&, const AttentionImplConfig&, const AttentionWeights&,
                  const KvLayer&, RunContext&) noexcept;

}  // namespace corbel
