#pragma once
#include "corbel/device/cpu/kernels/simd.h"

/// The nearest codes of formats of indexes (corbel/format/indexed_format.h), 16 values at a time.
namespace corbel::cpu::CORBEL_ISA {

CORBEL_INLINE Floats magnitude(Floats a) { return max(a, sub(zero(), a)); }
CORBEL_INLINE Floats at_most(Floats a, Floats high) { return select(less(high, a), high, a); }

/// Codes by what is below y.
struct Nearest {
  Floats code;
  Floats index;
};

#if defined(__AVX512F__)
/// Middles between codes are more than 2 apart: 32 cells of width 2, shifted so that none begins at a middle, have one
/// of them at most. Two registers hold a table of cells, and one instruction looks 16 up.
struct Codes4 {
  static constexpr bool kFew = true;
  Floats middle[2];
  Floats below[2];  // code left of the middle
  Floats above[2];
  Floats first[2];  // index of the code left of the middle

  CORBEL_INLINE Codes4 make(const int8_t* codes) {
    float cells[4][32];
    for (int j = 0; j < 32; ++j) {
      const float begin = 2.0F * static_cast<float>(j) - 31.75F;
      int k = 0;
      while (k < 15 && 0.5F * static_cast<float>(codes[k] + codes[k + 1]) < begin) ++k;
      const float middle = k < 15 ? 0.5F * static_cast<float>(codes[k] + codes[k + 1]) : 1e30F;
      cells[0][j] = middle;
      cells[1][j] = codes[k];
      cells[2][j] = codes[k < 15 ? k + 1 : k];
      cells[3][j] = static_cast<float>(k);
    }
    return {{load(cells[0]), load(cells[0] + 16)},
            {load(cells[1]), load(cells[1] + 16)},
            {load(cells[2]), load(cells[2] + 16)},
            {load(cells[3]), load(cells[3] + 16)}};
  }
  CORBEL_INLINE Floats look_up(Ints cell, const Floats (&table)[2]) {
    return {_mm512_permutex2var_ps(table[0].v, cell.v, table[1].v)};
  }
  CORBEL_INLINE Ints cell_of(Floats y) {
    const Floats t = fma(y, broadcast(0.5F), broadcast(15.875F));
    return {_mm512_cvttps_epi32(_mm512_min_ps(_mm512_max_ps(t.v, _mm512_setzero_ps()), _mm512_set1_ps(31.0F)))};
  }
  CORBEL_INLINE Floats nearest(const Codes4& self, Floats y) {
    const Ints cell = cell_of(y);
    return select(less(look_up(cell, self.middle), y), look_up(cell, self.above), look_up(cell, self.below));
  }
  CORBEL_INLINE Nearest nearest_and_index(const Codes4& self, Floats y) {
    const Ints cell = cell_of(y);
    const Mask above = less(look_up(cell, self.middle), y);
    const Floats first = look_up(cell, self.first);
    return {select(above, look_up(cell, self.above), look_up(cell, self.below)),
            select(above, add(first, broadcast(1.0F)), first)};
  }
};
#else
struct Codes4 {
  static constexpr bool kFew = true;
  float middle[15];
  float gap[15];
  float first;

  CORBEL_INLINE Codes4 make(const int8_t* codes) {
    Codes4 made{};
    made.first = codes[0];
    for (int k = 0; k < 15; ++k) {
      made.middle[k] = 0.5F * static_cast<float>(codes[k] + codes[k + 1]);
      made.gap[k] = static_cast<float>(codes[k + 1] - codes[k]);
    }
    return made;
  }
  CORBEL_INLINE Floats nearest(const Codes4& self, Floats y) {
    Floats code = broadcast(self.first);
    for (int k = 0; k < 15; ++k)
      code = add(code, select(less(broadcast(self.middle[k]), y), broadcast(self.gap[k]), zero()));
    return code;
  }
  CORBEL_INLINE Nearest nearest_and_index(const Codes4& self, Floats y) {
    Nearest found{broadcast(self.first), zero()};
    for (int k = 0; k < 15; ++k) {
      const Mask above = less(broadcast(self.middle[k]), y);
      found.code = add(found.code, select(above, broadcast(self.gap[k]), zero()));
      found.index = add(found.index, select(above, broadcast(1.0F), zero()));
    }
    return found;
  }
};
#endif

#if defined(__AVX512F__)
/// 32 codes of one table: five steps of a search by halves.
struct Codes5 {
  static constexpr bool kFew = false;
  Floats middle[2];  // ascending; the last one is out of reach
  Floats value[2];

  CORBEL_INLINE Codes5 make(const int8_t* codes) {
    float middles[32];
    float values[32];
    for (int k = 0; k < 32; ++k) {
      middles[k] = k < 31 ? 0.5F * static_cast<float>(codes[k] + codes[k + 1]) : 1e30F;
      values[k] = codes[k];
    }
    return {{load(middles), load(middles + 16)}, {load(values), load(values + 16)}};
  }
  CORBEL_INLINE Ints search(const Codes5& self, Floats y) {
    Ints low = broadcast_int(0);
#pragma GCC unroll 5
    for (int half = 16; half > 0; half /= 2) {
      const Ints next = add(low, broadcast_int(half));
      const Ints before = add(next, broadcast_int(-1));
      const __m512 middles = _mm512_permutex2var_ps(self.middle[0].v, before.v, self.middle[1].v);
      low = {_mm512_mask_mov_epi32(low.v, less({middles}, y).v, next.v)};
    }
    return low;
  }
  CORBEL_INLINE Floats look_up(const Codes5& self, Ints index) {
    return {_mm512_permutex2var_ps(self.value[0].v, index.v, self.value[1].v)};
  }
  CORBEL_INLINE Floats nearest(const Codes5& self, Floats y) { return look_up(self, search(self, y)); }
  CORBEL_INLINE Nearest nearest_and_index(const Codes5& self, Floats y) {
    const Ints index = search(self, y);
    return {look_up(self, index), to_floats(index)};
  }
};
#else
struct Codes5 {
  static constexpr bool kFew = false;
  float middle[31];
  float gap[31];
  float first;

  CORBEL_INLINE Codes5 make(const int8_t* codes) {
    Codes5 made{};
    made.first = codes[0];
    for (int k = 0; k < 31; ++k) {
      made.middle[k] = 0.5F * static_cast<float>(codes[k] + codes[k + 1]);
      made.gap[k] = static_cast<float>(codes[k + 1] - codes[k]);
    }
    return made;
  }
  CORBEL_INLINE Nearest nearest_and_index(const Codes5& self, Floats y) {
    Nearest found{broadcast(self.first), zero()};
    for (int k = 0; k < 31; ++k) {
      const Mask above = less(broadcast(self.middle[k]), y);
      found.code = add(found.code, select(above, broadcast(self.gap[k]), zero()));
      found.index = add(found.index, select(above, broadcast(1.0F), zero()));
    }
    return found;
  }
  CORBEL_INLINE Floats nearest(const Codes5& self, Floats y) { return nearest_and_index(self, y).code; }
};
#endif

struct Codes6 {
  static constexpr bool kFew = false;
  CORBEL_INLINE Codes6 make(const int8_t*) { return {}; }
  CORBEL_INLINE Floats even(Floats y) {
    const Floats twice = mul(broadcast(2.0F), round_even(mul(y, broadcast(0.5F))));
    return at_most(max(twice, broadcast(-62.0F)), broadcast(62.0F));
  }
  CORBEL_INLINE Floats nearest(const Codes6&, Floats y) {
    return select(less(y, broadcast(-62.5F)), broadcast(-63.0F), even(y));
  }
  CORBEL_INLINE Nearest nearest_and_index(const Codes6&, Floats y) {
    const Mask lowest = less(y, broadcast(-62.5F));
    const Floats code = even(y);
    return {select(lowest, broadcast(-63.0F), code),
            select(lowest, zero(), add(mul(code, broadcast(0.5F)), broadcast(32.0F)))};
  }
};

}  // namespace corbel::cpu::CORBEL_ISA
