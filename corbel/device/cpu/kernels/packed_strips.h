#pragma once
#include "corbel/device/cpu/kernels/packed_bytes.h"

/// From a format's way to unpack a block (a Kind) to its kernels: strips against a few rows of x, and strips into a
/// panel. Kernel sources only.
///
///   struct Kind {
///     static constexpr int64_t kBlockBytes, kGroups;       // of a block
///     static constexpr bool kOffsets;
///     Kind(const PackedTables&);                           // what stays in registers
///     void open(const unsigned char* block);               // begins a block
///     void columns(int step, __m512i* fours);              // columns 32 step .. 32 step + 31: eight registers of
///                                                          // integers + 128, steps ascending
///     __m512 scale(int group), offset(int group);          // of the open block
///   };
namespace corbel::cpu::CORBEL_ISA {

#if defined(__AVX512F__)

constexpr int64_t kStepsOfBlock = 8;

/// kRows rows of x against one strip after the other. Two integer sums a row when there are few.
// The body of one loop, whose parts share registers.
template <typename Kind, int kRows>  // NOLINTNEXTLINE(readability-function-size)
__attribute__((noinline)) void dot_strips(const DirectArgs& args) {
  constexpr int kGrouping = __builtin_ctzll(static_cast<unsigned long long>(Kind::kGroups));
  constexpr int kParts = kRows <= 2 ? 4 / kRows : 1;
  constexpr int64_t kStepLines = Kind::kBlockBytes / 64 / kStepsOfBlock;
  constexpr int64_t kOpenLines = Kind::kBlockBytes / 64 % kStepsOfBlock;
  const unsigned char* block = args.strips;
  Kind kind(*args.tables);
  for (int64_t strip = 0; strip < args.count; ++strip) {
    const int8_t* x = args.x.integers;
    const float* x_scales = args.x.scales;
    const int32_t* starts = args.x.starts[kGrouping];
    const float* x_sums = args.x.sums[kGrouping];
    __m512 dots[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) dots[r] = _mm512_setzero_ps();
    for (int64_t b = 0; b < args.blocks; ++b) {
      kind.open(block);
      fetch_lines(block + kStripBytesAhead, kOpenLines);
      __m512 t[kRows];
      __m512i sum[kParts][kRows];
      int group = 0;
      const auto begin_group = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          sum[0][r] = _mm512_set1_epi32(starts[r]);
#pragma GCC unroll 8
          for (int part = 1; part < kParts; ++part) sum[part][r] = _mm512_setzero_si512();
        }
        starts += kRows;
      };
      const auto end_group = [&]() __attribute__((always_inline)) {
        const __m512 scale = kind.scale(group);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
          for (int part = 1; part < kParts; ++part) sum[0][r] = _mm512_add_epi32(sum[0][r], sum[part][r]);
          t[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[0][r]), scale, t[r]);
        }
        if constexpr (Kind::kOffsets) {
          const __m512 offset = kind.offset(group);
#pragma GCC unroll 8
          for (int r = 0; r < kRows; ++r) t[r] = _mm512_fmadd_ps(_mm512_set1_ps(x_sums[r]), offset, t[r]);
          x_sums += kRows;
        }
        ++group;
      };
      const auto add_fours = [&](const __m512i* fours, int64_t count) __attribute__((always_inline)) {
#pragma GCC unroll 8
        for (int64_t four = 0; four < count; ++four) {
#pragma GCC unroll 8
          for (int r = 0; r < kRows; ++r) dot4(sum[four % kParts][r], fours[four], x + (four * kRows + r) * 4);
        }
        x += count * kRows * 4;
      };
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) t[r] = _mm512_setzero_ps();
      constexpr int64_t kStepsOfGroup = kStepsOfBlock / Kind::kGroups;  // 0: two groups a step
      if constexpr (kStepsOfGroup > 1) begin_group();
      for (int step = 0; step < kStepsOfBlock; ++step) {
        __m512i fours[8];
        kind.columns(step, fours);
        fetch_lines(block + kStripBytesAhead + (kOpenLines + step * kStepLines) * 64, kStepLines);
        if constexpr (kStepsOfGroup == 0) {
          begin_group();
          add_fours(fours, 4);
          end_group();
          begin_group();
          add_fours(fours + 4, 4);
          end_group();
        } else if constexpr (kStepsOfGroup == 1) {
          begin_group();
          add_fours(fours, 8);
          end_group();
        } else {
          add_fours(fours, 8);
          if constexpr (Kind::kGroups > 1) {
            if ((step + 1) % kStepsOfGroup == 0) {
              end_group();
              if (step + 1 < kStepsOfBlock) begin_group();
            }
          }
        }
      }
      if constexpr (Kind::kGroups == 1) end_group();
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) dots[r] = _mm512_fmadd_ps(t[r], _mm512_set1_ps(x_scales[r]), dots[r]);
      x_scales += kRows;
      block += Kind::kBlockBytes;
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) _mm512_storeu_ps(args.dots + r * args.stride + strip * 16, dots[r]);
  }
}

/// More rows, one group a block: integer sums alone stay in registers, those of floats wait in memory for the end of
/// a block. What unpacking takes is hidden behind so many products.
template <typename Kind, int kRows>
__attribute__((noinline)) void dot_strips_wide(const DirectArgs& args) {
  constexpr int64_t kStepLines = Kind::kBlockBytes / 64 / kStepsOfBlock;
  constexpr int64_t kOpenLines = Kind::kBlockBytes / 64 % kStepsOfBlock;
  const unsigned char* block = args.strips;
  Kind kind(*args.tables);
  for (int64_t strip = 0; strip < args.count; ++strip) {
    const int8_t* x = args.x.integers;
    const float* x_scales = args.x.scales;
    const int32_t* starts = args.x.starts[0];
    float* const dots = args.dots + strip * 16;
    for (int64_t b = 0; b < args.blocks; ++b) {
      kind.open(block);
      fetch_lines(block + kStripBytesAhead, kOpenLines);
      __m512i sum[kRows];
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[r] = _mm512_set1_epi32(starts[r]);
      __m512i weights = kind.one_four(0, 0);
      for (int step = 0; step < kStepsOfBlock; ++step) {
        const int after = (step + 1) % kStepsOfBlock;  // what it gives after the last is not used
        fetch_lines(block + kStripBytesAhead + (kOpenLines + step * kStepLines) * 64, kStepLines);
#pragma GCC unroll 8
        for (int four = 0; four < 8; ++four) {
          __m512i next = kind.one_four(four == 7 ? after : step, (four + 1) % 8);
          keep_order(next);
#pragma GCC unroll 16
          for (int r = 0; r < kRows; ++r) dot4(sum[r], weights, x + (four * kRows + r) * 4);
          weights = next;
        }
        x += 8 * kRows * 4;
      }
      const __m512 scale = kind.scale(0);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        float* const at = dots + r * args.stride;
        const __m512 before = b == 0 ? _mm512_setzero_ps() : _mm512_loadu_ps(at);
        const __m512 t = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[r]), scale);
        _mm512_storeu_ps(at, _mm512_fmadd_ps(t, _mm512_set1_ps(x_scales[r]), before));
      }
      starts += kRows;
      x_scales += kRows;
      block += Kind::kBlockBytes;
    }
  }
}

// From here on one sum a row hides the instruction's latency, and unpacking four columns ahead pays.
constexpr int kLeastWideRows = 6;

template <typename Kind>
constexpr bool kIsWide = Kind::kGroups == 1 && !Kind::kOffsets;
template <typename Kind>
constexpr int kMostRowsOf =
    static_cast<int>(kIsWide<Kind> ? kMostWideRows : (Kind::kGroups > 1 ? kMostDirectGrouped : kMostDirectRows));

template <typename Kind, int kRows = kMostRowsOf<Kind>>
void dot_strips_of_rows(const DirectArgs& args) {
  if constexpr (kRows > 1) {
    if (args.x.rows < kRows) return dot_strips_of_rows<Kind, kRows - 1>(args);
  }
  if constexpr (kRows >= kLeastWideRows && kIsWide<Kind>)
    dot_strips_wide<Kind, kRows>(args);
  else
    dot_strips<Kind, kRows>(args);
}

template <typename Kind>
void unpack_strip(const UnpackArgs& args) {
  const unsigned char* block = args.strip;
  uint8_t* to = args.panel;
  Kind kind(*args.tables);
  for (int64_t b = 0; b < args.blocks; ++b) {
    kind.open(block);
    for (int step = 0; step < kStepsOfBlock; ++step) {
      __m512i fours[8];
      kind.columns(step, fours);
#pragma GCC unroll 8
      for (int four = 0; four < 8; ++four) _mm512_store_si512(to + four * 128, fours[four]);
      to += 8 * 128;
    }
    for (int group = 0; group < Kind::kGroups; ++group) {
      const int64_t at = (b * Kind::kGroups + group) * kPanelRows;
      _mm512_store_ps(args.scales + at, kind.scale(group));
      if constexpr (Kind::kOffsets) _mm512_store_ps(args.offsets + at, kind.offset(group));
    }
    block += Kind::kBlockBytes;
  }
}

/// Adds a format's kernels to the level's table.
template <typename Kind>
void add_packed_format(Kernels& table, const char* name) {
  add_packed_kernel(table, {name, unpack_strip<Kind>, dot_strips_of_rows<Kind>, kMostRowsOf<Kind>});
}

#endif

}  // namespace corbel::cpu::CORBEL_ISA
