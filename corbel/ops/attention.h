#pragma once
#include "corbel/ops/op.h"
#include "corbel/ops/step_inputs.h"

/// Paged causal attention. Keys and values are always read back from the cache in its stored dtype, also those just
/// written.
namespace corbel {

/// Stores each row's key and value at its slot of its sequence's pages, rounded to the cache's dtype.
/// key, value  f32 [rows, kv_heads, head_dim] (or as HeadRows takes it); sequences, slots i32 [rows] as in StepInputs.
/// No two rows share a slot.
struct KvAppend {
  static constexpr std::string_view kName = "kv_append";
  struct Spec {
    KvPageSpec page;
  };
  struct Args {
    TensorView key;
    TensorView value;
    TensorView sequences;
    TensorView slots;
    KvLayer cache;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<KvAppend>> cases(CaseScale scale);
};

/// Gives a sequence's cached keys and values as plain numbers, for comparison and debugging.
/// keys, values  f32 [tokens, kv_heads, head_dim]: slots 0 .. tokens-1 of `sequence`.
struct KvExport {
  static constexpr std::string_view kName = "kv_export";
  struct Spec {
    KvPageSpec page;
  };
  struct Args {
    KvLayer cache;
    std::int64_t sequence = 0;
    TensorView keys;
    TensorView values;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<KvExport>> cases(CaseScale scale);
};

/// Copies whole pages of one layer: destination[i] becomes a copy of source[i]. i32 [pages] each; no page is in both
/// lists.
struct KvCopy {
  static constexpr std::string_view kName = "kv_copy";
  struct Spec {
    KvPageSpec page;
  };
  struct Args {
    KvLayer cache;
    TensorView source;
    TensorView destination;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<KvCopy>> cases(CaseScale scale);
};

/// What both attention ops share.
struct AttentionOpSpec {
  KvPageSpec page;
  std::int64_t q_heads = 0;  // a multiple of page.kv_heads; query head h reads key head h / (q_heads / kv_heads)
  float softmax_scale = 0.0F;
  std::int64_t window = 0;  // 0: slots 0..slot; else only the newest `window` slots, the row's own included
};

/// Attention of the rows of prefill spans. Row r sees slots max(0, slot - window + 1) .. slot of its sequence.
///
/// q, out  f32 [rows, q_heads, head_dim] (or as HeadRows takes it), all rows of the step; out may be q
/// Only the rows of the spans are read and written.
///
/// Arithmetic, the same for both ops, per row and head. Keys are taken in blocks of 128 at absolute slots, blocks in
/// chunks of 8 (1,024 slots). A chunk begins with m = -inf, l = 0, o = 0 and takes its blocks that hold a visible slot,
/// ascending; chunks join in ascending order, the first one with a visible slot as it is:
///   m = max(m1, m2), a1 = E(m1 - m), a2 = E(m2 - m), l = fma(l1, a1, l2 * a2), o[d] likewise
///   out[d] = o[d] * (1 / l)
///
/// A block of an f32 cache (all in f32; E is exp of corbel/ops/arithmetic.h):
///     s[j] = softmax_scale * dot(q, key j)          16 lanes of fused multiply-add, tree as in linear.h, one product
///     m'   = max(m, s[j] of every visible j)
///     a    = E(m - m'), 0 when m = -inf
///     p[j] = E(s[j] - m'), 0 for slots not visible
///     l    = fma(l, a, sum p)                       the sum in 16 lanes (slot j in lane j % 16) and the tree
///     o[d] = o[d] * a, then o[d] = fma(p[j], value[j][d], o[d]) for visible j only, ascending
///
/// A block of a bf16 cache (products of bf16 pairs as vdpbf16ps does them; E is exp2_f32 of attention_reference.h):
///     q'   = bf16(q * (softmax_scale * log2 e))     once per row, log2 e as f32: scores come out in base 2
///     s[j] = chain over the pairs of elements 2i, 2i + 1 of q' and key j, i ascending
///     m'   = max(m, s[j] of every visible j)
///     a    = E(m - m'), 0 when m = -inf
///     p[j] = bf16(E(s[j] - m')), 0 for slots not visible
///     l    = fma(l, a, sum p)                       pair i of the block in lane i % 16: lane = (lane + p[2i+1]) +
///     p[2i]; the tree c[d] = chain over the pairs of slots 2i, 2i + 1 with a visible slot of p and value[.][d], i
///     ascending; a slot of
///            a pair that is not visible has p = value = 0
///     o[d] = fma(o[d], a, c[d])
///   A chain begins with +0; each pair is fma_flushed of the odd element, then of the even one; elements that are
///   subnormal count as zero. l sums the rounded p, so that weights add up to one.
/// Source: arXiv 2205.14135 (online softmax), 2305.13245 (GQA).
struct AttentionPrefill {
  static constexpr std::string_view kName = "attention_prefill";
  using Spec = AttentionOpSpec;
  struct Args {
    TensorView q;
    TensorView spans;  // i32 [spans, 3] {sequence, first row, rows}
    TensorView slots;  // i32 [rows]
    KvLayer cache;
    TensorView out;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<AttentionPrefill>> cases(CaseScale scale);
};

/// Attention of one new row of each of many sequences; same arithmetic.
struct AttentionDecode {
  static constexpr std::string_view kName = "attention_decode";
  using Spec = AttentionOpSpec;
  struct Args {
    TensorView q;          // f32 [rows, q_heads, head_dim]: decode rows only
    TensorView sequences;  // i32 [rows]
    TensorView slots;      // i32 [rows]
    KvLayer cache;
    TensorView out;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<AttentionDecode>> cases(CaseScale scale);
};

}  // namespace corbel
