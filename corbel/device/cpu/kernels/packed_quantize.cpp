#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

// Rows of x into int8 tiles. First the scales of some blocks of all rows, then their integers.

namespace corbel::cpu::CORBEL_ISA {
namespace {

constexpr int kVectors = kBlockColumns / kWidth;
constexpr float kSmallest = 0x1p-100F;  // kSmallestQuantized of corbel/ops/quantized_rows.h
constexpr float kMostFinite = 3.402823466e38F;
constexpr int64_t kBlocksAtOnce = 16;

CORBEL_INLINE Ints magnitude(Floats a) { return bit_and(as_ints(a), broadcast_int(0x7fffffff)); }

CORBEL_INLINE int32_t max_lane(Ints a) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_epi32(a.v);
#else
  float lanes[kWidth];
  store(lanes, as_floats(a));
  int32_t most = 0;
  for (int l = 0; l < kWidth; ++l) {
    int32_t lane;
    __builtin_memcpy(&lane, lanes + l, sizeof lane);
    most = lane > most ? lane : most;
  }
  return most;
#endif
}

/// The sums of 16 / groups of the 16 sums of 16 columns, for every wanted number of groups.
CORBEL_INLINE void store_sums(const QuantizedTile& tile, int64_t block, int64_t row, int32_t bias, float* sixteenths) {
  for (int grouping = kGroupings - 1; grouping >= 0; --grouping) {
    const int64_t groups = int64_t{1} << grouping;
    int32_t* const starts = tile.starts[grouping];
    float* const sums = tile.sums[grouping];
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t at = (block * groups + g) * tile.rows + row;
      if (starts != nullptr) starts[at] = -bias * static_cast<int32_t>(sixteenths[g]);
      if (sums != nullptr) sums[at] = sixteenths[g];
    }
    for (int64_t g = 0; g < groups / 2; ++g) sixteenths[g] = sixteenths[2 * g] + sixteenths[2 * g + 1];
  }
}

/// Vector `v` of a block of a row; zeros behind the row's end.
CORBEL_INLINE Floats load_part(const float* x, int64_t begin, int64_t in) {
  if (begin + kWidth <= in) return load(x + begin);
  return begin >= in ? zero() : load_first(x + begin, in - begin);
}

/// Scale of each block of a row, and what x is multiplied by. A pass of its own: the chain from a block's maximum to
/// its integers is long, and blocks do not wait for one another this way.
void scale_row(const QuantizeArgs& args, int64_t row, int64_t first, int64_t count, float* inverses) {
  const float* const x = args.x + row * args.x_stride;
  for (int64_t b = 0; b < count; ++b) {
    const int64_t begin = (first + b) * kBlockColumns;
    const bool whole = begin + kBlockColumns <= args.in;
    Ints largest[4];
    // The next row's values are often in another core's cache.
    const int64_t ahead = row + 1 < args.tile.rows ? args.x_stride : 0;
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      // Magnitudes as integers are in the same order, and what is not finite lies above all others.
      const int64_t at = begin + v * kWidth;
      const Ints values = magnitude(whole ? load(x + at) : load_part(x, at, args.in));
      largest[v % 4] = v < 4 ? values : max(largest[v % 4], values);
      __builtin_prefetch(x + at + ahead);
    }
    const int32_t bits = max_lane(max(max(largest[0], largest[1]), max(largest[2], largest[3])));
    __builtin_memcpy(inverses + b, &bits, sizeof bits);
  }
  for (int64_t b = 0; b < count; ++b) {
    const float m = inverses[b];
    const bool finite = m <= kMostFinite;
    const bool any = m >= kSmallest && finite;
    args.tile.scales[(first + b) * args.tile.rows + row] = any ? m / 127.0F : (finite ? 0.0F : __builtin_nanf(""));
    inverses[b] = any ? 127.0F / m : 0.0F;
  }
}

CORBEL_INLINE bool wants_only_whole(const QuantizedTile& tile) {
  return tile.starts[1] == nullptr && tile.starts[2] == nullptr && tile.starts[3] == nullptr &&
         tile.starts[4] == nullptr && tile.sums[0] == nullptr;
}

#if defined(__AVX512F__)

constexpr int32_t kBias = 128;
constexpr int kParts = 4;  // of 64 columns

/// 64 columns as bytes. Dword d has four d % 4 * 4 + d / 4 of them: the order two packings leave.
CORBEL_INLINE __m512i pack_part(const __m512i* integers) {
  return _mm512_packs_epi16(_mm512_packs_epi32(integers[0], integers[1]), _mm512_packs_epi32(integers[2], integers[3]));
}

/// One block of one row: its bytes, and its sums.
CORBEL_INLINE void quantize_block(const QuantizeArgs& args, int64_t row, int64_t block, float inverse, __m512i* bytes) {
  const float* const x = args.x + row * args.x_stride;
  const QuantizedTile& tile = args.tile;
  const bool whole = (block + 1) * kBlockColumns <= args.in;
  const bool any = inverse > 0.0F;  // else values may be such that their product with zero is none
  const bool only_whole = wants_only_whole(tile);
  __m512i sum = _mm512_setzero_si512();
  Floats rounded[kVectors];
#pragma GCC unroll 4
  for (int part = 0; part < kParts; ++part) {
    __m512i integers[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const int64_t begin = block * kBlockColumns + (part * 4 + v) * kWidth;
      const Floats values = !any ? zero() : (whole ? load(x + begin) : load_part(x, begin, args.in));
      integers[v] = _mm512_cvtps_epi32(mul(values, broadcast(inverse)).v);  // to nearest, ties to even
      if (!only_whole) rounded[part * 4 + v] = {_mm512_cvtepi32_ps(integers[v])};
    }
    bytes[part] = pack_part(integers);
    sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), bytes[part]);
  }
  if (only_whole) {
    tile.starts[0][block * tile.rows + row] = -kBias * _mm512_reduce_add_epi32(sum);
  } else {
    float sixteenths[kWidth];
    store(sixteenths, add_lanes_of_16(rounded));
    store_sums(tile, block, row, kBias, sixteenths);
  }
}

/// a[row] dword column -> a[column] dword row, sixteen of each.
CORBEL_INLINE void transpose(__m512i* a) {
  __m512i b[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
    b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
  }
  // c[4 q + k]: column 4 lane + k of rows 4 q .. 4 q + 3, lane by lane
  __m512i c[16];
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
    c[4 * q] = _mm512_unpacklo_epi64(b[4 * q], b[4 * q + 2]);
    c[4 * q + 1] = _mm512_unpackhi_epi64(b[4 * q], b[4 * q + 2]);
    c[4 * q + 2] = _mm512_unpacklo_epi64(b[4 * q + 1], b[4 * q + 3]);
    c[4 * q + 3] = _mm512_unpackhi_epi64(b[4 * q + 1], b[4 * q + 3]);
  }
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    const __m512i low01 = _mm512_shuffle_i32x4(c[k], c[4 + k], 0x44);
    const __m512i high01 = _mm512_shuffle_i32x4(c[k], c[4 + k], 0xee);
    const __m512i low23 = _mm512_shuffle_i32x4(c[8 + k], c[12 + k], 0x44);
    const __m512i high23 = _mm512_shuffle_i32x4(c[8 + k], c[12 + k], 0xee);
    a[k] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    a[4 + k] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
    a[8 + k] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    a[12 + k] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
  }
}

/// The bytes of a block's rows to where the tile has them: row after row of each four.
CORBEL_INLINE void store_block(const QuantizedTile& tile, int64_t block, const __m512i (*bytes)[kParts]) {
  int8_t* const to = tile.integers + block * kBlockFours * tile.rows * 4;
  const auto rows = static_cast<__mmask16>((1U << tile.rows) - 1);
#pragma GCC unroll 1
  for (int part = 0; part < kParts; ++part) {
    __m512i a[16];
#pragma GCC unroll 16
    for (int row = 0; row < 16; ++row) a[row] = row < tile.rows ? bytes[row][part] : _mm512_setzero_si512();
    transpose(a);
    int8_t* const place = to + part * 16 * tile.rows * 4;
    if (tile.rows == 16) {
#pragma GCC unroll 16
      for (int d = 0; d < 16; ++d) _mm512_storeu_si512(place + (d % 4 * 4 + d / 4) * 64, a[d]);
    } else {
#pragma GCC unroll 16
      for (int d = 0; d < 16; ++d) _mm512_mask_storeu_epi32(place + (d % 4 * 4 + d / 4) * tile.rows * 4, rows, a[d]);
    }
  }
}

void quantize_blocks(const QuantizeArgs& args, int64_t first, int64_t count) {
  const QuantizedTile& tile = args.tile;
  float inverses[kMostWideRows][kBlocksAtOnce];
  for (int64_t row = 0; row < tile.rows; ++row) scale_row(args, row, first, count, inverses[row]);
  __m512i bytes[kMostWideRows][kParts];
  for (int64_t b = 0; b < count; ++b) {
    for (int64_t row = 0; row < tile.rows; ++row) quantize_block(args, row, first + b, inverses[row][b], bytes[row]);
    if (tile.rows > 1) {
      store_block(tile, first + b, bytes);
      continue;
    }
    const __m512i in_columns = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part)
      _mm512_storeu_si512(tile.integers + (first + b) * kBlockColumns + part * 64,
                          _mm512_permutexvar_epi32(in_columns, bytes[0][part]));
  }
}

#else

constexpr int32_t kBias = 0;

/// Integers -127..127 as 16 bytes.
CORBEL_INLINE void store_bytes(int8_t* p, Floats rounded) {
  alignas(64) float lanes[kWidth];
  store(lanes, rounded);
  const __m128i a = _mm_cvtps_epi32(_mm_load_ps(lanes));
  const __m128i b = _mm_cvtps_epi32(_mm_load_ps(lanes + 4));
  const __m128i c = _mm_cvtps_epi32(_mm_load_ps(lanes + 8));
  const __m128i d = _mm_cvtps_epi32(_mm_load_ps(lanes + 12));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d)));
}

/// a[0] + ... + a[15], exact: integers.
CORBEL_INLINE Floats add_all(const Floats* a) {
  Floats sums[8];
#pragma GCC unroll 8
  for (int v = 0; v < 8; ++v) sums[v] = add(a[v], a[v + 8]);
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) sums[v] = add(sums[v], sums[v + 4]);
  return add(add(sums[0], sums[1]), add(sums[2], sums[3]));
}

#if defined(__AVX2__)
/// -kCodeBias times the sums of x over the pairs of each group; kCodeBias * 2 * 127 and twice that are int16.
CORBEL_INLINE void store_code_starts(const QuantizedTile& tile, int64_t block, int64_t row, const int8_t* bytes) {
  const auto store_dword = [&](int which, int64_t group, int32_t value) {
    if (tile.code_starts[which] == nullptr) return;
    const int64_t groups = code_groups(which);
    __builtin_memcpy(tile.code_starts[which] + ((block * groups + group) * tile.rows + row) * 2, &value, sizeof value);
  };
  for (int64_t part = 0; part < kBlockColumns / 32; ++part) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + part * 32));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(kCodeBias), x);
    const __m256i twos = _mm256_add_epi16(pairs, _mm256_shuffle_epi32(pairs, 0xb1));
    const __m256i eights = _mm256_sub_epi16(_mm256_setzero_si256(), twos);
    const __m256i sixteens = _mm256_add_epi16(eights, _mm256_shuffle_epi32(eights, 0x4e));
    store_dword(1, part * 4, _mm256_extract_epi32(eights, 0));
    store_dword(1, part * 4 + 1, _mm256_extract_epi32(eights, 2));
    store_dword(1, part * 4 + 2, _mm256_extract_epi32(eights, 4));
    store_dword(1, part * 4 + 3, _mm256_extract_epi32(eights, 6));
    store_dword(0, part * 2, _mm256_extract_epi32(sixteens, 0));
    store_dword(0, part * 2 + 1, _mm256_extract_epi32(sixteens, 4));
  }
}
#endif

/// Integers and sums of one block of one row.
CORBEL_INLINE void quantize_block(const QuantizeArgs& args, int64_t row, int64_t block, float inverse) {
  const float* const x = args.x + row * args.x_stride;
  const QuantizedTile& tile = args.tile;
  alignas(64) int8_t bytes[kBlockColumns];
  int8_t* const to = tile.integers + (block * kBlockFours * tile.rows + row) * 4;
  int8_t* const target = tile.rows == 1 ? to : bytes;
  Floats rounded[kVectors];
  const bool any = inverse > 0.0F;  // else values may be such that their product with zero is none
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
    const Floats values = any ? load_part(x, block * kBlockColumns + v * kWidth, args.in) : zero();
    rounded[v] = round_even(mul(values, broadcast(inverse)));
    store_bytes(target + v * kWidth, rounded[v]);
  }
  if (wants_only_whole(tile)) {
    tile.starts[0][block * tile.rows + row] = -kBias * static_cast<int32_t>(add_lanes(add_all(rounded)));
  } else {
    float sixteenths[kWidth];
    store(sixteenths, add_lanes_of_16(rounded));
    store_sums(tile, block, row, kBias, sixteenths);
  }
#if defined(__AVX2__)
  if (tile.code_starts[0] != nullptr || tile.code_starts[1] != nullptr) store_code_starts(tile, block, row, target);
#endif
  if (tile.rows == 1) return;
  for (int64_t four = 0; four < kBlockFours; ++four) __builtin_memcpy(to + four * tile.rows * 4, bytes + four * 4, 4);
}

void quantize_blocks(const QuantizeArgs& args, int64_t first, int64_t count) {
  float inverses[kBlocksAtOnce];
  for (int64_t row = 0; row < args.tile.rows; ++row) {
    scale_row(args, row, first, count, inverses);
    for (int64_t b = 0; b < count; ++b) quantize_block(args, row, first + b, inverses[b]);
  }
}

#endif

void quantize(const QuantizeArgs& args) {
  const int64_t end = args.first_block + args.blocks;
  for (int64_t first = args.first_block; first < end; first += kBlocksAtOnce)
    quantize_blocks(args, first, end - first < kBlocksAtOnce ? end - first : kBlocksAtOnce);
}

}  // namespace

void add_packed_quantize(Kernels& table) { table.packed.quantize = quantize; }

}  // namespace corbel::cpu::CORBEL_ISA
