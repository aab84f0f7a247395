#pragma once
#include <immintrin.h>
#include <stdint.h>

#include "corbel/ops/exp_constants.h"

/// Sixteen floats as one value, whatever the level's registers: one zmm, two ymm or four xmm. All of a kernel's
/// arithmetic goes through here, so that every level does the same operations in the same order.
///
/// Only kernel sources include this file; everything is in the level's own namespace and always inlined, so that
/// nothing compiled for one ISA can be linked into code for another.
#define CORBEL_INLINE static inline __attribute__((always_inline))

namespace corbel::cpu::CORBEL_ISA {

constexpr int kWidth = 16;

#if defined(__AVX512F__)
struct Floats {
  __m512 v;
};
struct Ints {
  __m512i v;
};
struct Mask {
  __mmask16 v;
};

CORBEL_INLINE __mmask16 first_lanes(int64_t count) { return static_cast<__mmask16>((1U << count) - 1U); }

CORBEL_INLINE Floats zero() { return {_mm512_setzero_ps()}; }
CORBEL_INLINE Floats broadcast(float x) { return {_mm512_set1_ps(x)}; }
CORBEL_INLINE Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
CORBEL_INLINE Floats load_first(const float* p, int64_t count) {
  return {_mm512_maskz_loadu_ps(first_lanes(count), p)};
}
CORBEL_INLINE void store(float* p, Floats a) { _mm512_storeu_ps(p, a.v); }
CORBEL_INLINE void store_first(float* p, Floats a, int64_t count) { _mm512_mask_storeu_ps(p, first_lanes(count), a.v); }
CORBEL_INLINE Floats add(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
CORBEL_INLINE Floats sub(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
CORBEL_INLINE Floats mul(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
CORBEL_INLINE Floats div(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
CORBEL_INLINE Floats max(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
CORBEL_INLINE Floats fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
CORBEL_INLINE Floats round_even(Floats a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
CORBEL_INLINE Mask less(Floats a, Floats b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
CORBEL_INLINE Mask unordered(Floats a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
/// a where the mask is set, else b.
CORBEL_INLINE Floats select(Mask m, Floats a, Floats b) { return {_mm512_mask_blend_ps(m.v, b.v, a.v)}; }
/// Lanes from <= lane < to.
CORBEL_INLINE Mask lanes_between(int64_t from, int64_t to) {
  from = from < 0 ? 0 : (from > kWidth ? kWidth : from);
  to = to < from ? from : (to > kWidth ? kWidth : to);
  return {static_cast<__mmask16>(first_lanes(to) & ~first_lanes(from))};
}
CORBEL_INLINE Ints to_ints(Floats a) { return {_mm512_cvttps_epi32(a.v)}; }
CORBEL_INLINE Floats to_floats(Ints a) { return {_mm512_cvtepi32_ps(a.v)}; }
CORBEL_INLINE Floats as_floats(Ints a) { return {_mm512_castsi512_ps(a.v)}; }
CORBEL_INLINE Ints as_ints(Floats a) { return {_mm512_castps_si512(a.v)}; }
CORBEL_INLINE Ints broadcast_int(int32_t x) { return {_mm512_set1_epi32(x)}; }
CORBEL_INLINE Ints add(Ints a, Ints b) { return {_mm512_add_epi32(a.v, b.v)}; }
CORBEL_INLINE Ints sub(Ints a, Ints b) { return {_mm512_sub_epi32(a.v, b.v)}; }
CORBEL_INLINE Ints max(Ints a, Ints b) { return {_mm512_max_epi32(a.v, b.v)}; }
CORBEL_INLINE Ints bit_and(Ints a, Ints b) { return {_mm512_and_si512(a.v, b.v)}; }
template <int kBits>
CORBEL_INLINE Ints shift_left(Ints a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
CORBEL_INLINE Ints shift_right(Ints a) {  // zeros come in
  return {_mm512_srli_epi32(a.v, kBits)};
}
template <int kBits>
CORBEL_INLINE Ints shift_right_signed(Ints a) {
  return {_mm512_srai_epi32(a.v, kBits)};
}
/// 16 unsigned 16-bit numbers from memory.
CORBEL_INLINE Ints load_u16(const void* p) {
  return {_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
}
CORBEL_INLINE Ints load_u16_first(const void* p, int64_t count) {
  return {_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(count), p))};
}
CORBEL_INLINE void store_u16(void* p, Ints a) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(a.v));
}
CORBEL_INLINE void store_u16_first(void* p, Ints a, int64_t count) {
  _mm256_mask_storeu_epi16(p, first_lanes(count), _mm512_cvtepi32_epi16(a.v));
}
/// 32 numbers of 16 bits: 16 pairs.
CORBEL_INLINE Ints load_pairs(const void* p) { return {_mm512_loadu_si512(p)}; }
CORBEL_INLINE Ints load_pairs_first(const void* p, int64_t numbers) {
  return {_mm512_maskz_loadu_epi16(static_cast<__mmask32>((uint64_t{1} << numbers) - 1U), p)};
}
CORBEL_INLINE Floats load_f16(const void* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
}
CORBEL_INLINE Floats load_f16_first(const void* p, int64_t count) {
  return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(count), p))};
}
/// Largest lane; of no use with NaN.
CORBEL_INLINE float max_lane(Floats a) { return _mm512_reduce_max_ps(a.v); }

/// The lanes of a, added 8+8, 4+4, 2+2, 1+1.
CORBEL_INLINE float add_lanes(Floats a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/// Lane k of the answer is add_lanes(a[k]): the same additions, many at once.
CORBEL_INLINE Floats add_lanes_of_16(const Floats* a) {
  __m512 halves[8];  // halves[k] = {a[k] 8+8, a[k + 8] 8+8}
#pragma GCC unroll 8
  for (int k = 0; k < 8; ++k) {
    const __m512 low = _mm512_shuffle_f32x4(a[k].v, a[k + 8].v, 0x44);
    const __m512 high = _mm512_shuffle_f32x4(a[k].v, a[k + 8].v, 0xee);
    halves[k] = _mm512_add_ps(low, high);
  }
  __m512 quarters[4];  // four lanes each of k, k + 4, k + 8, k + 12
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    const __m512 low = _mm512_shuffle_f32x4(halves[k], halves[k + 4], 0x88);
    const __m512 high = _mm512_shuffle_f32x4(halves[k], halves[k + 4], 0xdd);
    quarters[k] = _mm512_add_ps(low, high);  // 128-bit parts: k, k + 8, k + 4, k + 12
  }
  __m512 eighths[2];
#pragma GCC unroll 2
  for (int k = 0; k < 2; ++k) {
    const __m512 low = _mm512_shuffle_ps(quarters[k], quarters[k + 2], 0x44);
    const __m512 high = _mm512_shuffle_ps(quarters[k], quarters[k + 2], 0xee);
    eighths[k] = _mm512_add_ps(low, high);  // in each part: k two lanes, k + 2 two lanes
  }
  const __m512 low = _mm512_shuffle_ps(eighths[0], eighths[1], 0x88);
  const __m512 high = _mm512_shuffle_ps(eighths[0], eighths[1], 0xdd);
  const __m512 sums = _mm512_add_ps(low, high);  // in each part: 0, 2, 1, 3 (+ 0, 8, 4, 12)
  const __m512i order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
  return {_mm512_permutexvar_ps(order, sums)};
}

/// Rows become columns.
CORBEL_INLINE void transpose(Floats* square) {
  __m512 twos[kWidth];
#pragma GCC unroll 8
  for (int i = 0; i < kWidth; i += 2) {
    twos[i] = _mm512_unpacklo_ps(square[i].v, square[i + 1].v);
    twos[i + 1] = _mm512_unpackhi_ps(square[i].v, square[i + 1].v);
  }
  __m512 fours[kWidth];  // fours[4 i + c], 128-bit part k: column 4 k + c of rows 4 i .. 4 i + 3
#pragma GCC unroll 4
  for (int i = 0; i < kWidth; i += 4) {
#pragma GCC unroll 2
    for (int c = 0; c < 2; ++c) {
      const __m512d low = _mm512_castps_pd(twos[i + c]);
      const __m512d high = _mm512_castps_pd(twos[i + c + 2]);
      fours[i + 2 * c] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      fours[i + 2 * c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512 a = _mm512_shuffle_f32x4(fours[c], fours[4 + c], 0x44);
    const __m512 b = _mm512_shuffle_f32x4(fours[8 + c], fours[12 + c], 0x44);
    const __m512 e = _mm512_shuffle_f32x4(fours[c], fours[4 + c], 0xee);
    const __m512 f = _mm512_shuffle_f32x4(fours[8 + c], fours[12 + c], 0xee);
    square[c].v = _mm512_shuffle_f32x4(a, b, 0x88);
    square[4 + c].v = _mm512_shuffle_f32x4(a, b, 0xdd);
    square[8 + c].v = _mm512_shuffle_f32x4(e, f, 0x88);
    square[12 + c].v = _mm512_shuffle_f32x4(e, f, 0xdd);
  }
}
#else
#include "corbel/device/cpu/kernels/simd_narrow.inc"
#endif

/// bfloat16 is the upper half of a float.
CORBEL_INLINE Floats bf16_to_floats(Ints u16) { return as_floats(shift_left<16>(u16)); }
CORBEL_INLINE Floats load_bf16(const void* p) { return bf16_to_floats(load_u16(p)); }
CORBEL_INLINE Floats load_bf16_first(const void* p, int64_t count) { return bf16_to_floats(load_u16_first(p, count)); }

/// The odd and the even elements of 16 pairs of bfloat16.
CORBEL_INLINE Floats odd_of_pairs(Ints pairs) { return as_floats(bit_and(pairs, broadcast_int(-0x10000))); }
CORBEL_INLINE Floats even_of_pairs(Ints pairs) { return as_floats(shift_left<16>(pairs)); }

/// Rounds to bfloat16, ties to even; NaN stays a quiet NaN. Not vcvtneps2bf16, which takes subnormals as zero.
CORBEL_INLINE Ints round_to_bf16(Floats a) {
  const Ints bits = as_ints(a);
  const Ints odd = bit_and(shift_right<16>(bits), broadcast_int(1));
  const Ints rounded = shift_right<16>(add(add(bits, broadcast_int(0x7fff)), odd));
  const Floats quiet = as_floats(add(bit_and(shift_right<16>(bits), broadcast_int(0xffbf)), broadcast_int(0x40)));
  return as_ints(select(unordered(a), quiet, as_floats(rounded)));
}

/// corbel/ops/arithmetic.h's exp_f32, lane by lane the same operations.
CORBEL_INLINE Floats exp(Floats x) {
  const Floats n = round_even(mul(x, broadcast(ExpConstants::kLog2E)));
  const Floats r = fma(n, broadcast(-ExpConstants::kLn2Low), fma(n, broadcast(-ExpConstants::kLn2High), x));
  const Floats one = broadcast(1.0F);
  Floats p = fma(broadcast(ExpConstants::kC6), r, broadcast(ExpConstants::kC5));
  p = fma(p, r, broadcast(ExpConstants::kC4));
  p = fma(p, r, broadcast(ExpConstants::kC3));
  p = fma(p, r, broadcast(ExpConstants::kC2));
  p = fma(p, r, one);
  p = fma(p, r, one);
  const Ints whole = to_ints(n);
  const Ints half = shift_right_signed<1>(add(whole, shift_right<31>(whole)));  // division by 2 towards zero
  const Ints bias = broadcast_int(127);
  const Floats half_scale = as_floats(shift_left<23>(add(bias, half)));
  const Floats rest_scale = as_floats(shift_left<23>(add(bias, sub(whole, half))));
  const Floats value = mul(mul(p, half_scale), rest_scale);
  const Floats inside = select(less(x, broadcast(ExpConstants::kLow)), zero(), value);
  const Floats bounded = select(less(broadcast(ExpConstants::kHigh), x), broadcast(__builtin_inff()), inside);
  return select(unordered(x), x, bounded);
}

/// Subnormal inputs and results as zero, until the end of the scope. What is computed in it must be in functions that
/// are not inlined: the compiler does not know that arithmetic depends on it.
class FlushedScope {
 public:
  __attribute__((always_inline)) FlushedScope() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040U); }
  __attribute__((always_inline)) ~FlushedScope() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
};

}  // namespace corbel::cpu::CORBEL_ISA
