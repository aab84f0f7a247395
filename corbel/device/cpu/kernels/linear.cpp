#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

// Dot products of rows of x with rows of a weight. A tile of R x O dot products runs over the whole row at once: R + O
// loads for R * O multiply-adds, each dot product in one accumulator of 16 lanes, as the contract orders.

namespace corbel::cpu::CORBEL_ISA {
namespace {

// One row: enough independent sums to cover the multiply-add's latency.
#if defined(__AVX512F__)
constexpr int kStreamOutputs = 8;
#else
constexpr int kStreamOutputs = 4;
#endif

// How far ahead of the multiply-adds weights are fetched; 512 to 2048 are as good, prefetchnta is slower
// (bench/linear).
constexpr int64_t kPrefetchBytes = 1024;

/// Weights of one storage with f32 arithmetic.
struct F32Weights {
  using XVector = Floats;
  using Weights = Floats;
  static constexpr bool kFlushes = false;
  static constexpr int64_t kStep = 16;  // elements per vector
  static constexpr int64_t kXBytes = 4;
  static constexpr int64_t kWeightBytes = 4;
#if defined(__AVX512F__)
  static constexpr int kRows = 6;  // 6 x 4 sums, 4 weights, 1 x: 29 of 32 registers
  static constexpr int kOutputs = 4;
#elif defined(__AVX2__)
  static constexpr int kRows = 2;  // 2 x 2 sums of two registers, 2 weights, 1 x: 14 of 16 registers
  static constexpr int kOutputs = 2;
#else
  static constexpr int kRows = 2;
  static constexpr int kOutputs = 1;
#endif
  CORBEL_INLINE XVector load_x(const char* p) { return load(reinterpret_cast<const float*>(p)); }
  CORBEL_INLINE XVector load_x_first(const char* p, int64_t n) {
    return load_first(reinterpret_cast<const float*>(p), n);
  }
  CORBEL_INLINE Weights load_weight(const char* p) { return load(reinterpret_cast<const float*>(p)); }
  CORBEL_INLINE Weights load_weight_first(const char* p, int64_t n) {
    return load_first(reinterpret_cast<const float*>(p), n);
  }
  CORBEL_INLINE Floats step(Weights weight, XVector x, Floats sum) { return fma(weight, x, sum); }
};

struct Bf16Weights : F32Weights {
  static constexpr int64_t kWeightBytes = 2;
  CORBEL_INLINE Weights load_weight(const char* p) { return load_bf16(p); }
  CORBEL_INLINE Weights load_weight_first(const char* p, int64_t n) { return load_bf16_first(p, n); }
};

struct F16Weights : F32Weights {
  static constexpr int64_t kWeightBytes = 2;
  CORBEL_INLINE Weights load_weight(const char* p) { return load_f16(p); }
  CORBEL_INLINE Weights load_weight_first(const char* p, int64_t n) { return load_f16_first(p, n); }
};

#if defined(__AVX512BF16__)
/// Pairs of bf16 by vdpbf16ps, which takes and gives subnormals as zero whatever MXCSR says.
struct Bf16Pairs : F32Weights {
  using XVector = Ints;
  using Weights = Ints;
  static constexpr int64_t kStep = 32;
  static constexpr int64_t kXBytes = 2;
  static constexpr int64_t kWeightBytes = 2;
  CORBEL_INLINE XVector load_x(const char* p) { return load_pairs(p); }
  CORBEL_INLINE XVector load_x_first(const char* p, int64_t n) { return load_pairs_first(p, n); }
  CORBEL_INLINE Weights load_weight(const char* p) { return load_pairs(p); }
  CORBEL_INLINE Weights load_weight_first(const char* p, int64_t n) { return load_pairs_first(p, n); }
  CORBEL_INLINE Floats step(Weights weight, XVector x, Floats sum) {
    return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(weight.v), reinterpret_cast<__m512bh>(x.v))};
  }
};
#endif

struct SplitPairs {
  Floats odd;
  Floats even;
};

/// The same arithmetic by two multiply-adds with subnormals off; x is split into odd and even elements beforehand
/// (split_bf16). On Sapphire Rapids twice as fast as vdpbf16ps, which it starts every two cycles only (bench/linear).
struct Bf16Split : F32Weights {
  using XVector = SplitPairs;
  using Weights = SplitPairs;
  static constexpr bool kFlushes = true;
  static constexpr int64_t kStep = 32;
  static constexpr int64_t kWeightBytes = 2;
#if defined(__AVX512F__)
  static constexpr int kRows = 5;  // 5 x 4 sums, 4 x 2 weights, 2 x: 30 of 32 registers
#endif
  CORBEL_INLINE Weights split(Ints pairs) { return {odd_of_pairs(pairs), even_of_pairs(pairs)}; }
  CORBEL_INLINE XVector load_x(const char* p) {
    return {load(reinterpret_cast<const float*>(p)), load(reinterpret_cast<const float*>(p) + kWidth)};
  }
  CORBEL_INLINE XVector load_x_first(const char* p, int64_t) { return load_x(p); }  // padded with zeros
  CORBEL_INLINE Weights load_weight(const char* p) { return split(load_pairs(p)); }
  CORBEL_INLINE Weights load_weight_first(const char* p, int64_t n) { return split(load_pairs_first(p, n)); }
  CORBEL_INLINE Floats step(Weights weight, XVector x, Floats sum) {
    return fma(weight.even, x.even, fma(weight.odd, x.odd, sum));
  }
};

/// sums[R * O], row by row; kGoOn: added to what they are. Not inlined: the compiler does not know that arithmetic
/// depends on FlushedScope.
template <typename Kind, int R, int O, bool kStream, bool kGoOn = false>
__attribute__((noinline)) void sum_tile(const char* x, int64_t x_stride, const char* weight, int64_t weight_stride,
                                        int64_t in, Floats* sums) {
  using XVector = typename Kind::XVector;
  using Weights = typename Kind::Weights;
  Floats sum[R][O];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o) sum[r][o] = kGoOn ? sums[r * O + o] : zero();
  int64_t i = 0;
  for (; i + Kind::kStep <= in; i += Kind::kStep) {
    Weights w[O];
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o) {
      const char* const p = weight + o * weight_stride + i * Kind::kWeightBytes;
      if constexpr (kStream) _mm_prefetch(p + kPrefetchBytes, _MM_HINT_T0);
      w[o] = Kind::load_weight(p);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const XVector xr = Kind::load_x(x + r * x_stride + i * Kind::kXBytes);
#pragma GCC unroll 8
      for (int o = 0; o < O; ++o) sum[r][o] = Kind::step(w[o], xr, sum[r][o]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o) sums[r * O + o] = sum[r][o];
  if (i < in) {
    // In memory: a loop over registers would keep them there from the beginning.
    for (int r = 0; r < R; ++r) {
      const XVector xr = Kind::load_x_first(x + r * x_stride + i * Kind::kXBytes, in - i);
      for (int o = 0; o < O; ++o) {
        const char* const p = weight + o * weight_stride + i * Kind::kWeightBytes;
        sums[r * O + o] = Kind::step(Kind::load_weight_first(p, in - i), xr, sums[r * O + o]);
      }
    }
  }
}

/// Outputs of a tile are `gap` apart: then tile after tile goes on in each of O places of the weight, so that memory is
/// read in O long runs.
struct TilePlace {
  int64_t row;
  int64_t output;
  int64_t gap;
};

template <typename Kind, int R, int O, bool kStream>
void dot_tile(const DotArgs& args, const TilePlace& place) {
  constexpr int kSums = (R * O + 15) / 16 * 16;
  Floats sums[kSums];
  const char* const x = static_cast<const char*>(args.x) + place.row * args.x_stride_bytes;
  const char* const weight = static_cast<const char*>(args.weight) + place.output * args.weight_stride_bytes;
  const int64_t weight_stride = place.gap * args.weight_stride_bytes;
  if constexpr (Kind::kFlushes) {
    const FlushedScope flushed;
    sum_tile<Kind, R, O, kStream>(x, args.x_stride_bytes, weight, weight_stride, args.in, sums);
  } else {
    sum_tile<Kind, R, O, kStream>(x, args.x_stride_bytes, weight, weight_stride, args.in, sums);
  }
  float* const out = args.out + place.row * args.out_stride + place.output;
  if constexpr (R * O < 4) {
    for (int k = 0; k < R * O; ++k) out[k / O * args.out_stride + k % O * place.gap] = add_lanes(sums[k]);
  } else {
    for (int k = R * O; k < kSums; ++k) sums[k] = zero();
    float dots[kSums];
    for (int k = 0; k < kSums; k += 16) store(dots + k, add_lanes_of_16(sums + k));
    for (int k = 0; k < R * O; ++k) out[k / O * args.out_stride + k % O * place.gap] = dots[k];
  }
}

/// `rows` <= Kind::kRows rows; only the first pass over a weight fetches it ahead.
template <typename Kind, int O, int R = Kind::kRows>
CORBEL_INLINE void dot_rows(const DotArgs& args, int64_t rows, const TilePlace& place) {
  if constexpr (R > 1) {
    if (rows < R) return dot_rows<Kind, O, R - 1>(args, rows, place);
  }
  if (place.row == 0)
    dot_tile<Kind, R, O, true>(args, place);
  else
    dot_tile<Kind, R, O, false>(args, place);
}

/// Many rows: a tile of x, as deep as fits, stays in the first-level cache while the weights of up to kGroupsAtOnce *
/// kOutputs outputs pass by from the second; then the next part of the columns. Sums wait in memory.
constexpr int64_t kDepthBytes = 2816;  // of a row of x, at most: 6 + 4 rows of this take 28 KB
constexpr int64_t kGroupsAtOnce = 16;
constexpr int64_t kDeepRows = 24;  // fewer rows are bound by reading weights, best in a few long runs

template <typename Kind, int R>
void dot_deep_tile(const DotArgs& args, int64_t row, int64_t output, int64_t groups) {
  constexpr int O = Kind::kOutputs;
  constexpr int kSums = R * O;
  const int64_t parts = (args.in * Kind::kXBytes + kDepthBytes - 1) / kDepthBytes;
  const int64_t depth = (args.in + parts * Kind::kStep - 1) / (parts * Kind::kStep) * Kind::kStep;
  Floats sums[kGroupsAtOnce * kSums + kWidth];
  const char* const x = static_cast<const char*>(args.x) + row * args.x_stride_bytes;
  const char* const weight = static_cast<const char*>(args.weight) + output * args.weight_stride_bytes;
  for (int64_t begin = 0; begin < args.in; begin += depth) {
    const int64_t part = args.in - begin < depth ? args.in - begin : depth;
    const char* const from = x + begin * Kind::kXBytes;
    for (int64_t group = 0; group < groups; ++group) {
      const char* const w = weight + group * O * args.weight_stride_bytes + begin * Kind::kWeightBytes;
      if (begin == 0)
        sum_tile<Kind, R, O, false>(from, args.x_stride_bytes, w, args.weight_stride_bytes, part, sums + group * kSums);
      else
        sum_tile<Kind, R, O, false, true>(from, args.x_stride_bytes, w, args.weight_stride_bytes, part,
                                          sums + group * kSums);
    }
  }
  float dots[kGroupsAtOnce * kSums + kWidth];
  const int64_t count = groups * kSums;
  for (int64_t k = count; k % kWidth != 0; ++k) sums[k] = zero();
  for (int64_t k = 0; k < count; k += kWidth) store(dots + k, add_lanes_of_16(sums + k));
  float* const out = args.out + row * args.out_stride + output;
  for (int64_t group = 0; group < groups; ++group) {
    for (int k = 0; k < kSums; ++k) out[k / O * args.out_stride + group * O + k % O] = dots[group * kSums + k];
  }
}

template <typename Kind, int R = Kind::kRows>
CORBEL_INLINE void dot_deep_rows(const DotArgs& args, int64_t rows, int64_t row, int64_t output, int64_t groups) {
  if constexpr (R > 1) {
    if (rows < R) return dot_deep_rows<Kind, R - 1>(args, rows, row, output, groups);
  }
  dot_deep_tile<Kind, R>(args, row, output, groups);
}

template <typename Kind>
void dot_one_row(const DotArgs& args) {
  const int64_t gap = args.outputs / kStreamOutputs;
  for (int64_t output = 0; output < gap; ++output) dot_tile<Kind, 1, kStreamOutputs, true>(args, {0, output, gap});
  for (int64_t output = gap * kStreamOutputs; output < args.outputs; ++output)
    dot_tile<Kind, 1, 1, true>(args, {0, output, 1});
}

template <typename Kind>
void dot(const DotArgs& args) {
  if (args.rows == 1) return dot_one_row<Kind>(args);
  // Row tiles of about equal height: 7 rows are 4 + 3, not 6 + 1.
  const int64_t tiles = (args.rows + Kind::kRows - 1) / Kind::kRows;
  const auto tile_begin = [&](int64_t tile) { return tile * args.rows / tiles; };
  const int64_t gap = args.outputs / Kind::kOutputs;
  if (!Kind::kFlushes && args.rows >= kDeepRows) {
    for (int64_t group = 0; group < gap; group += kGroupsAtOnce) {
      const int64_t groups = gap - group < kGroupsAtOnce ? gap - group : kGroupsAtOnce;
      for (int64_t tile = 0; tile < tiles; ++tile)
        dot_deep_rows<Kind>(args, tile_begin(tile + 1) - tile_begin(tile), tile_begin(tile), group * Kind::kOutputs,
                            groups);
    }
  }
  for (int64_t output = 0; output < gap && (Kind::kFlushes || args.rows < kDeepRows); ++output) {
    for (int64_t tile = 0; tile < tiles; ++tile)
      dot_rows<Kind, Kind::kOutputs>(args, tile_begin(tile + 1) - tile_begin(tile), {tile_begin(tile), output, gap});
  }
  for (int64_t output = gap * Kind::kOutputs; output < args.outputs; ++output) {
    for (int64_t tile = 0; tile < tiles; ++tile)
      dot_rows<Kind, 1>(args, tile_begin(tile + 1) - tile_begin(tile), {tile_begin(tile), output, 1});
  }
}

}  // namespace

void add_linear(Kernels& table) {
  table.dot_f32 = dot<F32Weights>;
  table.dot_bf16_f32 = dot<Bf16Weights>;
  table.dot_f16_f32 = dot<F16Weights>;
#if defined(__AVX512BF16__)
  table.dot_bf16_pairs = dot<Bf16Pairs>;
#endif
  table.dot_bf16_split = dot<Bf16Split>;
}

}  // namespace corbel::cpu::CORBEL_ISA
