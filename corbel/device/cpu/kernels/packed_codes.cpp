#include "corbel/device/cpu/kernels/packed_bytes.h"

// Indexed weights (corbel/format/indexed_format.h) with registers of 256 bits: codes + kCodeBias are unsigned and at
// most 127, so that vpmaddubsw's pairs stay below 2 * 127 * 127 < 2^15. In 16 bits they are added modulo 2^16 from a
// start that takes the bias back: a group's true sum is at most 8 * 31 * 127, 8 * 25 * 127 or 4 * 63 * 127 < 2^15, so
// that it is exact in the end. vpmaddwd by the multiplier then gives the sums that other levels have.

namespace corbel::cpu::CORBEL_ISA {
namespace {

#if defined(__AVX2__) && !defined(__AVX512F__)

constexpr int64_t kGroupsOfRun = 8;  // multipliers of so many groups are in a dword of each row

CORBEL_INLINE __m256i both_lanes(const uint8_t* p) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
}

/// pairs += codes x columns in 16 bits. In the order written: left to itself GCC 12 has every product of a tile before
/// the first sum, on 16 registers.
CORBEL_INLINE void add_pairs(__m256i& pairs, __m256i codes, __m256i columns) {
  __m256i products;
  asm volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(pairs), "=&x"(products) : "x"(codes), "x"(columns));
}
/// sum += pairs x multipliers in 32 bits.
CORBEL_INLINE void add_group(__m256i& sum, __m256i pairs, const __m256i& multipliers) {
  __m256i products;
  asm volatile("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(pairs), "xm"(multipliers));
}

/// A block's codes and multipliers, eight of its sixteen rows at a time.
template <int kCodeBits, int kGroupColumns, int kPairs>
class Codes {
 public:
  static constexpr int64_t kGroup = kGroupColumns;
  static constexpr int64_t kGroups = kBlockColumns / kGroup;
  static constexpr int64_t kBlockBytes = kPairs * 128 + 2048 + (kCodeBits - 4) * 512;

  __attribute__((always_inline)) explicit Codes(const PackedTables& tables)
      : low_table_(both_lanes(tables.codes)),
        high_table_(both_lanes(tables.codes + 16)),
        multipliers_(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(tables.multipliers))) {}

  __attribute__((always_inline)) void open(const unsigned char* block, int64_t half) { block_ = block + half * 32; }

  __attribute__((always_inline)) __m256 scale() const {
    const __m256 words =
        _mm256_shuffle_ps(_mm256_castsi256_ps(line_at(block_)), _mm256_castsi256_ps(line_at(block_ + 64)), 0xdd);
    return _mm256_and_ps(words, _mm256_castsi256_ps(_mm256_set1_epi32(-0x10000)));
  }

  /// Begins groups 8 run .. 8 run + 7.
  __attribute__((always_inline)) void open_run(int64_t run) {
    constexpr int64_t kRuns = kGroups / kGroupsOfRun / kPairs;  // of a header
    const unsigned char* const header = block_ + run / kRuns * 128;
    const __m128i by = _mm_cvtsi32_si128(static_cast<int>(run % kRuns * kGroupsOfRun * kGroupBits));
    const __m256i first = _mm256_srl_epi64(line_at(header), by);
    const __m256i second = _mm256_srl_epi64(line_at(header + 64), by);
    bits_ = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(first), _mm256_castsi256_ps(second), 0x88));
  }
  /// Of one group after the other. vpermd takes 3 bits of its index: what stands above a group's need not be masked.
  __attribute__((always_inline)) __m256i next_multipliers() {
    const __m256i multipliers = _mm256_permutevar8x32_epi32(multipliers_, bits_);
    bits_ = _mm256_srli_epi32(bits_, kGroupBits);
    return multipliers;
  }

  /// Codes + kCodeBias of columns 8 eight .. 8 eight + 7, in ascending order.
  __attribute__((always_inline)) void next_columns(int64_t eight, __m256i* fours) {
    const __m256i nibbles = line_at(block_ + kPairs * 128 + eight * 64);
    const __m256i low = _mm256_set1_epi8(15);
    if constexpr (kCodeBits == 4) {
      fours[0] = _mm256_shuffle_epi8(low_table_, _mm256_and_si256(nibbles, low));
      fours[1] = _mm256_shuffle_epi8(low_table_, _mm256_and_si256(_mm256_srli_epi16(nibbles, 4), low));
    } else if constexpr (kCodeBits == 5) {
      if (eight % 4 == 0) high_ = line_at(block_ + kPairs * 128 + 2048 + eight / 4 * 64);
      fours[0] = of_32(_mm256_and_si256(nibbles, low), _mm256_slli_epi16(high_, 7));
      fours[1] = of_32(_mm256_and_si256(_mm256_srli_epi16(nibbles, 4), low), _mm256_slli_epi16(high_, 6));
      high_ = _mm256_srli_epi16(high_, 2);
    } else {  // 2 c, but 1 for code 0
      if (eight % 2 == 0) high_ = line_at(block_ + kPairs * 128 + 2048 + eight / 2 * 64);
      fours[0] = twice(_mm256_slli_epi16(nibbles, 1), _mm256_slli_epi16(high_, 5));
      fours[1] = twice(_mm256_srli_epi16(nibbles, 3), _mm256_slli_epi16(high_, 3));
      high_ = _mm256_srli_epi16(high_, 4);
    }
  }

 private:
  static constexpr int kGroupBits = 7 - kCodeBits;

  /// By the fifth bit, which stands highest in `high`.
  __attribute__((always_inline)) __m256i of_32(__m256i nibbles, __m256i high) const {
    return _mm256_blendv_epi8(_mm256_shuffle_epi8(low_table_, nibbles), _mm256_shuffle_epi8(high_table_, nibbles),
                              high);
  }
  __attribute__((always_inline)) static __m256i twice(__m256i low, __m256i high) {
    const __m256i code =
        _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(0x1e)), _mm256_and_si256(high, _mm256_set1_epi8(0x60)));
    return _mm256_max_epu8(code, _mm256_set1_epi8(1));
  }

  __m256i low_table_;
  __m256i high_table_;
  __m256i multipliers_;
  __m256i bits_;
  __m256i high_;
  const unsigned char* block_ = nullptr;
};

/// dots = fma(sum * scale, scale of x, dots); with nothing before the first block, dots begin at zero.
CORBEL_INLINE void add_block(float* dots, __m256i sum, __m256 scale, float x_scale, bool first) {
  const __m256 before = first ? _mm256_setzero_ps() : _mm256_loadu_ps(dots);
  const __m256 t = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
  _mm256_storeu_ps(dots, _mm256_fmadd_ps(t, _mm256_set1_ps(x_scale), before));
}

/// R rows of x against one strip after the other, half of its rows at a time.
template <typename Kind, int R>
__attribute__((noinline)) void dot_codes(const DirectArgs& args) {
  constexpr int64_t kEights = Kind::kGroup / 8;
  constexpr int64_t kRuns = Kind::kGroups / kGroupsOfRun;
  constexpr int64_t kRunLines = (Kind::kBlockBytes / 64 + 2 * kRuns - 1) / (2 * kRuns);
  const unsigned char* block = args.strips;
  Kind kind(*args.tables);
  for (int64_t strip = 0; strip < args.count; ++strip) {
    for (int64_t b = 0; b < args.blocks; ++b) {
      for (int64_t half = 0; half < 2; ++half) {
        const int8_t* x = args.x.integers + b * kBlockColumns * R;
        const int16_t* starts = args.x.code_starts[code_grouping(Kind::kGroup)] + b * Kind::kGroups * R * 2;
        kind.open(block, half);
        __m256i sums[R];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sums[r] = _mm256_setzero_si256();
        for (int64_t run = 0; run < kRuns; ++run) {
          kind.open_run(run);
          fetch_lines(block + kStripBytesAhead + (half * kRuns + run) * kRunLines * 64, kRunLines);
#pragma GCC unroll 4
          for (int64_t group = 0; group < kGroupsOfRun; ++group) {
            __m256i pairs[R];
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) pairs[r] = dword_at(starts + r * 2);
            starts += R * 2;
#pragma GCC unroll 2
            for (int64_t eight = 0; eight < kEights; ++eight) {
              __m256i fours[2];
              kind.next_columns((run * kGroupsOfRun + group) * kEights + eight, fours);
#pragma GCC unroll 2
              for (int four = 0; four < 2; ++four) {
#pragma GCC unroll 4
                for (int r = 0; r < R; ++r) add_pairs(pairs[r], fours[four], dword_at(x + (four * R + r) * 4));
              }
              x += 2 * R * 4;
            }
            const __m256i multipliers = kind.next_multipliers();
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) add_group(sums[r], pairs[r], multipliers);
          }
        }
        const __m256 scale = kind.scale();
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
          add_block(args.dots + r * args.stride + strip * 16 + half * 8, sums[r], scale, args.x.scales[b * R + r],
                    b == 0);
      }
      block += Kind::kBlockBytes;
    }
  }
}

/// R rows of x and sixteen rows of a panel, from row `from` on.
template <int64_t kGroup, int R>
__attribute__((noinline)) void code_tile(const PanelArgs& args, int64_t from) {
  constexpr int64_t kGroups = kBlockColumns / kGroup;
  const int8_t* x = args.x.integers;
  const float* x_scales = args.x.scales;
  const int16_t* starts = args.x.code_starts[code_grouping(kGroup)];
  const uint8_t* panel = args.panel + from * 4;
  const int32_t* multipliers = args.multipliers + from;
  const float* scales = args.scales + from;
  const unsigned char* fetch = args.fetch + from / 16 * args.blocks * (kBlockFours / 2) * args.fetch_step;
  for (int64_t block = 0; block < args.blocks; ++block) {
    __m256i sums[R][2];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
    for (int64_t group = 0; group < kGroups; ++group) {
      __m256i pairs[R][2];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) pairs[r][0] = pairs[r][1] = dword_at(starts + r * 2);
#pragma GCC unroll 4
      for (int64_t four = 0; four < kGroup / 4; ++four) {
        if (four % 2 == 0) {
          _mm_prefetch(reinterpret_cast<const char*>(fetch), _MM_HINT_T1);
          fetch += args.fetch_step;
        }
        const __m256i codes0 = line_at(panel + four * 128);
        const __m256i codes1 = line_at(panel + four * 128 + 32);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          const __m256i columns = dword_at(x + (four * R + r) * 4);
          add_pairs(pairs[r][0], codes0, columns);
          add_pairs(pairs[r][1], codes1, columns);
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        add_group(sums[r][0], pairs[r][0], *reinterpret_cast<const __m256i*>(multipliers));
        add_group(sums[r][1], pairs[r][1], *reinterpret_cast<const __m256i*>(multipliers + 8));
      }
      panel += kGroup * 32;
      x += kGroup * R;
      starts += R * 2;
      multipliers += kPanelRows;
    }
    const bool first = args.go_on == 0 && block == 0;
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      float* const dots = args.dots + r * kPanelRows + from;
      add_block(dots, sums[r][0], _mm256_load_ps(scales), x_scales[r], first);
      add_block(dots + 8, sums[r][1], _mm256_load_ps(scales + 8), x_scales[r], first);
    }
    x_scales += R;
    scales += kPanelRows;
  }
}

constexpr int kTileRows = 3;    // 3 x 2 sums in 16 bits and in 32, 2 codes, 1 x, 1 product: all 16 registers
constexpr int kDirectRows = 4;  // 4 sums in 16 bits and in 32, and what unpacking needs

template <typename Kind, int R = kDirectRows>
void dot_codes_of_rows(const DirectArgs& args) {
  if constexpr (R > 1) {
    if (args.x.rows < R) return dot_codes_of_rows<Kind, R - 1>(args);
  }
  dot_codes<Kind, R>(args);
}
template <int64_t kGroup, int R = kTileRows>
void run_code_panel(const PanelArgs& args) {
  if constexpr (R > 1) {
    if (args.x.rows < R) return run_code_panel<kGroup, R - 1>(args);
  }
  for (int64_t from = 0; from < kPanelRows; from += 16) code_tile<kGroup, R>(args, from);
}

template <typename Kind>
void unpack_codes(const UnpackArgs& args) {
  // Both halves in turns: a line of the panel is whole when it is left.
  const unsigned char* block = args.strip;
  Kind kinds[2] = {Kind(*args.tables), Kind(*args.tables)};
  for (int64_t b = 0; b < args.blocks; ++b) {
    uint8_t* panel = args.panel + b * kPanelBlockBytes;
    int32_t* const multipliers = args.multipliers + b * Kind::kGroups * kPanelRows;
#pragma GCC unroll 2
    for (int64_t half = 0; half < 2; ++half) kinds[half].open(block, half);
#pragma GCC unroll 4
    for (int64_t eight = 0; eight < kBlockColumns / 8; ++eight) {
#pragma GCC unroll 2
      for (int64_t half = 0; half < 2; ++half) {
        __m256i fours[2];
        kinds[half].next_columns(eight, fours);
        put_line(panel + half * 32, fours[0]);
        put_line(panel + half * 32 + 128, fours[1]);
      }
      panel += 256;
    }
#pragma GCC unroll 2
    for (int64_t half = 0; half < 2; ++half) {
      for (int64_t group = 0; group < Kind::kGroups; ++group) {
        if (group % kGroupsOfRun == 0) kinds[half].open_run(group / kGroupsOfRun);
        put_line(multipliers + group * kPanelRows + half * 8, kinds[half].next_multipliers());
      }
      _mm256_store_ps(args.scales + b * kPanelRows + half * 8, kinds[half].scale());
    }
    block += Kind::kBlockBytes;
  }
}

template <typename Kind>
void add_format(Kernels& table, const char* name) {
  add_packed_kernel(table, {name, unpack_codes<Kind>, dot_codes_of_rows<Kind>, kDirectRows,
                            run_code_panel<Kind::kGroup>, kTileRows, Kind::kGroup});
}

#endif

}  // namespace

void add_packed_codes([[maybe_unused]] Kernels& table) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  add_format<Codes<4, 16, 1>>(table, "w4g16");
  add_format<Codes<4, 8, 2>>(table, "w4g8");
  add_format<Codes<5, 16, 1>>(table, "w5g16");
  add_format<Codes<6, 8, 1>>(table, "w6g8");
#endif
}

}  // namespace corbel::cpu::CORBEL_ISA
