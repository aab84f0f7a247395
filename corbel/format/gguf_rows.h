#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "corbel/format/weight_format.h"
#include "corbel/tensor/dtype.h"

namespace corbel {

/// Formats of rows as they lie in GGUF files; read only. A row is blocks of 32 or 256 values, one after another, at any
/// address. Inside a block of 32, byte i of `low` has value i in its low nibble and value i + 16 in its high one.
///
///            bytes of a block of 32                       value(i)                    bits per weight
///   q4_0     d f16 | low[16]                              d * (c - 8)                 4.5
///   q4_1     d f16 | m f16 | low[16]                      d * c + m                   5
///   q5_0     d f16 | high u32 | low[16]                   d * (c - 16)                5.5   c's bit 4: bit i of high
///   q5_1     d f16 | m f16 | high u32 | low[16]           d * c + m                   6
///   q8_0     d f16 | c i8[32]                             d * c                       8.5
///   iq4_nl   d f16 | low[16]                              d * table[c]                4.5
///
/// Blocks of 256 have their nibbles by pairs of 32 values (q4_k, q5_k: byte 32 p + i of `low` has values 64 p + i and
/// 64 p + 32 + i), by sixteens (iq4_xs: as above) or by pairs of 64 (q6_k: byte 64 h + i has values 128 h + i and
/// 128 h + 64 + i):
///
///   q4_k     d f16 | m f16 | six[12] | low[128]           (d s) c - (m n)             4.5
///   q5_k     d f16 | m f16 | six[12] | high[32] | low[128]  (d s) c - (m n)           5.5   c's bit 4 of value 32 g +
///   i:
///                                                                                     bit g of byte i of high
///   q6_k     low[128] | high[64] | s i8[16] | d f16       (d s) (c - 32)              6.5625  bits 4, 5 of value
///                                                         128 h + 32 q + i: bits 2 q, 2 q + 1 of byte 32 h + i of high
///   iq4_xs   d f16 | sh u16 | sl[4] | low[128]            (d (s - 32)) table[c]       4.25
///
/// with s, n of each 32 values (q6_k: 16). six[] holds eight s and eight n of 6 bits: s[g] is bits 0..5 of byte g and
/// n[g] of byte 4 + g for g < 4; the others have bits 0..3 in byte 4 + g (s low, n high nibble) and bits 4, 5 at the
/// top of bytes g - 4 (s) and g (n). iq4_xs: s[g] has its low nibble in sl (byte g / 2, low nibble when g is even) and
/// bits 4, 5 in bits 2 g, 2 g + 1 of sh. table = -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113. All
/// products are rounded to f32 in the order of the brackets, but only the addition can be inexact. Source: the layouts
/// that GGUF files have; checked against gguf-py (tools/golden/gguf_blocks.py).
const WeightFormat& q4_0_format();
const WeightFormat& q4_1_format();
const WeightFormat& q5_0_format();
const WeightFormat& q5_1_format();
const WeightFormat& q8_0_format();
const WeightFormat& iq4_nl_format();
const WeightFormat& q4_k_format();
const WeightFormat& q5_k_format();
const WeightFormat& q6_k_format();
const WeightFormat& iq4_xs_format();

/// What the scales of a block are made of.
enum class GgufScales : std::uint8_t {
  plain,          // d
  with_minimum,   // d; offset m
  six_bit_pairs,  // d * s; offset -(m * n)
  six_bit,        // d * (s - 32)
  bytes,          // d * s
};

template <int kCount, int kZero>
constexpr std::array<std::int8_t, kCount> gguf_counted_from() {
  std::array<std::int8_t, kCount> integers{};
  for (int c = 0; c < kCount; ++c) integers[c] = static_cast<std::int8_t>(c - kZero);
  return integers;
}

/// What the integers of such a format are: value = scale * integers[code] + offset.
struct GgufRowLayout {
  int code_bits;  // 4, 5, 6 or 8
  int values;     // of a block: 32 or 256
  int group;      // values that share a scale: 32 or 16
  GgufScales scales;
  const std::int8_t* integers;  // [2^code_bits]; null: codes of 8 bits are the integers, as int8
};

/// The numbers that scales and offsets of a block are made of, as stored.
struct GgufBlockHeader {
  float16 d;
  float16 m;
  std::array<std::uint8_t, 16> s;
  std::array<std::uint8_t, 8> n;

  float scale(GgufScales kind, int group) const noexcept;
  float offset(GgufScales kind, int group) const noexcept;  // 0 where there is none
};

/// One block taken apart. What the format does not have is not touched.
struct GgufBlock {
  GgufBlockHeader header{};
  std::array<std::uint8_t, 256> codes;  // in the order of the columns
};

/// Integers by code.
inline constexpr auto kGgufFrom8 = gguf_counted_from<16, 8>();
inline constexpr auto kGgufFrom0 = gguf_counted_from<32, 0>();
inline constexpr auto kGgufFrom16 = gguf_counted_from<32, 16>();
inline constexpr auto kGgufFrom32 = gguf_counted_from<64, 32>();
inline constexpr std::array<std::int8_t, 16> kGgufUneven = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                            1,    13,   25,  38,  53,  69,  89,  113};

/// The layout of a format of this file; null for any other.
const GgufRowLayout* gguf_row_layout(const WeightFormat& format) noexcept;
/// Takes the block at `stored` apart. REQUIRES: gguf_row_layout(format) != nullptr.
void take_apart(const WeightFormat& format, const std::byte* stored, GgufBlock& block) noexcept;

inline int gguf_integer(const GgufRowLayout& layout, std::uint8_t code) noexcept {
  return layout.integers != nullptr ? layout.integers[code] : static_cast<std::int8_t>(code);
}

}  // namespace corbel
