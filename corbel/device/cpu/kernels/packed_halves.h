#pragma once
#include "corbel/device/cpu/kernels/packed_bytes.h"

/// packed_strips.h in registers of 32 bytes: eight of a strip's sixteen rows (a half) at a time. Kernel sources only.
///
///   struct Kind {
///     static constexpr int64_t kBlockBytes, kGroups;        // of a block
///     static constexpr bool kOffsets;
///     static constexpr int kMostCode;                       // bytes are codes 0..kMostCode; 0: bytes are the integers
///     static constexpr int kZero;                           // integer = code - kZero
///     Kind(const PackedTables&);
///     void open(const unsigned char* block, int64_t half);  // begins half 0 or 1 of a block; 0 comes first
///     __m256i bytes(int64_t from, int four);                // columns 4 (from + four) ..; from ascends by kRun,
///                                                           // four < kRun
///     __m256 scale(int64_t group), offset(int64_t group);   // of the open half
///   };
namespace corbel::cpu::CORBEL_ISA {

#if defined(__AVX2__) && !defined(__AVX512F__)

// 4 sums of 16 bits, 4 of 32 bits, 4 of floats, and constants, weights and x in the other 4 registers: codes of 5 and 6
// bits leave some of the floats in memory, which are used once a group.
constexpr int kMostHalfRows = 4;

template <typename Kind>
constexpr int64_t kFoursOf = kBlockFours / Kind::kGroups;  // of a group
/// Fours that one stretch of code takes: 4 or 8.
template <typename Kind>
constexpr int kRun = kFoursOf<Kind> < 8 ? 4 : 8;
/// Fours whose products fit 16 bits together: so many times 2 * 127 * kMostCode is below 2^15.
template <typename Kind>
constexpr int kFit = Kind::kMostCode == 0 ? 1 : 32767 / (2 * 127 * Kind::kMostCode);  // 8 of 4 bits, 4 of 5, 2 of 6
static_assert(2 * 127 * 128 <= 32767);                                                // of integers -128..127

/// Sums stay in the order they are written in: GCC would make trees of them, for which there are not enough registers.
CORBEL_INLINE void keep_order(__m256i& a) { asm("" : "+x"(a)); }

/// The next kRun<Kind> fours of a half and of kRows rows of x, added to `sum`.
template <typename Kind, int kRows>
CORBEL_INLINE void add_run(Kind& kind, int64_t from, const int8_t* x, __m256i* sum) {
  static_assert(kRun<Kind> % kFit<Kind> == 0);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i pairs[kRows];
#pragma GCC unroll 8
  for (int four = 0; four < kRun<Kind>; ++four) {
    const __m256i bytes = kind.bytes(from, four);
    const bool ends = four % kFit<Kind> == kFit<Kind> - 1;
    const __m256i magnitudes = Kind::kMostCode == 0 ? _mm256_abs_epi8(bytes) : bytes;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      __m256i of_x = dword_at(x + (four * kRows + r) * 4);
      if constexpr (Kind::kMostCode == 0) of_x = _mm256_sign_epi8(of_x, bytes);
      const __m256i products = _mm256_maddubs_epi16(magnitudes, of_x);
      pairs[r] = four % kFit<Kind> == 0 ? products : _mm256_add_epi16(pairs[r], products);
      if (ends) sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(pairs[r], ones));
      keep_order(ends ? sum[r] : pairs[r]);
    }
  }
}

/// Four dwords of neighbouring registers, from dword kFrom on; the last register is followed by zeros.
template <int kFrom, int kCount>
CORBEL_INLINE __m128i dwords_from(const __m128i* a) {
  constexpr int kFirst = kFrom / 4;
  if constexpr (kFirst + 1 < kCount)
    return _mm_alignr_epi8(a[kFirst + 1], a[kFirst], kFrom % 4 * 4);
  else
    return _mm_srli_si128(a[kFirst], kFrom % 4 * 4);
}

/// -kZero times the sums of x over every group, [groups][rows]: what sums of codes begin at. Four dwords are written
/// for each group, kRows of which count.
template <typename Kind, int kRows>
CORBEL_INLINE void take_zeros(const int8_t* x, int64_t groups, int32_t* starts) {
  const __m128i ones = _mm_set1_epi8(1);
  const __m128i minus_zero = _mm_set1_epi16(-Kind::kZero);
  for (int64_t group = 0; group < groups; ++group) {
    // Four fours of all rows are kRows registers.
    __m128i sums[kRows];
#pragma GCC unroll 2
    for (int64_t four = 0; four < kFoursOf<Kind>; four += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i * 16));
        const __m128i pairs = _mm_maddubs_epi16(ones, bytes);
        sums[i] = four == 0 ? pairs : _mm_add_epi16(sums[i], pairs);
      }
      x += kRows * 16;
    }
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) sums[i] = _mm_madd_epi16(sums[i], minus_zero);
    const __m128i first = _mm_add_epi32(sums[0], dwords_from<kRows, kRows>(sums));
    const __m128i second = _mm_add_epi32(dwords_from<2 * kRows, kRows>(sums), dwords_from<3 * kRows, kRows>(sums));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(starts), _mm_add_epi32(first, second));
    starts += kRows;
  }
}

/// kRows rows of x against `blocks` blocks, from block `first` of every strip on, one half after the other: x is read
/// twice as often, but the sums of four rows stay in registers.
template <typename Kind, int kRows>
__attribute__((noinline)) void dot_some_blocks(const DirectArgs& args, int64_t first, int64_t blocks,
                                               const int32_t* const all_starts) {
  constexpr int kGrouping = __builtin_ctzll(static_cast<unsigned long long>(Kind::kGroups));
  constexpr int64_t kFetches = 2 * kBlockFours / kRun<Kind>;
  constexpr int64_t kLines = Kind::kBlockBytes / 64 / kFetches;
  constexpr int64_t kOpenLines = Kind::kBlockBytes / 64 % kFetches;
  Kind kind(*args.tables);
  for (int64_t strip = 0; strip < args.count; ++strip) {
    const unsigned char* block = args.strips + (strip * args.blocks + first) * Kind::kBlockBytes;
    const float* x_scales = args.x.scales + first * kRows;
    const int32_t* starts = all_starts;
    for (int64_t b = first; b < first + blocks; ++b) {
      const unsigned char* ahead = block + kStripBytesAhead;
      fetch_lines(ahead, kOpenLines);
      ahead += kOpenLines * 64;
      for (int64_t half = 0; half < 2; ++half) {
        const int8_t* x = args.x.integers + b * kBlockColumns * kRows;
        const float* x_sums = Kind::kOffsets ? args.x.sums[kGrouping] + b * Kind::kGroups * kRows : nullptr;
        const int32_t* start = starts;
        kind.open(block, half);
        __m256 t[kRows];
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) t[r] = _mm256_setzero_ps();
        for (int64_t group = 0; group < Kind::kGroups; ++group) {
          __m256i sum[kRows];
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r)
            sum[r] = Kind::kZero != 0 ? _mm256_set1_epi32(start[r]) : _mm256_setzero_si256();
          for (int64_t four = 0; four < kFoursOf<Kind>; four += kRun<Kind>) {
            add_run<Kind, kRows>(kind, group * kFoursOf<Kind> + four, x, sum);
            x += kRun<Kind> * kRows * 4;
            fetch_lines(ahead, kLines);
            ahead += kLines * 64;
          }
          const __m256 scale = kind.scale(group);
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) t[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r]), scale, t[r]);
          if constexpr (Kind::kOffsets) {
            const __m256 offset = kind.offset(group);
#pragma GCC unroll 4
            for (int r = 0; r < kRows; ++r) t[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(x_sums + r), offset, t[r]);
            x_sums += kRows;
          }
          if constexpr (Kind::kZero != 0) start += kRows;
        }
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          float* const dots = args.dots + r * args.stride + strip * 16 + half * 8;
          const __m256 before = b == 0 ? _mm256_setzero_ps() : _mm256_loadu_ps(dots);
          _mm256_storeu_ps(dots, _mm256_fmadd_ps(t[r], _mm256_broadcast_ss(x_scales + r), before));
        }
      }
      if constexpr (Kind::kZero != 0) starts += Kind::kGroups * kRows;
      x_scales += kRows;
      block += Kind::kBlockBytes;
    }
  }
}

template <typename Kind, int kRows>
void dot_halves(const DirectArgs& args) {
  if constexpr (Kind::kZero == 0) {
    dot_some_blocks<Kind, kRows>(args, 0, args.blocks, nullptr);
  } else {
    constexpr int64_t kBlocks = 512 / Kind::kGroups;  // 8 KB for four rows
    alignas(32) int32_t starts[kBlocks * Kind::kGroups * kRows + 4];
    for (int64_t first = 0; first < args.blocks; first += kBlocks) {
      const int64_t blocks = args.blocks - first < kBlocks ? args.blocks - first : kBlocks;
      take_zeros<Kind, kRows>(args.x.integers + first * kBlockColumns * kRows, blocks * Kind::kGroups, starts);
      dot_some_blocks<Kind, kRows>(args, first, blocks, starts);
    }
  }
}

template <typename Kind, int kRows = kMostHalfRows>
void dot_halves_of_rows(const DirectArgs& args) {
  if constexpr (kRows > 1) {
    if (args.x.rows < kRows) return dot_halves_of_rows<Kind, kRows - 1>(args);
  }
  dot_halves<Kind, kRows>(args);
}

template <typename Kind>
void unpack_halves(const UnpackArgs& args) {
  const __m256i zero = _mm256_set1_epi8(Kind::kZero);
  const unsigned char* block = args.strip;
  Kind kind(*args.tables);
  for (int64_t b = 0; b < args.blocks; ++b) {
    for (int64_t half = 0; half < 2; ++half) {
      kind.open(block, half);
      uint8_t* to = args.panel + b * kPanelBlockBytes + half * 32;
      for (int64_t from = 0; from < kBlockFours; from += kRun<Kind>) {
#pragma GCC unroll 8
        for (int four = 0; four < kRun<Kind>; ++four) {
          put_line(to, _mm256_sub_epi8(kind.bytes(from, four), zero));
          to += 128;
        }
      }
      for (int64_t group = 0; group < Kind::kGroups; ++group) {
        const int64_t at = (b * Kind::kGroups + group) * kPanelRows + half * 8;
        _mm256_store_ps(args.scales + at, kind.scale(group));
        if constexpr (Kind::kOffsets) _mm256_store_ps(args.offsets + at, kind.offset(group));
      }
    }
    block += Kind::kBlockBytes;
  }
}

/// Adds a format's kernels to the level's table.
template <typename Kind>
void add_packed_halves(Kernels& table, const char* name) {
  add_packed_kernel(table, {name, unpack_halves<Kind>, dot_halves_of_rows<Kind>, kMostHalfRows});
}

#endif

}  // namespace corbel::cpu::CORBEL_ISA
