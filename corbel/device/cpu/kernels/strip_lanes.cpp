#include "corbel/device/cpu/kernels/strip_rows.h"

// Strips of bf16 and f16 without scales. The contract's 16 sums of a dot product take every 16th pair (or column) each:
// a tile of R rows of x and S strips holds L of the 16 sums of all its dot products and passes 16 / L times over the
// strips, which come from the second-level cache from the second pass on. Between passes sums are joined as the
// contract's tree does, by a stack: pass p has the lanes whose bits are those of p reversed, and upwards of them every
// 16 / L th.

namespace corbel::cpu::CORBEL_ISA {
namespace {

constexpr int kLanesOfSum = 16;

struct OddAndEven {
  Floats odd;
  Floats even;
};

#if defined(__AVX512BF16__)
/// bf16 arithmetic, pairs of bf16 by vdpbf16ps, which flushes subnormals whatever MXCSR says.
struct PairStrips {
  using Weights = Ints;
  using XVector = Ints;
  static constexpr bool kFlushes = false;
  static constexpr bool kByParity = false;
  static constexpr int kXFloats = 1;           // of an element of x: a pair
  static constexpr int64_t kStepValues = 32;   // of a row, for all 16 lanes
  static constexpr int64_t kStepBytes = 1024;  // of a strip
  static constexpr int64_t kValueBytes = 2;    // of x in a tile
  static constexpr const char* kArithmetic = "bf16";
  CORBEL_INLINE int64_t offset(int64_t lane) { return lane * 64; }
  template <bool kOdd>
  CORBEL_INLINE Weights load_weights(const unsigned char* p) {
    return load_pairs(p);
  }
  CORBEL_INLINE XVector load_x(const float* p, int) {
    int32_t pair;
    __builtin_memcpy(&pair, p, sizeof pair);
    return broadcast_int(pair);
  }
  CORBEL_INLINE Floats step(Weights w, XVector x, Floats sum) {
    return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(w.v), reinterpret_cast<__m512bh>(x.v))};
  }
  CORBEL_INLINE void read_x(const float* x, int64_t begin, int64_t in, Floats* parts) {
    parts[0] = as_floats(load_rounded_pairs(x, begin, in));
  }
};
#endif

/// The same by two multiply-adds with subnormals off.
struct SplitStrips {
  using Weights = OddAndEven;
  using XVector = OddAndEven;
  static constexpr bool kFlushes = true;
  static constexpr bool kByParity = false;
  static constexpr int kXFloats = 2;
  static constexpr int64_t kStepValues = 32;
  static constexpr int64_t kStepBytes = 1024;
  static constexpr int64_t kValueBytes = 4;
  static constexpr const char* kArithmetic = "bf16";
  CORBEL_INLINE int64_t offset(int64_t lane) { return lane * 64; }
  template <bool kOdd>
  CORBEL_INLINE Weights load_weights(const unsigned char* p) {
    const Ints pairs = load_pairs(p);
    return {odd_of_pairs(pairs), even_of_pairs(pairs)};
  }
  CORBEL_INLINE XVector load_x(const float* p, int rows) { return {broadcast(p[0]), broadcast(p[rows])}; }
  CORBEL_INLINE Floats step(Weights w, XVector x, Floats sum) { return fma(w.even, x.even, fma(w.odd, x.odd, sum)); }
  CORBEL_INLINE void read_x(const float* x, int64_t begin, int64_t in, Floats* parts) {
    const Ints pairs = load_rounded_pairs(x, begin, in);
    parts[0] = odd_of_pairs(pairs);
    parts[1] = even_of_pairs(pairs);
  }
};

/// f32 arithmetic: an element is a column.
struct Columns {
  using Weights = Floats;
  using XVector = Floats;
  static constexpr bool kFlushes = false;
  static constexpr int kXFloats = 1;
  static constexpr int64_t kStepValues = 16;
  static constexpr int64_t kStepBytes = 512;
  static constexpr int64_t kValueBytes = 4;
  static constexpr const char* kArithmetic = "f32";
  CORBEL_INLINE XVector load_x(const float* p, int) { return broadcast(*p); }
  CORBEL_INLINE Floats step(Weights w, XVector x, Floats sum) { return fma(w, x, sum); }
  CORBEL_INLINE void read_x(const float* x, int64_t begin, int64_t in, Floats* parts) {
    parts[0] = begin + kWidth <= in ? load(x + begin) : load_first(x + begin, in - begin);
  }
};

struct Bf16Columns : Columns {
  static constexpr bool kByParity = true;  // a line has an even column and the odd one behind it
  CORBEL_INLINE int64_t offset(int64_t lane) { return lane / 2 * 64; }
  template <bool kOdd>
  CORBEL_INLINE Weights load_weights(const unsigned char* p) {
    return kOdd ? odd_of_pairs(load_pairs(p)) : even_of_pairs(load_pairs(p));
  }
};

struct F16Columns : Columns {
  static constexpr bool kByParity = false;
  CORBEL_INLINE int64_t offset(int64_t lane) { return lane * 32; }
  template <bool kOdd>
  CORBEL_INLINE Weights load_weights(const unsigned char* p) {
    return load_f16(p);
  }
};

/// How a tile of R rows is cut: strips at once, and sums of a dot product at once (a power of two).
struct Cut {
  int strips;
  int lanes;
};
constexpr Cut cut_of(int rows) {
#if defined(__AVX512F__)
  if (rows == 1) return {1, 16};
  if (rows <= 3) return {1, 8};
  if (rows <= 6) return {2, 2};
  return {2, 1};
#elif defined(__AVX2__)
  return {1, rows == 1 ? 4 : (rows == 2 ? 2 : 1)};
#else
  return {1, rows == 1 ? 2 : 1};
#endif
}

/// The first lane of a pass: its bits reversed.
constexpr int first_lane(int pass, int passes) {
  int lane = 0;
  for (int bit = 1; bit < passes; bit *= 2) lane = 2 * lane + ((pass & bit) != 0 ? 1 : 0);
  return lane;
}
static_assert(first_lane(1, 16) == 8 && first_lane(3, 16) == 12 && first_lane(1, 8) == 4 && first_lane(1, 2) == 1);

/// One pass over S strips: sums [S][R][L].
template <typename Kind, int R, bool kOdd>
struct Pass {
  static constexpr int S = cut_of(R).strips;
  static constexpr int L = cut_of(R).lanes;
  const float* x;
  const unsigned char* strips[S];  // moved to the first lane
  int64_t steps;
  int64_t fetch_bytes;

  static constexpr bool is_odd(int l) { return Kind::kByParity && (L == kLanesOfSum ? l % 2 == 1 : kOdd); }

  template <int l = 0>
  __attribute__((always_inline)) void load_all(const unsigned char* p, typename Kind::Weights* weights) const {
    const unsigned char* const at = p + Kind::offset(l * (kLanesOfSum / L));
    _mm_prefetch(reinterpret_cast<const char*>(at + fetch_bytes), R == 1 ? _MM_HINT_T0 : _MM_HINT_T1);
    weights[l] = Kind::template load_weights<is_odd(l)>(at);
    if constexpr (l + 1 < L) load_all<l + 1>(p, weights);
  }

  __attribute__((always_inline)) void run(Floats* sums) const {
    Floats sum[S][R][L];
#pragma GCC unroll 16
    for (int s = 0; s < S; ++s)
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int l = 0; l < L; ++l) sum[s][r][l] = zero();
    const float* at = x;
    for (int64_t i = 0; i < steps; ++i) {
      typename Kind::Weights weights[S][L];
#pragma GCC unroll 16
      for (int s = 0; s < S; ++s) load_all(strips[s] + i * Kind::kStepBytes, weights[s]);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
        for (int l = 0; l < L; ++l) {
          const typename Kind::XVector xr = Kind::load_x(at + l * R * Kind::kXFloats + r, R);
#pragma GCC unroll 16
          for (int s = 0; s < S; ++s) sum[s][r][l] = Kind::step(weights[s][l], xr, sum[s][r][l]);
        }
      }
      at += L * R * Kind::kXFloats;
    }
#pragma GCC unroll 16
    for (int s = 0; s < S; ++s)
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int l = 0; l < L; ++l) sums[(s * R + r) * L + l] = sum[s][r][l];
  }
};

template <typename Kind, int R, bool kOdd>
__attribute__((noinline)) void run_flushed(const Pass<Kind, R, kOdd>& pass, Floats* sums) {
  pass.run(sums);
}

/// A pass's dot products go onto the stack, [level][S * R]: joined with as many levels as the pass's number ends in
/// ones. The last pass leaves the whole sums at level log2(passes).
template <typename Kind, int R, bool kOdd>
__attribute__((noinline)) void run_pass(const Pass<Kind, R, kOdd>& pass, int number, Floats* stack) {
  constexpr int S = cut_of(R).strips;
  constexpr int L = cut_of(R).lanes;
  Floats sums[S * R * L];
  if constexpr (Kind::kFlushes) {
    const FlushedScope flushed;
    run_flushed(pass, sums);
  } else {
    pass.run(sums);
  }
#pragma GCC unroll 32
  for (int k = 0; k < S * R; ++k) {
#pragma GCC unroll 4
    for (int half = L / 2; half > 0; half /= 2)
#pragma GCC unroll 8
      for (int l = 0; l < half; ++l) sums[k * L + l] = add(sums[k * L + l], sums[k * L + l + half]);
  }
  for (; number % 2 == 1; number /= 2, stack += S * R)
#pragma GCC unroll 32
    for (int k = 0; k < S * R; ++k) sums[k * L] = add(stack[k], sums[k * L]);
#pragma GCC unroll 32
  for (int k = 0; k < S * R; ++k) stack[k] = sums[k * L];
}

template <typename Kind, int R>
void dot_rows_of(const StripArgs& args) {
  constexpr Cut kCut = cut_of(R);
  constexpr int S = kCut.strips;
  constexpr int kPasses = kLanesOfSum / kCut.lanes;
  const int64_t steps = (args.in + Kind::kStepValues - 1) / Kind::kStepValues;
  const int64_t pass_floats = steps * kCut.lanes * R * Kind::kXFloats;
  for (int64_t strip = 0; strip < args.count; strip += S) {
    Floats stack[5][S * R];
    int level = 0;
    for (int number = 0; number < kPasses; ++number) {
      const int lane = first_lane(number, kPasses);
      const auto run = [&](auto pass) __attribute__((always_inline)) {
        pass.x = static_cast<const float*>(args.x) + number * pass_floats;
        for (int s = 0; s < S; ++s) {
          const int64_t taken = strip + s < args.count ? strip + s : args.count - 1;
          pass.strips[s] = args.strips + taken * args.strip_bytes + Kind::offset(lane);
        }
        pass.steps = steps;
        pass.fetch_bytes = args.fetch_bytes;
        run_pass(pass, number, stack[0]);
      };
      if (Kind::kByParity && kPasses > 1 && lane % 2 == 1)
        run(Pass<Kind, R, Kind::kByParity>{});
      else
        run(Pass<Kind, R, false>{});
    }
    for (int passes = kPasses; passes > 1; passes /= 2) ++level;
    for (int s = 0; s < S && strip + s < args.count; ++s)
      for (int r = 0; r < R; ++r) store(args.dots + r * args.stride + (strip + s) * kWidth, stack[level][s * R + r]);
  }
}

template <typename Kind, int R = kStripTileRows>
void dot(const StripArgs& args) {
  if constexpr (R > 1) {
    if (args.rows < R) return dot<Kind, R - 1>(args);
  }
  dot_rows_of<Kind, R>(args);
}

/// A tile: [pass][step][lane of the pass][part of an element][row].
template <typename Kind>
void pack(const PackStripRowsArgs& args) {
  const int rows = static_cast<int>(args.rows);
  const int lanes = cut_of(rows).lanes;
  const int passes = kLanesOfSum / lanes;
  const int64_t steps = (args.in + Kind::kStepValues - 1) / Kind::kStepValues;
  float* places[kLanesOfSum];
  for (int number = 0; number < passes; ++number) {
    for (int l = 0; l < lanes; ++l)
      places[first_lane(number, passes) + l * passes] =
          static_cast<float*>(args.tile) + (number * steps * lanes + l) * rows * Kind::kXFloats;
  }
  for (int64_t step = 0; step < steps; ++step) {
    Floats squares[Kind::kXFloats][kWidth];
    for (int r = 0; r < rows; ++r) {
      Floats parts[Kind::kXFloats];
      Kind::read_x(args.x + r * args.x_stride, step * Kind::kStepValues, args.in, parts);
      for (int part = 0; part < Kind::kXFloats; ++part) squares[part][r] = parts[part];
    }
    for (int part = 0; part < Kind::kXFloats; ++part) {
      if (rows == 1 && lanes == kLanesOfSum && Kind::kXFloats == 1) {
        store(places[0] + step * kWidth, squares[part][0]);
        continue;
      }
      for (int r = rows; r < kWidth; ++r) squares[part][r] = zero();
      transpose(squares[part]);
      for (int lane = 0; lane < kLanesOfSum; ++lane)
        store_lanes(places[lane] + (step * lanes * Kind::kXFloats + part) * rows, squares[part][lane], rows);
    }
  }
}

template <typename Kind>
void add_kernel(Kernels& table, const char* format) {
  StripKernel* place = table.strips.formats;
  while (place->format != nullptr) ++place;
  place->format = format;
  place->arithmetic = Kind::kArithmetic;
  place->splits = Kind::kFlushes ? 1 : 0;
  place->value_bytes = Kind::kValueBytes;
  place->most_direct_rows = kStripTileRows;
  place->pack = pack<Kind>;
  place->dot = dot<Kind>;
}

}  // namespace

void add_strip_lanes(Kernels& table) {
  table.strips.tile_rows = kStripTileRows;
#if defined(__AVX512BF16__)
  add_kernel<PairStrips>(table, "p_bf16");
#endif
  add_kernel<SplitStrips>(table, "p_bf16");
  add_kernel<Bf16Columns>(table, "p_bf16");
  add_kernel<F16Columns>(table, "p_f16");
}

}  // namespace corbel::cpu::CORBEL_ISA
