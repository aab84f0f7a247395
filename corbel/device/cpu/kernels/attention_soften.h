#pragma once
#include "corbel/device/cpu/kernels/attention_lines.h"

/// From the scores of one block to its weights. Kernel sources only.
namespace corbel::cpu::CORBEL_ISA {

/// Running maximum and sum, one lane per row, and output [rows][padded] of a tile.
struct SoftmaxState {
  float* maximum;
  float* sum;
  float* out;
};

/// Which slots of a block the rows of a tile see: from <= j < to.
struct Sight {
  int64_t from[kTileRows];
  int64_t to[kTileRows];
  int64_t any_from = kAttendBlock;  // what some row sees
  int64_t any_to = 0;
  int64_t all_from = 0;  // what all rows see
  int64_t all_to = kAttendBlock;

  __attribute__((always_inline)) void add(int64_t row, int64_t begin, int64_t end) {
    from[row] = begin;
    to[row] = end;
    all_from = begin > all_from ? begin : all_from;
    all_to = end < all_to ? end : all_to;
    if (begin >= end) return;
    any_from = begin < any_from ? begin : any_from;
    any_to = end > any_to ? end : any_to;
  }
};

/// Slots of a block that weights are made for, in whole pairs of vectors, and who sees which; null: all rows see all.
struct Weighed {
  static constexpr int64_t kStep = 2 * kWidth;
  const Sight* sight = nullptr;
  int64_t from = 0;
  int64_t to = kAttendBlock;
};
/// body(slots) with those that some row sees. Of a block that all see whole (`sight` null) loops have a length that the
/// compiler knows; at lower levels others would not fit the registers, and the whole block is weighed.
template <typename Body>
CORBEL_INLINE void weigh_seen(const Sight* sight, const Body& body) {
#if defined(__AVX512BF16__)
  constexpr int64_t kStep = Weighed::kStep;
  if (sight == nullptr) return body(Weighed{});
  body(Weighed{sight, sight->any_from / kStep * kStep, (sight->any_to + kStep - 1) / kStep * kStep});
#else
  body(Weighed{.sight = sight});
#endif
}

constexpr float kBelowAll = -3.0e38F;  // only -inf is less

#if defined(__AVX512F__)
/// The largest lane of each of 16 values, as add_lanes_of_16 adds them.
CORBEL_INLINE Floats max_lanes_of_16(const Floats* a) {
  __m512 halves[8];
#pragma GCC unroll 8
  for (int k = 0; k < 8; ++k) {
    const __m512 low = _mm512_shuffle_f32x4(a[k].v, a[k + 8].v, 0x44);
    const __m512 high = _mm512_shuffle_f32x4(a[k].v, a[k + 8].v, 0xee);
    halves[k] = _mm512_max_ps(low, high);  // parts: k, k, k + 8, k + 8
  }
  __m512 quarters[4];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    const __m512 low = _mm512_shuffle_f32x4(halves[k], halves[k + 4], 0x88);
    const __m512 high = _mm512_shuffle_f32x4(halves[k], halves[k + 4], 0xdd);
    quarters[k] = _mm512_max_ps(low, high);  // parts: k, k + 8, k + 4, k + 12
  }
  __m512 eighths[2];
#pragma GCC unroll 2
  for (int k = 0; k < 2; ++k) {
    const __m512 low = _mm512_shuffle_ps(quarters[k], quarters[k + 2], 0x44);
    const __m512 high = _mm512_shuffle_ps(quarters[k], quarters[k + 2], 0xee);
    eighths[k] = _mm512_max_ps(low, high);
  }
  const __m512 low = _mm512_shuffle_ps(eighths[0], eighths[1], 0x88);
  const __m512 high = _mm512_shuffle_ps(eighths[0], eighths[1], 0xdd);
  const __m512 found = _mm512_max_ps(low, high);  // in each part: 0, 2, 1, 3 (+ 0, 8, 4, 12)
  const __m512i order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
  return {_mm512_permutexvar_ps(order, found)};
}
#else
CORBEL_INLINE Floats max_lanes_of_16(const Floats* a) {
  float found[kWidth];
  for (int k = 0; k < kWidth; ++k) found[k] = max_lane(a[k]);
  return load(found);
}
#endif

#if defined(__AVX512BF16__)
CORBEL_INLINE void set_pair(uint32_t* number, uint16_t even, uint16_t odd) {
  *number = static_cast<uint32_t>(odd) << 16 | even;
}
/// Rounds the weights of 32 slots, stores them and adds them to the sum. Weights are zero or at least 2^-100, never
/// subnormal, which vcvtne2ps2bf16 would take as zero.
CORBEL_INLINE void store_weights(Floats low, Floats high, uint32_t* p, Floats& sum) {
  const __m512i pairs = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high.v, low.v));
  _mm512_storeu_si512(p, pairs);
  const __m512i ones = _mm512_set1_epi32(0x3f803f80);
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.v) : "v"(pairs), "v"(ones));
}
#else
CORBEL_INLINE void set_pair(float* number, uint16_t even, uint16_t odd) {
  const uint32_t bits[2] = {static_cast<uint32_t>(even) << 16, static_cast<uint32_t>(odd) << 16};
  __builtin_memcpy(number, bits, sizeof bits);
}
CORBEL_INLINE void store_weights(Floats low, Floats high, float* p, Floats& sum) {
  store(p, bf16_to_floats(round_to_bf16(low)));
  store(p + kWidth, bf16_to_floats(round_to_bf16(high)));
  float lanes[kWidth];
  store(lanes, sum);
  for (int l = 0; l < kWidth; ++l) lanes[l] = (lanes[l] + p[2 * l + 1]) + p[2 * l];
  sum = load(lanes);
}
#endif

/// The largest visible score of each row.
CORBEL_INLINE Floats find_tops(const float* scores, int64_t rows, const Weighed& slots) {
  Floats tops[kWidth];
  const Floats nothing = broadcast(-__builtin_inff());
  for (Floats& top : tops) top = nothing;
  for (int64_t row = 0; row < rows; ++row) {
    const float* const s = scores + row * kAttendBlock;
    Floats most = nothing;
    for (int64_t j = slots.from; j < slots.to; j += kWidth) {
      Floats found = load(s + j);
      if (slots.sight != nullptr)
        found = select(lanes_between(slots.sight->from[row] - j, slots.sight->to[row] - j), found, nothing);
      most = max(found, most);  // in this order NaN is passed over
    }
    tops[row] = most;
  }
  return max_lanes_of_16(tops);
}

CORBEL_INLINE void soften_slots(const float* scores, PairSteps::Number* p, int64_t rows, const Weighed& slots,
                                const SoftmaxState& state, float* a) {
  const Floats before = load(state.maximum);
  const Floats maximum = max(find_tops(scores, rows, slots), before);
  const Floats scale = select(less(before, broadcast(kBelowAll)), zero(), exp2_below(sub(before, maximum)));
  store(state.maximum, maximum);
  store(a, scale);
  Floats sums[kWidth];
  for (Floats& sum : sums) sum = zero();
  for (int64_t row = 0; row < rows; ++row) {
    const float* const s = scores + row * kAttendBlock;
    const Floats top = broadcast(state.maximum[row]);
    Floats sum = zero();
    for (int64_t j = slots.from; j < slots.to; j += Weighed::kStep) {
      Floats low = exp2_below(sub(load(s + j), top));
      Floats high = exp2_below(sub(load(s + j + kWidth), top));
      if (slots.sight != nullptr) {
        const int64_t from = slots.sight->from[row] - j;
        const int64_t to = slots.sight->to[row] - j;
        low = select(lanes_between(from, to), low, zero());
        high = select(lanes_between(from - kWidth, to - kWidth), high, zero());
      }
      store_weights(low, high, p + (row * kAttendBlock + j) / 2 * PairSteps::kNumbers, sum);
    }
    sums[row] = sum;
  }
  store(state.sum, fma(load(state.sum), scale, add_lanes_of_16(sums)));
}

/// The weights of the slots that some row sees, rounded, in p [rows][kAttendBlock / 2] numbers (others are left as they
/// are; a row's weight of what it does not see is zero); maximum and sum move on, and a[row] is what the old output is
/// to be multiplied with. `sight` null: all rows see the whole block.
static inline void soften(const float* scores, PairSteps::Number* p, int64_t rows, const Sight* sight,
                          const SoftmaxState& state, float* a) {
  weigh_seen(sight, [&](const Weighed& slots)
                        __attribute__((always_inline)) { soften_slots(scores, p, rows, slots, state, a); });
}

}  // namespace corbel::cpu::CORBEL_ISA
