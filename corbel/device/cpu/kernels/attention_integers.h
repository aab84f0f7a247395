#pragma once
#include "corbel/device/cpu/kernels/attention_tiles.h"

/// Products of 16-bit integers with the lines of an int8 page's bricks, summed exactly. Kernel sources only.
namespace corbel::cpu::CORBEL_ISA {

constexpr int64_t kShortLine = 32;  // bytes: 16 pairs of int8

/// A line as 16 pairs of 16-bit integers; step: sum += even products + odd products. A number is such a pair.
#if defined(__AVX512VNNI__)
CORBEL_INLINE Ints load_short_line(const unsigned char* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
CORBEL_INLINE void step(Ints line, Ints x, Ints& sum) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sum.v) : "v"(line.v), "v"(x.v));
}
CORBEL_INLINE Ints to_nearest(Floats a) { return {_mm512_cvtps_epi32(a.v)}; }
#else
#if defined(__AVX2__)
CORBEL_INLINE void load_part(const unsigned char* p, IntPart& part) {
  part = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
CORBEL_INLINE IntPart multiply_pairs(IntPart a, IntPart b) { return _mm256_madd_epi16(a, b); }
#else
CORBEL_INLINE void load_part(const unsigned char* p, IntPart& part) {
  part = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
CORBEL_INLINE IntPart multiply_pairs(IntPart a, IntPart b) { return _mm_madd_epi16(a, b); }
#endif
template <typename T>
CORBEL_INLINE void load_part(const unsigned char* p, Pair<T>& part) {
  load_part(p, part.low);
  load_part(p + sizeof(T) / 2, part.high);
}
template <typename T>
CORBEL_INLINE Pair<T> multiply_pairs(Pair<T> a, Pair<T> b) {
  return {multiply_pairs(a.low, b.low), multiply_pairs(a.high, b.high)};
}
CORBEL_INLINE Ints load_short_line(const unsigned char* p) {
  Ints line;
  load_part(p, line);
  return line;
}
CORBEL_INLINE void step(Ints line, Ints x, Ints& sum) { sum = add(sum, multiply_pairs(line, x)); }
CORBEL_INLINE Ints to_nearest(Floats a) { return to_ints(round_even(a)); }
#endif

template <int R, int B>
CORBEL_INLINE void clear(Ints (&sum)[R][B]) {
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) sum[r][b] = broadcast_int(0);
}

/// Sums of R rows with B bricks over the same lines, as add_lines; line i of row r at
/// numbers + i * line_step + r * row_step.
struct ShortLines {
  const int32_t* numbers;
  int64_t line_step;
  int64_t row_step;
  const unsigned char* lines;
  int64_t brick_bytes;
  const unsigned char* ahead;  // to be fetched; or null
};
template <int R, int B>
CORBEL_INLINE void add_short_line(const ShortLines& at, int64_t i, Ints (&sum)[R][B]) {
  Ints line[B];
#pragma GCC unroll 8
  for (int b = 0; b < B; ++b) line[b] = load_short_line(at.lines + b * at.brick_bytes + i * kShortLine);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    const Ints x = broadcast_int(at.numbers[i * at.line_step + r * at.row_step]);
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) step(line[b], x, sum[r][b]);
  }
}
template <int R, int B>
CORBEL_INLINE void add_short_lines(const ShortLines& at, int64_t count, Ints (&sum)[R][B]) {
  int64_t i = 0;
  if (at.ahead != nullptr) {
    for (; i + 2 <= count; i += 2) {
      // Into the second cache: asked for into the first, a block drives out the one in work (8 instead of 19 GB/s).
#pragma GCC unroll 8
      for (int b = 0; b < B; ++b) _mm_prefetch(at.ahead + (i * B + 2 * b) * kShortLine, _MM_HINT_T1);
      add_short_line<R, B>(at, i, sum);
      add_short_line<R, B>(at, i + 1, sum);
    }
  }
  for (; i < count; ++i) add_short_line<R, B>(at, i, sum);
}

/// Neighbouring bricks of one page of keys against the R rows of a tile.
struct IntegerScores {
  const int32_t* q;     // [lines][R] numbers
  const float* units;   // [R]
  const float* scales;  // of the keys, moved to the first brick's first
  const unsigned char* bricks;
  const unsigned char* ahead;
  int64_t lines;
  float* scores;  // [R][kAttendBlock], moved to the first brick's first key
};

template <int R, int B>
__attribute__((noinline)) void score_integer_bricks(const IntegerScores& tile) {
  Ints sum[R][B];
  clear<R, B>(sum);
  add_short_lines<R, B>({tile.q, R, 1, tile.bricks, tile.lines * kShortLine, tile.ahead}, tile.lines, sum);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    const Floats unit = broadcast(tile.units[r]);
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) {
      const Floats scaled = mul(mul(to_floats(sum[r][b]), unit), load(tile.scales + b * kWidth));
      store(tile.scores + r * kAttendBlock + b * kWidth, scaled);
    }
  }
}

/// Bricks of values, weighted: out = out * a + sums * unit.
struct IntegerValues {
  const int32_t* p;              // [R][kAttendBlock / 2] numbers
  const unsigned char* half[2];  // the head's values in the block's two pages, moved to the first brick
  const unsigned char* ahead[2];
  int64_t from;  // pairs of the block
  int64_t to;
  float* out;  // [R][padded], moved to the first brick's first element
  int64_t padded;
  const float* a;      // [R]
  const float* units;  // [R]
};

template <int R, int B>
__attribute__((noinline)) void add_integer_values(const IntegerValues& tile) {
  constexpr int64_t kHalf = kAttendPage / 2;
  Ints sum[R][B];
  clear<R, B>(sum);
  for (int half = 0; half < 2; ++half) {
    const int64_t begin = tile.from > half * kHalf ? tile.from : half * kHalf;
    const int64_t end = tile.to < (half + 1) * kHalf ? tile.to : (half + 1) * kHalf;
    if (begin >= end) continue;
    const int64_t offset = begin % kHalf * kShortLine;
    add_short_lines<R, B>({tile.p + begin, 1, kAttendBlock / 2, tile.half[half] + offset, kHalf * kShortLine,
                           tile.ahead[half] == nullptr ? nullptr : tile.ahead[half] + offset},
                          end - begin, sum);
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) {
      float* const out = tile.out + r * tile.padded + b * kWidth;
      store(out, fma(load(out), broadcast(tile.a[r]), mul(to_floats(sum[r][b]), broadcast(tile.units[r]))));
    }
  }
}

}  // namespace corbel::cpu::CORBEL_ISA
