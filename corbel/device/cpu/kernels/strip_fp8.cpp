#include "corbel/device/cpu/kernels/strip_rows.h"

// fp8g128 (corbel/format/fp8.h) in bf16 arithmetic: per group of 128 columns one sum of pairs, ascending, then y =
// fma(sum, scale, y). Few rows of x read strips as they are stored, where a level has the instructions; more go by a
// panel of bf16 pairs, [pair][two strips][16 rows], with the groups' scales behind it, [group][two strips][16 rows].

namespace corbel::cpu::CORBEL_ISA {
namespace {

constexpr int64_t kGroupColumns = 128;
constexpr int64_t kGroupPairs = 64;
constexpr int64_t kGroupLines = 32;  // of a strip
constexpr int64_t kHeaderBytes = 128;
constexpr int64_t kBlockBytes = kHeaderBytes + 4096;
constexpr int64_t kGroupPanelBytes = kGroupPairs * 128;

CORBEL_INLINE int64_t groups_of(int64_t in) { return (in + kGroupColumns - 1) / kGroupColumns; }
CORBEL_INLINE const unsigned char* scales_at(const unsigned char* strip, int64_t group) {
  return strip + group / 2 * kBlockBytes + group % 2 * 64;
}
CORBEL_INLINE const unsigned char* lines_at(const unsigned char* strip, int64_t group) {
  return strip + group / 2 * kBlockBytes + kHeaderBytes + group % 2 * (kGroupLines * 64);
}

/// The bfloat16 of each E4M3 magnitude, as bytes.
struct alignas(64) Halves {
  uint8_t low[128];
  uint8_t high[128];
};
constexpr Halves make_halves() {
  Halves halves{};
  for (unsigned m = 0; m < 128; ++m) {
    unsigned bits = 0x7fc0;  // NaN
    if (m < 8) {
      // m * 2^-9, made normal.
      unsigned mantissa = m << 4;  // 7 bits and the leading one
      unsigned exponent = 127 - 9 + 3;
      while (mantissa != 0 && mantissa < 128) {
        mantissa <<= 1;
        --exponent;
      }
      bits = m == 0 ? 0 : (exponent << 7 | (mantissa & 127));
    } else if (m < 127) {
      bits = (m << 4) + (120U << 7);
    }
    halves.low[m] = static_cast<uint8_t>(bits & 255);
    halves.high[m] = static_cast<uint8_t>(bits >> 8);
  }
  return halves;
}
constexpr Halves kHalves = make_halves();
static_assert(kHalves.high[1] == 0x3b && kHalves.low[1] == 0x00);    // 2^-9
static_assert(kHalves.high[56] == 0x3f && kHalves.low[56] == 0x80);  // 1
static_assert(kHalves.high[126] == 0x43 && kHalves.low[126] == 0xe0);

#if defined(__AVX512F__)
/// A line of four columns as two registers of pairs.
class Unpacker {
 public:
  __attribute__((always_inline)) Unpacker()
      : low_{_mm512_load_si512(kHalves.low), _mm512_load_si512(kHalves.low + 64)},
        high_{_mm512_load_si512(kHalves.high), _mm512_load_si512(kHalves.high + 64)} {}
  __attribute__((always_inline)) void pairs(const unsigned char* line, Ints* two) const {
    const __m512i codes = _mm512_load_si512(line);
    const __m512i low = _mm512_permutex2var_epi8(low_[0], codes, low_[1]);
    const __m512i magnitude = _mm512_permutex2var_epi8(high_[0], codes, high_[1]);
    const __m512i high = _mm512_ternarylogic_epi32(magnitude, codes, _mm512_set1_epi8(-128), 0xf8);  // a | (b & c)
    two[0] = {_mm512_unpacklo_epi8(low, high)};
    two[1] = {_mm512_unpackhi_epi8(low, high)};
  }

 private:
  __m512i low_[2];
  __m512i high_[2];
};
#else
class Unpacker {
 public:
  CORBEL_INLINE void unpack(const unsigned char* line, uint16_t* numbers, int p) {
    for (int row = 0; row < 16; ++row) {
      for (int c = 0; c < 2; ++c) {
        const unsigned code = line[row / 4 * 16 + p * 8 + row % 4 * 2 + c];
        numbers[row * 2 + c] =
            static_cast<uint16_t>(kHalves.low[code & 127] | (kHalves.high[code & 127] | (code & 128)) << 8);
      }
    }
  }
  __attribute__((always_inline)) void pairs(const unsigned char* line, Ints* two) const {
    uint16_t numbers[32];
    for (int p = 0; p < 2; ++p) {
      unpack(line, numbers, p);
      two[p] = load_pairs(numbers);
    }
  }
};
#endif

CORBEL_INLINE void store_pairs(void* p, Ints pairs) { store(static_cast<float*>(p), as_floats(pairs)); }

void unpack(const StripArgs& args, void* panel) {
  const Unpacker unpacker;
  const int64_t groups = groups_of(args.in);
  auto* const lines = static_cast<unsigned char*>(panel);
  auto* const scales = reinterpret_cast<float*>(lines + groups * kGroupPanelBytes);
  for (int half = 0; half < 2; ++half) {
    const unsigned char* const strip = args.strips + (half < args.count ? half : 0) * args.strip_bytes;
    for (int64_t group = 0; group < groups; ++group) {
      const unsigned char* const from = lines_at(strip, group);
      unsigned char* to = lines + group * kGroupPanelBytes + half * 64;
      for (int64_t line = 0; line < kGroupLines; ++line, to += 256) {
        Ints two[2];
        unpacker.pairs(from + line * 64, two);
        store_pairs(to, two[0]);
        store_pairs(to + 128, two[1]);
      }
      store(scales + group * kStripPanelRows + half * kWidth,
            load(reinterpret_cast<const float*>(scales_at(strip, group))));
    }
  }
}

#if defined(__AVX512BF16__)
struct Pairs {
  using Weights = Ints;
  static constexpr bool kFlushes = false;
  static constexpr int kXFloats = 1;
  CORBEL_INLINE Weights weights(Ints pairs) { return pairs; }
  CORBEL_INLINE Floats step(Weights w, const float* x, int, Floats sum) {
    int32_t pair;
    __builtin_memcpy(&pair, x, sizeof pair);
    return {
        _mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(w.v), reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)))};
  }
  CORBEL_INLINE void read_x(Ints pairs, Floats* parts) { parts[0] = as_floats(pairs); }
};
#endif

/// The same by two multiply-adds with subnormals off.
struct Split {
  struct Weights {
    Floats odd;
    Floats even;
  };
  static constexpr bool kFlushes = true;
  static constexpr int kXFloats = 2;
  CORBEL_INLINE Weights weights(Ints pairs) { return {odd_of_pairs(pairs), even_of_pairs(pairs)}; }
  CORBEL_INLINE Floats step(Weights w, const float* x, int rows, Floats sum) {
    return fma(w.even, broadcast(x[rows]), fma(w.odd, broadcast(x[0]), sum));
  }
  CORBEL_INLINE void read_x(Ints pairs, Floats* parts) {
    parts[0] = odd_of_pairs(pairs);
    parts[1] = even_of_pairs(pairs);
  }
};

#if defined(__AVX512F__)
constexpr int kHalvesAtOnce = 2;
#else
constexpr int kHalvesAtOnce = 1;
#endif

/// Sums of one group: [kHalvesAtOnce][R].
template <typename Kind, int R>
__attribute__((noinline)) void sum_group(const float* x, const unsigned char* panel, Floats* sums) {
  Floats sum[kHalvesAtOnce][R];
#pragma GCC unroll 2
  for (int h = 0; h < kHalvesAtOnce; ++h)
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) sum[h][r] = zero();
  for (int64_t pair = 0; pair < kGroupPairs; ++pair) {
    typename Kind::Weights weights[kHalvesAtOnce];
#pragma GCC unroll 2
    for (int h = 0; h < kHalvesAtOnce; ++h) weights[h] = Kind::weights(load_pairs(panel + h * 64));
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int h = 0; h < kHalvesAtOnce; ++h) sum[h][r] = Kind::step(weights[h], x + r, R, sum[h][r]);
    panel += 128;
    x += R * Kind::kXFloats;
  }
#pragma GCC unroll 2
  for (int h = 0; h < kHalvesAtOnce; ++h)
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) sums[h * R + r] = sum[h][r];
}

template <typename Kind, int R>
void panel_of_rows(const StripArgs& args) {
  const int64_t groups = groups_of(args.in);
  const auto* const panel = static_cast<const unsigned char*>(args.panel);
  const auto* const scales = reinterpret_cast<const float*>(panel + groups * kGroupPanelBytes);
  for (int first = 0; first < 2 && first < args.count; first += kHalvesAtOnce) {
    Floats y[kHalvesAtOnce * R];
    for (Floats& one : y) one = zero();
    for (int64_t group = 0; group < groups; ++group) {
      Floats sums[kHalvesAtOnce * R];
      const float* const x = static_cast<const float*>(args.x) + group * kGroupPairs * R * Kind::kXFloats;
      const unsigned char* const lines = panel + group * kGroupPanelBytes + first * 64;
      if constexpr (Kind::kFlushes) {
        const FlushedScope flushed;
        sum_group<Kind, R>(x, lines, sums);
      } else {
        sum_group<Kind, R>(x, lines, sums);
      }
      for (int h = 0; h < kHalvesAtOnce; ++h) {
        const Floats scale = load(scales + group * kStripPanelRows + (first + h) * kWidth);
        for (int r = 0; r < R; ++r) y[h * R + r] = fma(sums[h * R + r], scale, y[h * R + r]);
      }
    }
    for (int h = 0; h < kHalvesAtOnce && first + h < args.count; ++h)
      for (int r = 0; r < R; ++r) store(args.dots + r * args.stride + (first + h) * kWidth, y[h * R + r]);
  }
}

template <typename Kind, int R = kStripTileRows>
void dot_panel(const StripArgs& args) {
  if constexpr (R > 1) {
    if (args.rows < R) return dot_panel<Kind, R - 1>(args);
  }
  panel_of_rows<Kind, R>(args);
}

#if defined(__AVX512BF16__)
constexpr int kMostDirect = 8;

/// Strips as they are stored: one sum a row is one long chain, so that four strips (two, with many rows) go side by
/// side.
template <int R>
__attribute__((noinline)) void direct_of_rows(const StripArgs& args) {
  constexpr int S = R <= 4 ? 4 : 2;
  constexpr int64_t kBytesAhead = 2048;
  const Unpacker unpacker;
  const int64_t groups = groups_of(args.in);
  for (int64_t strip = 0; strip < args.count; strip += S) {
    const unsigned char* strips[S];
    Floats y[S][R];
    for (int s = 0; s < S; ++s) {
      const int64_t taken = strip + s < args.count ? strip + s : args.count - 1;
      strips[s] = args.strips + taken * args.strip_bytes;
      for (int r = 0; r < R; ++r) y[s][r] = zero();
    }
    const auto* x = static_cast<const float*>(args.x);
    for (int64_t group = 0; group < groups; ++group) {
      Floats sum[S][R];
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[s][r] = zero();
      const int64_t from = group / 2 * kBlockBytes + kHeaderBytes + group % 2 * (kGroupLines * 64);
      for (int64_t line = 0; line < kGroupLines; ++line) {
#pragma GCC unroll 4
        for (int s = 0; s < S; ++s) {
          Ints two[2];
          const unsigned char* const at = strips[s] + from + line * 64;
          _mm_prefetch(reinterpret_cast<const char*>(at + kBytesAhead), _MM_HINT_T0);
          unpacker.pairs(at, two);
#pragma GCC unroll 2
          for (int p = 0; p < 2; ++p)
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) sum[s][r] = Pairs::step(two[p], x + p * R + r, R, sum[s][r]);
        }
        x += 2 * R;
      }
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s) {
        const Floats scale = load(reinterpret_cast<const float*>(scales_at(strips[s], group)));
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) y[s][r] = fma(sum[s][r], scale, y[s][r]);
      }
    }
    for (int s = 0; s < S && strip + s < args.count; ++s)
      for (int r = 0; r < R; ++r) store(args.dots + r * args.stride + (strip + s) * kWidth, y[s][r]);
  }
}

template <int R = kMostDirect>
void dot_direct(const StripArgs& args) {
  if constexpr (R > 1) {
    if (args.rows < R) return dot_direct<R - 1>(args);
  }
  direct_of_rows<R>(args);
}
#endif

/// A tile: [pair][part of a pair][row], whole groups.
template <typename Kind>
void pack(const PackStripRowsArgs& args) {
  const int64_t rows = args.rows;
  auto* to = static_cast<float*>(args.tile);
  const int64_t padded = groups_of(args.in) * kGroupColumns;
  for (int64_t begin = 0; begin < padded; begin += 2 * kWidth, to += kWidth * Kind::kXFloats * rows) {
    Floats squares[Kind::kXFloats][kWidth];
    for (int64_t r = 0; r < rows; ++r) {
      Floats parts[Kind::kXFloats];
      Kind::read_x(load_rounded_pairs(args.x + r * args.x_stride, begin, args.in), parts);
      for (int part = 0; part < Kind::kXFloats; ++part) squares[part][r] = parts[part];
    }
    for (int part = 0; part < Kind::kXFloats; ++part) {
      for (int64_t r = rows; r < kWidth; ++r) squares[part][r] = zero();
      transpose(squares[part]);
      for (int pair = 0; pair < kWidth; ++pair)
        store_lanes(to + (pair * Kind::kXFloats + part) * rows, squares[part][pair], rows);
    }
  }
}

int64_t panel_bytes(int64_t in) { return groups_of(in) * (kGroupPanelBytes + kStripPanelRows * 4); }

template <typename Kind>
StripKernel& add_kernel(Kernels& table) {
  StripKernel* place = table.strips.formats;
  while (place->format != nullptr) ++place;
  place->format = "fp8g128";
  place->arithmetic = "bf16";
  place->splits = Kind::kFlushes ? 1 : 0;
  place->value_bytes = 2 * Kind::kXFloats;
  place->panel_bytes = panel_bytes;
  place->pack = pack<Kind>;
  place->unpack = unpack;
  place->dot_panel = dot_panel<Kind>;
  return *place;
}

}  // namespace

void add_strip_fp8(Kernels& table) {
#if defined(__AVX512BF16__)
  StripKernel& kernel = add_kernel<Pairs>(table);
  kernel.dot = dot_direct<>;
  kernel.most_direct_rows = kMostDirect;
#endif
  add_kernel<Split>(table);
}

}  // namespace corbel::cpu::CORBEL_ISA
