#pragma once
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

/// What kernels of float strips share: how x becomes tiles. Kernel sources only.
namespace corbel::cpu::CORBEL_ISA {

#if defined(__AVX512F__)
constexpr int kStripTileRows = 12;  // 12 x 2 sums, 2 weights, 1 x: 27 of 32 registers
#elif defined(__AVX2__)
constexpr int kStripTileRows = 4;  // 4 sums of two registers, a weight of up to four, x: 14 of 16
#else
constexpr int kStripTileRows = 2;
#endif

/// 32 values of a row from `begin` on as 16 pairs of bf16; zeros behind the row's end.
CORBEL_INLINE Ints load_rounded_pairs(const float* x, int64_t begin, int64_t in) {
  Ints halves[2];
  for (int half = 0; half < 2; ++half) {
    const int64_t at = begin + half * kWidth;
    const Floats values = at + kWidth <= in ? load(x + at) : (at >= in ? zero() : load_first(x + at, in - at));
    halves[half] = round_to_bf16(values);
  }
#if defined(__AVX512F__)
  alignas(64) static constexpr uint16_t kLower[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
                                                      32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62};
  return {_mm512_permutex2var_epi16(halves[0].v, _mm512_load_si512(kLower), halves[1].v)};
#else
  uint16_t numbers[2 * kWidth];
  store_u16(numbers, halves[0]);
  store_u16(numbers + kWidth, halves[1]);
  return load_pairs(numbers);
#endif
}

/// The first `count` lanes to any address.
CORBEL_INLINE void store_lanes(float* p, Floats a, int64_t count) {
  if (count == kWidth)
    store(p, a);
  else
    store_first(p, a, count);
}

}  // namespace corbel::cpu::CORBEL_ISA
