#pragma once
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"
#include "corbel/ops/attention_exp2.h"

/// Products of bf16 pairs with the lines of a page's bricks (KvPageSpec): 16 keys of one pair of elements, or 16
/// elements of one pair of slots. Kernel sources only.
namespace corbel::cpu::CORBEL_ISA {

#if defined(__AVX512F__)
constexpr int kTileRows = 12;  // 12 x 2 sums, 2 lines (4 when split), 1 number (2): 27 (30) of 32 registers
constexpr int kTileBricks = 2;
constexpr int kFewRows = 3;  // so many rows and fewer take more bricks at once: six sums cover a step's latency
constexpr int kFewRowsBricks = 4;
#elif defined(__AVX2__)
constexpr int kTileRows = 4;  // 4 x 1 sums of two registers, 2 x 2 of a line, 1: 13 of 16 registers
constexpr int kTileBricks = 1;
constexpr int kFewRows = 0;
constexpr int kFewRowsBricks = 1;
#else
constexpr int kTileRows = 2;
constexpr int kTileBricks = 1;
constexpr int kFewRows = 0;
constexpr int kFewRowsBricks = 1;
#endif

constexpr int64_t kLine = 64;  // bytes

/// 2^x for x <= 0: corbel/ops/attention_reference.h's exp2_f32, lane by lane the same operations.
CORBEL_INLINE Floats exp2_below(Floats x) {
  using C = Exp2Constants;
  const Floats bounded = max(broadcast(C::kLow), x);  // in this order NaN stays
#if defined(__AVX512F__)
  const Floats n = round_even(bounded);
  const Floats r = sub(bounded, n);
#else
  const Floats shifted = add(bounded, broadcast(C::kRound));
  const Floats r = sub(bounded, sub(shifted, broadcast(C::kRound)));
#endif
  Floats p = fma(broadcast(C::kC4), r, broadcast(C::kC3));
  p = fma(p, r, broadcast(C::kC2));
  p = fma(p, r, broadcast(C::kC1));
  p = fma(p, r, broadcast(1.0F));
#if defined(__AVX512F__)
  return {_mm512_scalef_ps(p.v, n.v)};  // exact: p is near 1, n at least -100
#else
  return as_floats(add(as_ints(p), shift_left<23>(as_ints(shifted))));
#endif
}

#if defined(__AVX512BF16__)
/// By vdpbf16ps, which takes and gives subnormals as zero whatever MXCSR says.
struct PairSteps {
  using Number = uint32_t;  // a pair of bf16, the even element below
  static constexpr int kNumbers = 1;
  static constexpr bool kFlushes = false;
  using Line = Ints;
  using X = Ints;
  CORBEL_INLINE Line load_line(const unsigned char* p) { return load_pairs(p); }
  /// Only the even element, only the odd one, or both.
  CORBEL_INLINE Line keep(Line line, int32_t mask) { return bit_and(line, broadcast_int(mask)); }
  CORBEL_INLINE X number(const Number* p) { return {_mm512_set1_epi32(static_cast<int32_t>(*p))}; }
  CORBEL_INLINE void step(Line line, X x, Floats& sum) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum.v) : "v"(line.v), "v"(x.v));
  }
};
struct ArithmeticScope {
  __attribute__((always_inline)) ArithmeticScope() {}  // not unused to the compiler
};
#else
/// The same by two multiply-adds with subnormals off (ArithmeticScope), the odd element first.
struct PairSteps {
  using Number = float;  // two of them: the even element, the odd one
  static constexpr int kNumbers = 2;
  static constexpr bool kFlushes = true;
  struct Line {
    Floats odd;
    Floats even;
  };
  using X = Line;
  CORBEL_INLINE Line load_line(const unsigned char* p) {
    const Ints pairs = load_pairs(p);
    return {odd_of_pairs(pairs), even_of_pairs(pairs)};
  }
  CORBEL_INLINE Line keep(Line line, int32_t mask) {
    return {as_floats(bit_and(as_ints(line.odd), broadcast_int(mask & -0x10000))),
            as_floats(bit_and(as_ints(line.even), broadcast_int((mask & 0xffff) != 0 ? -1 : 0)))};
  }
  CORBEL_INLINE X number(const Number* p) { return {broadcast(p[1]), broadcast(p[0])}; }
  CORBEL_INLINE void step(Line line, X x, Floats& sum) { sum = fma(line.even, x.even, fma(line.odd, x.odd, sum)); }
};
/// Subnormal inputs and results as zero, until the end of the scope. What it holds for must not be inlined: the
/// compiler does not know that arithmetic depends on it.
class ArithmeticScope {
 public:
  __attribute__((always_inline)) ArithmeticScope() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040U); }
  __attribute__((always_inline)) ~ArithmeticScope() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
};
#endif

/// Sums of R rows with B bricks over the same lines.
///   numbers  line i of row r at numbers + i * line_step + r * row_step
///   lines    line i of brick b at lines + b * brick_bytes + i * kLine
///   ahead    B x count lines to be fetched, in the order they lie, as memory gives them fastest; or null
template <int R, int B>
CORBEL_INLINE void add_lines(const PairSteps::Number* numbers, int64_t line_step, int64_t row_step,
                             const unsigned char* lines, int64_t brick_bytes, int64_t count, const unsigned char* ahead,
                             Floats (&sum)[R][B]) {
  for (int64_t i = 0; i < count; ++i) {
    PairSteps::Line line[B];
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) {
      line[b] = PairSteps::load_line(lines + b * brick_bytes + i * kLine);
      if (ahead != nullptr) _mm_prefetch(ahead + (i * B + b) * kLine, _MM_HINT_T1);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const PairSteps::X x = PairSteps::number(numbers + i * line_step + r * row_step);
#pragma GCC unroll 8
      for (int b = 0; b < B; ++b) PairSteps::step(line[b], x, sum[r][b]);
    }
  }
}

/// One block against the R rows of a tile.
struct TileScores {
  const PairSteps::Number* q;  // [lines][R] numbers
  const unsigned char* bricks;
  const unsigned char* ahead;  // bricks of the next block, to be fetched; or null
  int64_t lines;
  float* scores;  // [R][kAttendBlock], moved to the first brick's first key
};

template <int R, int B>
__attribute__((noinline)) void score_bricks(const TileScores& tile) {
  Floats sum[R][B];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) sum[r][b] = zero();
  add_lines<R, B>(tile.q, R * PairSteps::kNumbers, PairSteps::kNumbers, tile.bricks, tile.lines * kLine, tile.lines,
                  tile.ahead, sum);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) store(tile.scores + r * kAttendBlock + b * kWidth, sum[r][b]);
}

struct TileValues {
  const PairSteps::Number* p;    // [R][kAttendBlock / 2] numbers
  const unsigned char* half[2];  // the head's values in the block's two pages, moved to the first brick
  const unsigned char* ahead[2];
  int64_t from;  // pairs of the block
  int64_t to;
  float* out;  // [R][padded], moved to the first brick's first element
  int64_t padded;
  const float* a;  // [R]; null: out is a chain to be continued
};

/// out = out * a + chain (never flushed: not within ArithmeticScope), or out continues as a chain.
template <int R, int B>
__attribute__((noinline)) void add_value_bricks(const TileValues& tile) {
  constexpr int64_t kHalf = kAttendPage / 2;
  constexpr int64_t kRow = kAttendBlock / 2 * PairSteps::kNumbers;
  Floats sum[R][B];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) sum[r][b] = tile.a == nullptr ? load(tile.out + r * tile.padded + b * kWidth) : zero();
  for (int half = 0; half < 2; ++half) {
    const int64_t begin = tile.from > half * kHalf ? tile.from : half * kHalf;
    const int64_t end = tile.to < (half + 1) * kHalf ? tile.to : (half + 1) * kHalf;
    if (begin >= end) continue;
    const int64_t offset = begin % kHalf * kLine;
    add_lines<R, B>(tile.p + begin * PairSteps::kNumbers, PairSteps::kNumbers, kRow, tile.half[half] + offset,
                    kHalf * kLine, end - begin, tile.ahead[half] == nullptr ? nullptr : tile.ahead[half] + offset, sum);
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) {
      float* const out = tile.out + r * tile.padded + b * kWidth;
      store(out, tile.a == nullptr ? sum[r][b] : fma(load(out), broadcast(tile.a[r]), sum[r][b]));
    }
  }
}

}  // namespace corbel::cpu::CORBEL_ISA
