#pragma once
#include <array>
#include <string>

#include "corbel/format/weight_format.h"
#include "corbel/ops/op.h"

namespace corbel {

/// How a dot product is computed. Part of the contract: it moves bits.
enum class Arithmetic : std::uint8_t {
  f32,   // weights decoded to f32; 16 lanes: lane l sums x[16i+l] * w[16i+l] by fused multiply-add, i ascending
  bf16,  // bf16 weights, rows or strips; x rounded to bf16 (nearest even); 16 lanes: lane l takes pairs (32i+2l,
         // 32i+2l+1), the odd element first, each by fma_flushed (subnormal inputs and results are zero): the
         // arithmetic of AVX512_BF16's vdpbf16ps. Numbers with scales, see below
  int8,  // packed weights (packed_format.h); x quantized per row and block of 256 columns, integers summed exactly
};
/// In f32 and bf16, the 16 lanes are then added 8+8, 4+4, 2+2, 1+1 (lane l takes lane l + half); a row's tail is padded
/// with zeros.
///
/// bf16 with strips that have scales (fp8.h), per weight row with its scales s[g] of 128 columns each, x and the last
/// group padded with zeros; all weights of the op are of this kind, or none:
///   t[g] = 0; for the group's pairs ascending, the odd element first: t[g] = fma_flushed(x, w, t[g])
///   y = 0; for g ascending: y = fma(t[g], s[g], y)
///
/// int8, per row of x and block b of 256 columns (the last one padded with zeros), all floats f32:
///   m[b] = largest |x|;  xs[b] = m / 127;  xq = x * (127 / m) rounded to the nearest even integer
///   m < 2^-100: xs = 0, xq = 0.  m not finite: xs = NaN, xq = 0: the output is NaN
/// and per weight row with its integers w, scales s[g] and offsets o[g] of each group g of columns:
///   t = 0; for g ascending: t = fma(float(sum of xq * w over g), s[g], t), then, where the format has offsets,
///                           t = fma(float(sum of xq over g), o[g], t)
///   y = 0; for b ascending: y = fma(t[b], xs[b], y)
/// Every integer sum stays below 2^24, so float(sum) is exact and sums may be formed in any order.

std::string_view arithmetic_name(Arithmetic arithmetic);
inline std::string to_string(Arithmetic arithmetic) { return std::string(arithmetic_name(arithmetic)); }

/// Elementwise functions, all computed by corbel/ops/arithmetic.h.
enum class Activation : std::uint8_t { none, silu, gelu, gelu_tanh, relu };

std::string_view activation_name(Activation activation);

/// y = x . W^T with one to four weights that share the input, and what follows as data.
///
/// x       f32 [rows, in]
/// weight  [out, in] in `format`: row after row, any alignment; or packed strips at a multiple of 64 bytes
/// bias    f32 [out] or empty
/// out     f32 [rows, out]; may not overlap x
///
/// Per output, in this order: dot product, + bias, activation. When `gated` (exactly two weights of one size: gate,
/// up): out[0] = activation(gate) * up. When `add_residual`: out[0] = residual + that; residual may be out[0] itself.
/// Cost: reads every weight once per call for few rows (memory bound); 2 * rows * in * out operations.
struct Linear {
  static constexpr std::string_view kName = "linear";
  static constexpr int kMaxWeights = 4;

  struct Output {
    std::int64_t features = 0;
    const WeightFormat* format = nullptr;
    bool has_bias = false;
  };
  struct Spec {
    std::int64_t in_features = 0;
    int weights = 1;
    std::array<Output, kMaxWeights> outputs;
    Arithmetic arithmetic = Arithmetic::f32;
    Activation activation = Activation::none;
    bool gated = false;
    bool add_residual = false;
  };
  struct Args {
    TensorView x;
    std::array<const std::byte*, kMaxWeights> weights{};
    std::array<TensorView, kMaxWeights> biases;
    TensorView residual;
    std::array<TensorView, kMaxWeights> out;  // only out[0] when gated
  };

  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<Linear>> cases(CaseScale scale);
};

}  // namespace corbel
