#include "corbel/device/cpu/kernels/activations.h"
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

// Rows of x into int8 tiles, and what follows the dot products.

namespace corbel::cpu::CORBEL_ISA {
namespace {

constexpr int kVectors = kBlockColumns / kWidth;
constexpr float kSmallest = 0x1p-100F;  // kSmallestQuantized of corbel/ops/quantized_rows.h

CORBEL_INLINE Floats magnitude(Floats a) { return as_floats(bit_and(as_ints(a), broadcast_int(0x7fffffff))); }

/// Integers -127..127 as 16 bytes.
CORBEL_INLINE void store_bytes(int8_t* p, Floats rounded) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(to_ints(rounded).v));
#else
  alignas(64) float lanes[kWidth];
  store(lanes, rounded);
  const __m128i a = _mm_cvtps_epi32(_mm_load_ps(lanes));
  const __m128i b = _mm_cvtps_epi32(_mm_load_ps(lanes + 4));
  const __m128i c = _mm_cvtps_epi32(_mm_load_ps(lanes + 8));
  const __m128i d = _mm_cvtps_epi32(_mm_load_ps(lanes + 12));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d)));
#endif
}

/// The sums of 16 / groups of the 16 sums of 16 columns, for every wanted number of groups.
CORBEL_INLINE void store_sums(const QuantizedTile& tile, int64_t block, int64_t row, int32_t bias, float* sixteenths) {
  for (int grouping = kGroupings - 1; grouping >= 0; --grouping) {
    const int64_t groups = int64_t{1} << grouping;
    int32_t* const starts = tile.starts[grouping];
    float* const sums = tile.sums[grouping];
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t at = (block * groups + g) * tile.rows + row;
      if (starts != nullptr) starts[at] = -bias * static_cast<int32_t>(sixteenths[g]);
      if (sums != nullptr) sums[at] = sixteenths[g];
    }
    for (int64_t g = 0; g < groups / 2; ++g) sixteenths[g] = sixteenths[2 * g] + sixteenths[2 * g + 1];
  }
}

/// One block of one row: `values` are its 256 columns.
CORBEL_INLINE void quantize_block(const Floats* values, const QuantizedTile& tile, int64_t block, int64_t row,
                                  int32_t bias) {
  Floats largest = zero();
  Floats spoiled = zero();  // NaN where a value is not finite
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
    largest = max(magnitude(values[v]), largest);
    spoiled = fma(values[v], zero(), spoiled);
  }
  const float m = max_lane(largest);
  const float spoiled_sum = add_lanes(spoiled);
  float scale = 0.0F;
  float inverse = 0.0F;
  if (spoiled_sum != spoiled_sum) {
    scale = __builtin_nanf("");
  } else if (m >= kSmallest) {
    scale = m / 127.0F;
    inverse = 127.0F / m;
  }
  tile.scales[block * tile.rows + row] = scale;

  alignas(64) int8_t bytes[kBlockColumns];
  Floats rounded[kVectors];
  const bool any = inverse > 0.0F;
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
    rounded[v] = any ? round_even(mul(values[v], broadcast(inverse))) : zero();
    store_bytes(bytes + v * kWidth, rounded[v]);
  }
  int8_t* const to = tile.integers + (block * kBlockFours * tile.rows + row) * 4;
  for (int64_t four = 0; four < kBlockFours; ++four)
    __builtin_memcpy(to + four * tile.rows * 4, bytes + four * 4, 4);

  const bool only_whole = tile.starts[1] == nullptr && tile.starts[2] == nullptr && tile.starts[3] == nullptr &&
                          tile.starts[4] == nullptr && tile.sums[0] == nullptr;
  if (only_whole) {
    Floats sum = rounded[0];
#pragma GCC unroll 16
    for (int v = 1; v < kVectors; ++v) sum = add(sum, rounded[v]);
    tile.starts[0][block * tile.rows + row] = -bias * static_cast<int32_t>(add_lanes(sum));
    return;
  }
  float sixteenths[kWidth];
  store(sixteenths, add_lanes_of_16(rounded));
  store_sums(tile, block, row, bias, sixteenths);
}

void quantize_row(const float* x, int64_t in, const QuantizedTile& tile, int64_t row, int32_t bias) {
  Floats values[kVectors];
  int64_t block = 0;
  for (; (block + 1) * kBlockColumns <= in; ++block) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) values[v] = load(x + block * kBlockColumns + v * kWidth);
    quantize_block(values, tile, block, row, bias);
  }
  if (block * kBlockColumns == in) return;
  for (int v = 0; v < kVectors; ++v) {
    const int64_t begin = block * kBlockColumns + v * kWidth;
    values[v] = begin >= in ? zero() : load_some(x + begin, in - begin < kWidth ? in - begin : kWidth);
  }
  quantize_block(values, tile, block, row, bias);
}

void quantize(const QuantizeArgs& args) {
#if defined(__AVX512F__)
  constexpr int32_t kBias = 128;
#else
  constexpr int32_t kBias = 0;
#endif
  for (int64_t row = 0; row < args.tile.rows; ++row)
    quantize_row(args.x + row * args.x_stride, args.in, args.tile, row, kBias);
}

/// One row of a range of outputs.
template <typename Activate>
CORBEL_INLINE void finish_row(const FinishArgs& args, int64_t row, Activate activate) {
  const float* const dots = args.dots + row * args.stride;
  const float* const up = args.up == nullptr ? nullptr : args.up + row * args.stride;
  const float* const residual = args.residual == nullptr ? nullptr : args.residual + row * args.residual_stride;
  float* const out = args.out + row * args.out_stride;
  for (int64_t i = 0; i < args.count; i += kWidth) {
    const int64_t lanes = args.count - i < kWidth ? args.count - i : kWidth;
    Floats value = load_some(dots + i, lanes);
    if (args.bias != nullptr) value = add(value, load_some(args.bias + i, lanes));
    value = activate(value);
    if (up != nullptr) {
      Floats other = load_some(up + i, lanes);
      if (args.up_bias != nullptr) other = add(other, load_some(args.up_bias + i, lanes));
      value = mul(value, other);
    }
    if (residual != nullptr) value = add(load_some(residual + i, lanes), value);
    store_some(out + i, value, lanes);
  }
}

void finish(const FinishArgs& args) {
  const auto rows = [&](auto activate) __attribute__((always_inline)) {
    for (int64_t row = 0; row < args.rows; ++row) finish_row(args, row, activate);
  };
  if (args.function == static_cast<int32_t>(Function::silu))
    rows([](Floats x) __attribute__((always_inline)) { return silu(x); });
  else if (args.function == static_cast<int32_t>(Function::gelu_tanh))
    rows([](Floats x) __attribute__((always_inline)) { return gelu_tanh(x); });
  else if (args.function == static_cast<int32_t>(Function::relu))
    rows([](Floats x) __attribute__((always_inline)) { return relu(x); });
  else
    rows([](Floats x) __attribute__((always_inline)) { return x; });
}

}  // namespace

void add_packed_rows(Kernels& table) {
  table.packed.quantize = quantize;
  table.packed.finish = finish;
}

}  // namespace corbel::cpu::CORBEL_ISA
