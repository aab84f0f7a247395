#include "corbel/device/cpu/kernels/packed_bytes.h"

// Panels of weights against tiles of x. Per block of 256 columns: integer sums in registers, then t = sum * scale by
// groups, then dots = fma(t, scale of x, dots), as corbel/ops/linear.h orders.

namespace corbel::cpu::CORBEL_ISA {
namespace {

/// What a kernel walks over, block by block.
struct Walk {
  const int8_t* x;
  const float* x_scales;
  const int32_t* starts;
  const float* x_sums;
  const uint8_t* panel;
  const float* scales;
  const float* offsets;
  const unsigned char* fetch;
  int64_t fetch_step;
};

CORBEL_INLINE int grouping_of(int64_t groups) { return __builtin_ctzll(static_cast<unsigned long long>(groups)); }

CORBEL_INLINE Walk begin_walk(const PanelArgs& args) {
  const int grouping = grouping_of(args.groups);
  return {args.x.integers, args.x.scales, args.x.starts[grouping], args.x.sums[grouping], args.panel, args.scales,
          args.offsets,    args.fetch,    args.fetch_step};
}

/// To the second-level cache: the panel and x fill the first.
CORBEL_INLINE void fetch_line(Walk& at) {
  _mm_prefetch(reinterpret_cast<const char*>(at.fetch), _MM_HINT_T1);
  at.fetch += at.fetch_step;
}

#if defined(__AVX512F__)

/// dots = fma(t, scale of the row and block, dots); with nothing before the first block, dots begin at zero.
CORBEL_INLINE void add_block(float* dots, __m512 t, float x_scale, bool first) {
  const __m512 before = first ? _mm512_setzero_ps() : _mm512_loadu_ps(dots);
  _mm512_storeu_ps(dots, _mm512_fmadd_ps(t, _mm512_set1_ps(x_scale), before));
}

/// One group a block, R rows of x. With few rows several sums per output hide the instruction's latency.
template <int R>
__attribute__((noinline)) void whole_tile(const PanelArgs& args) {
  constexpr int kParts = R >= 4 ? 1 : (R == 3 ? 2 : 4 / R);
  Walk at = begin_walk(args);
  for (int64_t block = 0; block < args.blocks; ++block) {
    __m512i sum[kParts][R][2];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      sum[0][r][0] = sum[0][r][1] = _mm512_set1_epi32(at.starts[r]);
#pragma GCC unroll 4
      for (int part = 1; part < kParts; ++part) sum[part][r][0] = sum[part][r][1] = _mm512_setzero_si512();
    }
    for (int64_t four = 0; four < kBlockFours; four += kParts) {
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) {
        fetch_line(at);
        const __m512i w0 = _mm512_load_si512(at.panel + part * 128);
        const __m512i w1 = _mm512_load_si512(at.panel + part * 128 + 64);
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
          const __m512i x = four_of_x(at.x + (part * R + r) * 4);
          dot4(sum[part][r][0], w0, x);
          dot4(sum[part][r][1], w1, x);
        }
      }
      at.panel += kParts * 128;
      at.x += kParts * R * 4;
    }
    const __m512 scale0 = _mm512_load_ps(at.scales);
    const __m512 scale1 = _mm512_load_ps(at.scales + 16);
    const bool first = args.go_on == 0 && block == 0;
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int part = 1; part < kParts; ++part) {
        sum[0][r][0] = _mm512_add_epi32(sum[0][r][0], sum[part][r][0]);
        sum[0][r][1] = _mm512_add_epi32(sum[0][r][1], sum[part][r][1]);
      }
      float* const dots = args.dots + r * kPanelRows;
      add_block(dots, _mm512_mul_ps(_mm512_cvtepi32_ps(sum[0][r][0]), scale0), at.x_scales[r], first);
      add_block(dots + 16, _mm512_mul_ps(_mm512_cvtepi32_ps(sum[0][r][1]), scale1), at.x_scales[r], first);
    }
    at.starts += R;
    at.x_scales += R;
    at.scales += kPanelRows;
  }
}

/// Several groups a block, or one with an offset: R rows of x, sums of floats in registers.
template <int R, bool kOffsets>
__attribute__((noinline)) void grouped_tile(const PanelArgs& args) {
  Walk at = begin_walk(args);
  const int64_t fours = kBlockFours / args.groups;
  for (int64_t block = 0; block < args.blocks; ++block) {
    __m512 t[R][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) t[r][0] = t[r][1] = _mm512_setzero_ps();
    for (int64_t group = 0; group < args.groups; ++group) {
      __m512i sum[R][2];
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_set1_epi32(at.starts[r]);
      for (int64_t four = 0; four < fours; four += 2) {
#pragma GCC unroll 2
        for (int part = 0; part < 2; ++part) {
          fetch_line(at);
          const __m512i w0 = _mm512_load_si512(at.panel + part * 128);
          const __m512i w1 = _mm512_load_si512(at.panel + part * 128 + 64);
#pragma GCC unroll 6
          for (int r = 0; r < R; ++r) {
            const __m512i x = four_of_x(at.x + (part * R + r) * 4);
            dot4(sum[r][0], w0, x);
            dot4(sum[r][1], w1, x);
          }
        }
        at.panel += 256;
        at.x += 2 * R * 4;
      }
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const __m512 scale = _mm512_load_ps(at.scales + half * 16);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) t[r][half] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][half]), scale, t[r][half]);
        if constexpr (kOffsets) {
          const __m512 offset = _mm512_load_ps(at.offsets + half * 16);
#pragma GCC unroll 6
          for (int r = 0; r < R; ++r) t[r][half] = _mm512_fmadd_ps(_mm512_set1_ps(at.x_sums[r]), offset, t[r][half]);
        }
      }
      at.starts += R;
      at.scales += kPanelRows;
      if constexpr (kOffsets) {
        at.offsets += kPanelRows;
        at.x_sums += R;
      }
    }
    const bool first = args.go_on == 0 && block == 0;
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      float* const dots = args.dots + r * kPanelRows;
      add_block(dots, t[r][0], at.x_scales[r], first);
      add_block(dots + 16, t[r][1], at.x_scales[r], first);
    }
    at.x_scales += R;
  }
}

template <int R = kMostTileRows>
void run_whole(const PanelArgs& args) {
  if constexpr (R > 1) {
    if (args.x.rows < R) return run_whole<R - 1>(args);
  }
  whole_tile<R>(args);
}
template <bool kOffsets, int R = kMostGroupedRows>
void run_grouped(const PanelArgs& args) {
  if constexpr (R > 1) {
    if (args.x.rows < R) return run_grouped<kOffsets, R - 1>(args);
  }
  grouped_tile<R, kOffsets>(args);
}

constexpr int32_t kBias = 128;
constexpr int64_t kTileRows = kMostTileRows;
constexpr int64_t kGroupedRows = kMostGroupedRows;

#else

#if defined(__AVX2__)
CORBEL_INLINE IntPart part_load_bytes(const uint8_t* p) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}
CORBEL_INLINE IntPart part_magnitude(IntPart a) { return _mm256_abs_epi8(a); }
/// sum += |w| x (x with w's sign): pairs stay below 2 * 127 * 127 < 2^15.
CORBEL_INLINE IntPart part_dot4(IntPart sum, IntPart weights, IntPart magnitudes, IntPart x) {
  const __m256i pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(x, weights));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#else
CORBEL_INLINE IntPart part_load_bytes(const uint8_t* p) { return _mm_load_si128(reinterpret_cast<const __m128i*>(p)); }
CORBEL_INLINE IntPart part_magnitude(IntPart a) { return _mm_abs_epi8(a); }
CORBEL_INLINE IntPart part_dot4(IntPart sum, IntPart weights, IntPart magnitudes, IntPart x) {
  const __m128i pairs = _mm_maddubs_epi16(magnitudes, _mm_sign_epi8(x, weights));
  return _mm_add_epi32(sum, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
}
#endif

/// R rows of x and one register of weight rows, from row `from` of the panel on.
template <int R>
__attribute__((noinline)) void narrow_tile(const PanelArgs& args, int64_t from) {
  constexpr int64_t kStretch = 4;  // fours of the smallest group
  Walk at = begin_walk(args);
  // A line for every stretch: the first passes over the panel fetch all.
  const int64_t fetched = from / kPartWidth * args.blocks * (kBlockFours / kStretch);
  at.fetch += fetched * at.fetch_step;
  if (fetched >= args.blocks * kBlockFours) at.fetch_step = 0;
  at.panel += from * 4;
  at.scales += from;
  if (at.offsets != nullptr) at.offsets += from;
  const int64_t fours = kBlockFours / args.groups;
  for (int64_t block = 0; block < args.blocks; ++block) {
    Part t[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) t[r] = part_broadcast(0.0F);
    for (int64_t group = 0; group < args.groups; ++group) {
      IntPart sum[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[r] = part_broadcast_int(0);
      for (int64_t four = 0; four < fours; four += kStretch) {
        fetch_line(at);
#pragma GCC unroll 1
        for (int64_t i = 0; i < kStretch; ++i) {
          const IntPart weights = part_load_bytes(at.panel + i * 128);
          const IntPart magnitudes = part_magnitude(weights);
#pragma GCC unroll 4
          for (int r = 0; r < R; ++r) {
            int32_t x;
            __builtin_memcpy(&x, at.x + (i * R + r) * 4, 4);
            sum[r] = part_dot4(sum[r], weights, magnitudes, part_broadcast_int(x));
          }
        }
        at.panel += kStretch * 128;
        at.x += kStretch * R * 4;
      }
      const Part scale = part_load(at.scales);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) t[r] = fma(to_floats(sum[r]), scale, t[r]);
      if (at.offsets != nullptr) {
        const Part offset = part_load(at.offsets);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) t[r] = fma(part_broadcast(at.x_sums[r]), offset, t[r]);
        at.offsets += kPanelRows;
        at.x_sums += R;
      }
      at.scales += kPanelRows;
    }
    const bool first = args.go_on == 0 && block == 0;
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      float* const dots = args.dots + r * kPanelRows + from;
      part_store(dots, fma(t[r], part_broadcast(at.x_scales[r]), first ? part_broadcast(0.0F) : part_load(dots)));
    }
    at.x_scales += R;
  }
}

constexpr int32_t kBias = 0;
constexpr int64_t kTileRows = 4;
constexpr int64_t kGroupedRows = 4;

template <int R = 4>
void run_narrow(const PanelArgs& args) {
  if constexpr (R > 1) {
    if (args.x.rows < R) return run_narrow<R - 1>(args);
  }
  for (int64_t from = 0; from < kPanelRows; from += kPartWidth) narrow_tile<R>(args, from);
}

#endif

void run_panel(const PanelArgs& args) {
#if defined(__AVX512F__)
  if (args.offsets != nullptr) return run_grouped<true>(args);
  if (args.groups > 1) return run_grouped<false>(args);
  run_whole(args);
#else
  run_narrow(args);
#endif
}

}  // namespace

void add_packed_quantize(Kernels& table);
void add_packed_rows(Kernels& table);

void add_packed(Kernels& table) {
  table.packed.bias = kBias;
  table.packed.tile_rows = kTileRows;
  table.packed.grouped_tile_rows = kGroupedRows;
  table.packed.panel = run_panel;
  add_packed_quantize(table);
  add_packed_rows(table);
}

}  // namespace corbel::cpu::CORBEL_ISA
