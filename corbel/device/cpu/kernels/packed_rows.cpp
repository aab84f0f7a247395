#include "corbel/device/cpu/kernels/activations.h"
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

// Rows of x into int8 tiles, and what follows the dot products.

namespace corbel::cpu::CORBEL_ISA {
namespace {

constexpr int kVectors = kBlockColumns / kWidth;
constexpr float kSmallest = 0x1p-100F;  // kSmallestQuantized of corbel/ops/quantized_rows.h

constexpr float kMostFinite = 3.402823466e38F;

CORBEL_INLINE Ints magnitude(Floats a) { return bit_and(as_ints(a), broadcast_int(0x7fffffff)); }

CORBEL_INLINE int32_t max_lane(Ints a) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_epi32(a.v);
#else
  float lanes[kWidth];
  store(lanes, as_floats(a));
  int32_t most = 0;
  for (int l = 0; l < kWidth; ++l) {
    int32_t lane;
    __builtin_memcpy(&lane, lanes + l, sizeof lane);
    most = lane > most ? lane : most;
  }
  return most;
#endif
}

/// a[0] + ... + a[15], exact: integers.
CORBEL_INLINE Floats add_all(const Floats* a) {
  Floats sums[8];
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) sums[v] = add(a[v], a[v + 8]);
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) sums[v] = add(sums[v], sums[v + 4]);
  return add(add(sums[0], sums[1]), add(sums[2], sums[3]));
}

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

/// Vector `v` of a block of a row; zeros behind the row's end.
CORBEL_INLINE Floats load_part(const float* x, int64_t begin, int64_t in) {
  if (begin + kWidth <= in) return load(x + begin);
  return begin >= in ? zero() : load_first(x + begin, in - begin);
}

/// Scale of each block of a row, and what x is multiplied by. A pass of its own: the chain from a block's maximum to
/// its integers is long, and blocks do not wait for one another this way.
void scale_row(const float* x, int64_t in, const QuantizedTile& tile, int64_t row, int64_t first, int64_t count,
               float* inverses) {
  for (int64_t b = 0; b < count; ++b) {
    const int64_t begin = (first + b) * kBlockColumns;
    Ints largest[4];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      // Magnitudes as integers are in the same order, and what is not finite lies above all others.
      const Ints values = magnitude(load_part(x, begin + v * kWidth, in));
      largest[v % 4] = v < 4 ? values : max(largest[v % 4], values);
    }
    const int32_t bits = max_lane(max(max(largest[0], largest[1]), max(largest[2], largest[3])));
    __builtin_memcpy(inverses + b, &bits, sizeof bits);
  }
  for (int64_t b = 0; b < count; ++b) {
    const float m = inverses[b];
    const bool finite = m <= kMostFinite;
    const bool any = m >= kSmallest && finite;
    tile.scales[(first + b) * tile.rows + row] = any ? m / 127.0F : (finite ? 0.0F : __builtin_nanf(""));
    inverses[b] = any ? 127.0F / m : 0.0F;
  }
}

/// Integers and sums of one block of one row.
CORBEL_INLINE void quantize_block(const float* x, int64_t in, const QuantizedTile& tile, int64_t row, int64_t block,
                                  float inverse, int32_t bias) {
  alignas(64) int8_t bytes[kBlockColumns];
  int8_t* const to = tile.integers + (block * kBlockFours * tile.rows + row) * 4;
  int8_t* const target = tile.rows == 1 ? to : bytes;
  Floats rounded[kVectors];
  const bool any = inverse > 0.0F;  // else values may be such that their product with zero is none
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
    const Floats values = any ? load_part(x, block * kBlockColumns + v * kWidth, in) : zero();
    rounded[v] = round_even(mul(values, broadcast(inverse)));
    store_bytes(target + v * kWidth, rounded[v]);
  }
  const bool only_whole = tile.starts[1] == nullptr && tile.starts[2] == nullptr && tile.starts[3] == nullptr &&
                          tile.starts[4] == nullptr && tile.sums[0] == nullptr;
  if (only_whole) {
    tile.starts[0][block * tile.rows + row] = -bias * static_cast<int32_t>(add_lanes(add_all(rounded)));
  } else {
    float sixteenths[kWidth];
    store(sixteenths, add_lanes_of_16(rounded));
    store_sums(tile, block, row, bias, sixteenths);
  }
  if (tile.rows == 1) return;
  for (int64_t four = 0; four < kBlockFours; ++four) __builtin_memcpy(to + four * tile.rows * 4, bytes + four * 4, 4);
}

void quantize_row(const float* x, int64_t in, const QuantizedTile& tile, int64_t row, int32_t bias) {
  constexpr int64_t kAtOnce = 32;
  const int64_t blocks = (in + kBlockColumns - 1) / kBlockColumns;
  float inverses[kAtOnce];
  for (int64_t first = 0; first < blocks; first += kAtOnce) {
    const int64_t count = blocks - first < kAtOnce ? blocks - first : kAtOnce;
    scale_row(x, in, tile, row, first, count, inverses);
    for (int64_t b = 0; b < count; ++b) quantize_block(x, in, tile, row, first + b, inverses[b], bias);
  }
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
