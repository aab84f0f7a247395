#pragma once
#include "corbel/ops/op.h"
#include "corbel/ops/step_inputs.h"

/// Paged causal attention. Keys and values are always read back from the cache in its stored dtype, also those just
/// written.
namespace corbel {

/// Stores each row's key and value at its slot of its sequence's pages, rounded to the cache's dtype.
/// An int8 cache keeps, per token and head, integers and a bf16 scale of the key, and so of the value:
///   scale = bf16(largest magnitude / 127), integer = x * (1 / scale) to nearest, ties to even: -127 .. 127
/// A largest magnitude below 2^-100 counts as zeros: scale 0. Where the key or the value has an element that is not
/// finite, both scales are NaN and all integers 0.
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
///
/// A block of an int8 cache (n: the stored integers; sums of integers are exact in any order; E as for bf16):
///     q'   = q * (softmax_scale * log2 e)
///     Q, u = integers of q' and their unit: M = largest |q'|, u = M / 16383, Q[d] = q'[d] * (16383 / M) to nearest,
///            ties to even; M below 2^-100: Q = 0, u = 0; M not finite: Q = 0, u = NaN
///     s[j] = (f32(sum Q n_key[j]) * u) * key scale[j]
///     m', a as for bf16
///     p[j] = E(s[j] - m'), 0 for slots not visible
///     l    = fma(l, a, sum p)                       as for f32
///     w[j] = p[j] * value scale[j]
///     P, v = integers of w and their unit: W = largest w, v = W / 32767, P[j] = w[j] * (32767 / W) to nearest, ties to
///            even; W below 2^-100: P = 0, v = 0
///     o[d] = fma(o[d], a, f32(sum P n_value[d]) * v)
///   Sums fit: 1024 * 127 * 16383 and 128 * 127 * 32767 are below 2^31. Rounding to 15 bits of the largest is finer
///   than bf16 for what counts; products cost as much as those of bf16 pairs, and pages are read at half the bytes.
///
/// NaN: a head that sees a score of NaN, which a query, a key or (int8) a value that is not finite makes, comes out as
/// NaN in all elements; other heads and rows do not notice.
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
