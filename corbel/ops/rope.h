#pragma once
#include "corbel/ops/op.h"

namespace corbel {

/// Cosines and sines of the rotary angles of each row; one table serves all layers that share a rotary spec.
///
/// positions     i32 [rows, axes]; axis 0 is used (M-RoPE will use more)
/// rope_lengths  i32 [rows]  the sequence length that length-dependent scalings go by (dynamic NTK, longrope)
/// out           f32 [rows, 2, rotary_dim / 2]: cosines, then sines
///
/// angle(r, i) = float(position) * inv_freq[i], one f32 product; cos and sin are computed in double and rounded, then
/// multiplied by the attention factor in f32. Frequencies come from the block (corbel/blocks/rotary.h); here they are
/// plain numbers:
///   rope_length <= long_after (or long_inv_freq empty): inv_freq and factor; above: long_inv_freq and long_factor.
///   dynamic_factor > 0 and rope_length > long_after: base' = base * (factor * length / long_after - (factor - 1))^(d /
///   (d - 2)), inv_freq[i] = base'^(-2i/d), in double, rounded to f32.
/// Source: arXiv 2104.09864; scalings as in HF modeling_rope_utils.py.
struct RopeTable {
  static constexpr std::string_view kName = "rope_table";
  struct Spec {
    std::int64_t rotary_dim = 0;  // even
    std::vector<float> inv_freq;  // [rotary_dim / 2]
    float factor = 1.0F;          // attention factor
    std::vector<float> long_inv_freq;
    float long_factor = 1.0F;
    std::int64_t long_after = 0;
    double dynamic_factor = 0.0;
    double dynamic_base = 0.0;
  };
  struct Args {
    TensorView positions;
    TensorView rope_lengths;
    TensorView out;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<RopeTable>> cases(CaseScale scale);
};

/// Rotates the first rotary_dim elements of every head in place.
///
/// x      f32 [rows, heads, head_dim], or [rows, heads * head_dim] with a row stride that may exceed that (HeadRows)
/// table  f32 [rows, 2, rotary_dim / 2] of RopeTable
/// half layout (HF): partners are i and i + rotary_dim/2; interleaved (GPT-J): 2i and 2i+1.
///   first' = first * cos - second * sin;  second' = second * cos + first * sin; every product and sum rounded on its
///   own.
struct RopeApply {
  static constexpr std::string_view kName = "rope_apply";
  enum class Layout : std::uint8_t { half, interleaved };
  struct Spec {
    std::int64_t heads = 0;
    std::int64_t head_dim = 0;
    std::int64_t rotary_dim = 0;  // even, <= head_dim
    Layout layout = Layout::half;
  };
  struct Args {
    TensorView x;
    TensorView table;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<RopeApply>> cases(CaseScale scale);
};

}  // namespace corbel
