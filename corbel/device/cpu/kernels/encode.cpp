#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

// Rows of a block into packed formats: corbel/ops/encode_packed.h says which operations in which order. A row of 256
// columns is turned into 16 vectors, so that a lane has 16 neighbouring columns: one group of 16 or two of 8.

namespace corbel::cpu::CORBEL_ISA {
namespace {

constexpr int kVectors = 16;

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

struct Codes6 {
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

/// A row, its importance, and what was chosen for it.
template <bool kWeighted>
struct BlockRow {
  Floats x[kVectors];
  Floats importance[kVectors];
  Floats q[kVectors];      // multiplier * code
  Floats index[kVectors];  // of the code
  float largest = 0.0F;

  CORBEL_INLINE Floats weigh(const BlockRow& self, int i, Floats a) {
    if constexpr (kWeighted) return mul(self.importance[i], a);
    return a;
  }
};

template <bool kWeighted>
CORBEL_INLINE void load_row(const EncodeRowArgs& args, BlockRow<kWeighted>& row) {
  Floats most = zero();
  for (int i = 0; i < kVectors; ++i) {
    row.x[i] = load(args.x + static_cast<int64_t>(i) * kWidth);
    most = max(most, magnitude(row.x[i]));
  }
  row.largest = max_lane(most);
  transpose(row.x);
  if constexpr (kWeighted) {
    for (int i = 0; i < kVectors; ++i) row.importance[i] = load(args.importance + static_cast<int64_t>(i) * kWidth);
    transpose(row.importance);
  }
}

struct EncodeChoice {
  uint16_t scale = 0;
  float step = 0.0F;
  float score = 0.0F;
  Floats multiplier[2];  // of each lane's groups
  Floats index[2];
};

CORBEL_INLINE float widen(uint16_t bits) { return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16); }
CORBEL_INLINE uint16_t narrow(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  return static_cast<uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

template <typename Codes, int kGroups, bool kWeighted>  // groups of a lane
CORBEL_INLINE void evaluate(const EncodeRowArgs& args, const Codes& codes, const BlockRow<kWeighted>& row,
                            uint16_t scale, EncodeChoice& choice) {
  choice.scale = scale;
  choice.step = widen(scale);
  const Floats inverse = broadcast(1.0F / choice.step);
  constexpr int kEach = kVectors / kGroups;
  Floats total = zero();
  for (int group = 0; group < kGroups; ++group) {
    Floats u[kEach];
    for (int i = 0; i < kEach; ++i) u[i] = mul(row.x[group * kEach + i], inverse);
    Floats least = broadcast(__builtin_huge_valf());
    for (int m = 0; m < args.multiplier_count; ++m) {
      const float value = args.multipliers[m];
      const Floats multiplier = broadcast(value);
      const Floats reciprocal = broadcast(1.0F / value);
      Floats error = zero();
#pragma GCC unroll 4
      for (int i = 0; i < kEach; ++i) {
        const Floats code = Codes::nearest(codes, mul(u[i], reciprocal));
        const Floats d = sub(u[i], mul(multiplier, code));
        error = add(error, mul(BlockRow<kWeighted>::weigh(row, group * kEach + i, d), d));
      }
      const Mask better = less(error, least);
      least = select(better, error, least);
      choice.multiplier[group] = m == 0 ? multiplier : select(better, multiplier, choice.multiplier[group]);
      choice.index[group] = m == 0 ? zero() : select(better, broadcast(static_cast<float>(m)), choice.index[group]);
    }
    total = add(total, least);
  }
  const float r = choice.step * (1.0F / row.largest);
  choice.score = (add_lanes(total) * r) * r;
}

template <typename Codes, int kGroups, bool kWeighted>
CORBEL_INLINE void set_codes(const Codes& codes, const EncodeChoice& choice, BlockRow<kWeighted>& row) {
  const Floats inverse = broadcast(1.0F / choice.step);
  for (int i = 0; i < kVectors; ++i) {
    const Floats multiplier = choice.multiplier[i * kGroups / kVectors];
    const Floats y = mul(mul(row.x[i], inverse), div(broadcast(1.0F), multiplier));
    const Nearest found = Codes::nearest_and_index(codes, y);
    row.q[i] = mul(multiplier, found.code);
    row.index[i] = found.index;
  }
}

template <bool kWeighted>
CORBEL_INLINE uint16_t refitted(const BlockRow<kWeighted>& row, float step) {
  const Floats inverse = broadcast(1.0F / step);
  Floats products = zero();
  Floats squares = zero();
  for (int i = 0; i < kVectors; ++i) {
    const Floats weighted = BlockRow<kWeighted>::weigh(row, i, row.q[i]);
    products = add(products, mul(weighted, mul(row.x[i], inverse)));
    squares = add(squares, mul(weighted, row.q[i]));
  }
  const float square = add_lanes(squares);
  if (!(square > 0.0F)) return narrow(step);
  return narrow(step * (add_lanes(products) / square));
}

template <bool kWeighted>
CORBEL_INLINE void set_errors(const BlockRow<kWeighted>& row, float step, float* errors) {
  const float one_over = 1.0F / row.largest;
  const Floats inverse = broadcast(one_over);
  const Floats r = broadcast(step * one_over);
  Floats sums[4] = {zero(), zero(), zero(), zero()};
  for (int i = 0; i < kVectors; ++i) {
    const Floats v = mul(row.x[i], inverse);
    const Floats d = sub(v, mul(row.q[i], r));
    sums[0] = add(sums[0], mul(v, v));
    sums[1] = add(sums[1], mul(d, d));
    if constexpr (!kWeighted) continue;
    sums[2] = add(sums[2], mul(mul(row.importance[i], v), v));
    sums[3] = add(sums[3], mul(mul(row.importance[i], d), d));
  }
  errors[0] = row.largest;
  errors[1] = add_lanes(sums[0]);
  errors[2] = add_lanes(sums[1]);
  errors[3] = kWeighted ? add_lanes(sums[2]) : errors[1];
  errors[4] = kWeighted ? add_lanes(sums[3]) : errors[2];
}

/// Bytes of the row's 256 columns in order from lanes of 16 columns each.
CORBEL_INLINE void store_bytes(const Floats* lanes, uint8_t* bytes, int64_t stride) {
  for (int k = 0; k < 4; ++k) {
    Ints four = to_ints(lanes[4 * k]);
    four = add(four, shift_left<8>(to_ints(lanes[4 * k + 1])));
    four = add(four, shift_left<16>(to_ints(lanes[4 * k + 2])));
    four = add(four, shift_left<24>(to_ints(lanes[4 * k + 3])));
    uint32_t words[kWidth];
    store(reinterpret_cast<float*>(words), as_floats(four));
    for (int l = 0; l < kWidth; ++l) __builtin_memcpy(bytes + (4 * l + k) * stride, &words[l], 4);
  }
}

template <typename Codes, int kGroups, bool kWeighted>
void encode_indexed(const EncodeRowArgs& args) {
  BlockRow<kWeighted> row;
  load_row(args, row);
  const Codes codes = Codes::make(args.codes);
  if (!(row.largest >= args.smallest)) {
    *args.scale = 0;
    for (int g = 0; g < 16 * kGroups; ++g) args.out_multipliers[g] = 0;
    for (int i = 0; i < kVectors; ++i) row.index[i] = Codes::nearest_and_index(codes, zero()).index;
    store_bytes(row.index, args.out_codes, 4);
    for (int i = 0; i < 5; ++i) args.errors[i] = 0.0F;
    return;
  }
  EncodeChoice best;
  for (int c = 0; c < args.candidates; ++c) {
    EncodeChoice choice;
    evaluate<Codes, kGroups>(args, codes, row, narrow(row.largest * args.factors[c]), choice);
    if (c == 0 || choice.score < best.score) best = choice;
  }
  set_codes<Codes, kGroups>(codes, best, row);
  for (int refit = 0; refit < args.refits; ++refit) {
    const uint16_t scale = refitted(row, best.step);
    if (scale == best.scale || scale == 0) break;
    EncodeChoice choice;
    evaluate<Codes, kGroups>(args, codes, row, scale, choice);
    if (!(choice.score < best.score)) break;
    best = choice;
    set_codes<Codes, kGroups>(codes, best, row);
  }
  *args.scale = refitted(row, best.step);
  set_errors(row, widen(*args.scale), args.errors);
  store_bytes(row.index, args.out_codes, 4);
  for (int group = 0; group < kGroups; ++group) {
    float indexes[kWidth];
    store(indexes, best.index[group]);
    for (int l = 0; l < kWidth; ++l) args.out_multipliers[kGroups * l + group] = static_cast<uint8_t>(indexes[l]);
  }
}

template <bool kWeighted>
void encode_w8(const EncodeRowArgs& args) {
  BlockRow<kWeighted> row;
  load_row(args, row);
  const bool zeros = !(row.largest >= args.smallest);
  const float scale = zeros ? 0.0F : row.largest / 127.0F;
  __builtin_memcpy(args.out_scale8, &scale, sizeof scale);
  for (int i = 0; i < kVectors; ++i) {
    const Floats steps = round_even(div(row.x[i], broadcast(scale)));
    row.q[i] = zeros ? zero() : at_most(max(steps, broadcast(-127.0F)), broadcast(127.0F));
    row.index[i] = add(row.q[i], broadcast(128.0F));
  }
  store_bytes(row.index, args.out_codes, 64);
  if (!zeros) return set_errors(row, scale, args.errors);
  for (int i = 0; i < 5; ++i) args.errors[i] = 0.0F;
}

void encode_row(const EncodeRowArgs& args) {
  const bool weighted = args.importance != nullptr;
  if (args.code_bits == 8) return weighted ? encode_w8<true>(args) : encode_w8<false>(args);
  if (args.code_bits == 6)
    return weighted ? encode_indexed<Codes6, 2, true>(args) : encode_indexed<Codes6, 2, false>(args);
  if (args.group == 8) return weighted ? encode_indexed<Codes4, 2, true>(args) : encode_indexed<Codes4, 2, false>(args);
  return weighted ? encode_indexed<Codes4, 1, true>(args) : encode_indexed<Codes4, 1, false>(args);
}

}  // namespace

void add_encode(Kernels& table) { table.encode_row = encode_row; }

}  // namespace corbel::cpu::CORBEL_ISA
