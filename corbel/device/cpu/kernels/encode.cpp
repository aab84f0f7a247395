#include "corbel/device/cpu/kernels/encode_codes.h"
#include "corbel/device/cpu/kernels/kernels.h"

// Rows of a block into packed formats: corbel/ops/encode_packed.h says which operations in which order. A row of 256
// columns is turned into 16 vectors, so that a lane has 16 neighbouring columns: one group of 16 or two of 8.

namespace corbel::cpu::CORBEL_ISA {
namespace {

constexpr int kVectors = 16;

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
CORBEL_INLINE void load_row(const float* x, BlockRow<kWeighted>& row) {
  Floats most = zero();
  for (int i = 0; i < kVectors; ++i) {
    row.x[i] = load(x + static_cast<int64_t>(i) * kWidth);
    most = max(most, magnitude(row.x[i]));
  }
  row.largest = max_lane(most);
  transpose(row.x);
}

template <bool kWeighted>
CORBEL_INLINE void load_importance(const EncodeBlockArgs& args, BlockRow<kWeighted>& row) {
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

/// The least error of a lane's group so far, and which multiplier has it.
struct GroupChoice {
  Floats least;
  Floats multiplier;
  Floats index;
};

/// The error of the group of `kEach` columns from vector `first` on with a multiplier per lane.
template <typename Codes, int kEach, bool kWeighted>
CORBEL_INLINE Floats group_error(const Codes& codes, const BlockRow<kWeighted>& row, const Floats* u, int first,
                                 Floats multiplier, Floats reciprocal) {
  Floats error = zero();
#pragma GCC unroll 4
  for (int i = 0; i < kEach; ++i) {
    const Floats code = Codes::nearest(codes, mul(u[i], reciprocal));
    const Floats d = sub(u[i], mul(multiplier, code));
    error = add(error, mul(BlockRow<kWeighted>::weigh(row, first + i, d), d));
  }
  return error;
}

CORBEL_INLINE void take_better(GroupChoice& choice, Floats error, Floats multiplier, Floats index) {
  const Mask better = less(error, choice.least);
  choice.least = select(better, error, choice.least);
  choice.multiplier = select(better, multiplier, choice.multiplier);
  choice.index = select(better, index, choice.index);
}

/// Three multipliers of each lane's group: see the op.
template <typename Codes, int kEach, bool kWeighted>
CORBEL_INLINE void try_few(const Codes& codes, const BlockRow<kWeighted>& row, const Floats* u, int first,
                           GroupChoice& choice) {
  Floats above = zero();
  Floats below = zero();
  for (int i = 0; i < kEach; ++i) {
    above = max(above, u[i]);
    below = max(below, sub(zero(), u[i]));
  }
  const Floats one = broadcast(1.0F);
  const Floats two = broadcast(2.0F);
  const Floats reach = mul(max(above, below), broadcast(1.0F / 31.0F));
  Floats magnitude = select(less(one, reach), two, one);
  magnitude = select(less(two, reach), broadcast(3.0F), magnitude);
  magnitude = select(less(broadcast(3.0F), reach), broadcast(4.0F), magnitude);
  const Floats lower = select(less(one, magnitude), sub(magnitude, one), two);
  const Mask negative = less(below, above);
  const Floats four = broadcast(4.0F);
  const auto attempt = [&](Floats size, Floats sign_index, Floats sign) __attribute__((always_inline)) {
    const Floats multiplier = mul(size, sign);
    const Floats error = group_error<Codes, kEach>(codes, row, u, first, multiplier, div(one, multiplier));
    take_better(choice, error, multiplier, add(sign_index, sub(size, one)));
  };
  const Floats minus = broadcast(-1.0F);
  attempt(magnitude, select(negative, four, zero()), select(negative, minus, one));
  attempt(magnitude, select(negative, zero(), four), select(negative, one, minus));
  attempt(lower, select(negative, four, zero()), select(negative, minus, one));
}

template <typename Codes, int kGroups, bool kFew, bool kWeighted>  // groups of a lane
CORBEL_INLINE void evaluate(const EncodeBlockArgs& args, const Codes& codes, const BlockRow<kWeighted>& row,
                            uint16_t scale, EncodeChoice& choice) {
  choice.scale = scale;
  choice.step = widen(scale);
  const Floats inverse = broadcast(1.0F / choice.step);
  constexpr int kEach = kVectors / kGroups;
  Floats total = zero();
  for (int group = 0; group < kGroups; ++group) {
    Floats u[kEach];
    for (int i = 0; i < kEach; ++i) u[i] = mul(row.x[group * kEach + i], inverse);
    GroupChoice best{broadcast(__builtin_huge_valf()), broadcast(1.0F), zero()};
    if constexpr (kFew) {
      try_few<Codes, kEach>(codes, row, u, group * kEach, best);
    } else {
      for (int m = 0; m < args.multiplier_count; ++m) {
        const float value = args.multipliers[m];
        const Floats multiplier = broadcast(value);
        const Floats error =
            group_error<Codes, kEach>(codes, row, u, group * kEach, multiplier, broadcast(1.0F / value));
        take_better(best, error, multiplier, broadcast(static_cast<float>(m)));
      }
    }
    choice.multiplier[group] = best.multiplier;
    choice.index[group] = best.index;
    total = add(total, best.least);
  }
  const float r = choice.step * (1.0F / row.largest);
  choice.score = (add_lanes(total) * r) * r;
}

template <typename Codes, int kGroups, bool kWeighted>
CORBEL_INLINE void set_codes(const Codes& codes, const EncodeChoice& choice, BlockRow<kWeighted>& row) {
  const Floats inverse = broadcast(1.0F / choice.step);
  constexpr int kEach = kVectors / kGroups;
  for (int group = 0; group < kGroups; ++group) {
    const Floats multiplier = choice.multiplier[group];
    const Floats reciprocal = div(broadcast(1.0F), multiplier);
    for (int i = group * kEach; i < (group + 1) * kEach; ++i) {
      const Nearest found = Codes::nearest_and_index(codes, mul(mul(row.x[i], inverse), reciprocal));
      row.q[i] = mul(multiplier, found.code);
      row.index[i] = found.index;
    }
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
CORBEL_INLINE void search_scale(const EncodeBlockArgs& args, const Codes& codes, BlockRow<kWeighted>& row,
                                EncodeChoice& best) {
  constexpr bool kFew = Codes::kFew;
  for (int c = 0; c < args.candidates; ++c) {
    const uint16_t scale = narrow(row.largest * args.factors[c]);
    EncodeChoice choice;
    if (args.candidates > 1)
      evaluate<Codes, kGroups, kFew>(args, codes, row, scale, choice);
    else
      evaluate<Codes, kGroups, false>(args, codes, row, scale, choice);
    if (c == 0 || choice.score < best.score) best = choice;
  }
  if (kFew && args.candidates > 1) evaluate<Codes, kGroups, false>(args, codes, row, best.scale, best);
  set_codes<Codes, kGroups>(codes, best, row);
  for (int refit = 0; refit < args.refits; ++refit) {
    const uint16_t scale = refitted(row, best.step);
    if (scale == best.scale || scale == 0) return;
    EncodeChoice choice;
    evaluate<Codes, kGroups, false>(args, codes, row, scale, choice);
    if (!(choice.score < best.score)) return;
    best = choice;
    set_codes<Codes, kGroups>(codes, best, row);
  }
}

template <typename Codes, int kGroups, bool kWeighted>
CORBEL_INLINE void encode_indexed(const EncodeBlockArgs& args, const Codes& codes, BlockRow<kWeighted>& row,
                                  const EncodedRow& out) {
  if (!(row.largest >= args.smallest)) {
    *out.scale = 0;
    for (int g = 0; g < 16 * kGroups; ++g) out.multipliers[g] = 0;
    for (int i = 0; i < kVectors; ++i) row.index[i] = Codes::nearest_and_index(codes, zero()).index;
    store_bytes(row.index, out.codes, 4);
    for (int i = 0; i < 5; ++i) out.errors[i] = 0.0F;
    return;
  }
  EncodeChoice best;
  search_scale<Codes, kGroups>(args, codes, row, best);
  *out.scale = refitted(row, best.step);
  set_errors(row, widen(*out.scale), out.errors);
  store_bytes(row.index, out.codes, 4);
  for (int group = 0; group < kGroups; ++group) {
    float indexes[kWidth];
    store(indexes, best.index[group]);
    for (int l = 0; l < kWidth; ++l) out.multipliers[kGroups * l + group] = static_cast<uint8_t>(indexes[l]);
  }
}

template <typename Codes, int kGroups, bool kWeighted>
void encode_indexed_rows(const EncodeBlockArgs& args) {
  const Codes codes = Codes::make(args.codes);
  BlockRow<kWeighted> row;
  load_importance(args, row);
  for (int r = 0; r < args.rows; ++r) {
    load_row(args.x[r], row);
    encode_indexed<Codes, kGroups>(args, codes, row, args.out[r]);
  }
}

template <bool kWeighted>
void encode_w8_rows(const EncodeBlockArgs& args) {
  BlockRow<kWeighted> row;
  load_importance(args, row);
  for (int r = 0; r < args.rows; ++r) {
    load_row(args.x[r], row);
    const EncodedRow& out = args.out[r];
    const bool zeros = !(row.largest >= args.smallest);
    const float scale = zeros ? 0.0F : row.largest / 127.0F;
    __builtin_memcpy(out.scale, &scale, sizeof scale);
    for (int i = 0; i < kVectors; ++i) {
      const Floats steps = round_even(div(row.x[i], broadcast(scale)));
      row.q[i] = zeros ? zero() : at_most(max(steps, broadcast(-127.0F)), broadcast(127.0F));
      row.index[i] = add(row.q[i], broadcast(128.0F));
    }
    store_bytes(row.index, out.codes, 64);
    if (zeros)
      for (int i = 0; i < 5; ++i) out.errors[i] = 0.0F;
    else
      set_errors(row, scale, out.errors);
  }
}

template <bool kWeighted>
void encode_rows(const EncodeBlockArgs& args) {
  if (args.code_bits == 8) return encode_w8_rows<kWeighted>(args);
  if (args.code_bits == 6) return encode_indexed_rows<Codes6, 2, kWeighted>(args);
  if (args.code_bits == 5) return encode_indexed_rows<Codes5, 1, kWeighted>(args);
  if (args.group == 8) return encode_indexed_rows<Codes4, 2, kWeighted>(args);
  encode_indexed_rows<Codes4, 1, kWeighted>(args);
}

void encode_block(const EncodeBlockArgs& args) {
  if (args.importance != nullptr)
    encode_rows<true>(args);
  else
    encode_rows<false>(args);
}

}  // namespace

void add_encode(Kernels& table) { table.encode_block = encode_block; }

}  // namespace corbel::cpu::CORBEL_ISA
