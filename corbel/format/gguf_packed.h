#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "corbel/format/gguf_rows.h"
#include "corbel/format/packed_format.h"

namespace corbel {

/// The formats of gguf_rows.h as strips of 16 rows x 256 columns (packed_format.h): every bit of the source is kept,
/// only its place changes, so that a row decodes to the same bits. Groups of 32 columns (p_q6_k: 16) have float scales,
///   scale = d, d * s or d * (s - 32);  offset = m or -(m * n);  value = scale * integer + offset
/// and integers are those of the source: c - 8, c, c - 16, c - 32, table[c], or 8 bits as they are (-128 included).
///
/// A block, in lines of 64 bytes:
///   header
///     plain            4 lines: d of group g and row r as f16 at byte 32 g + 2 r
///     with minimum     8 lines: the same, then m alike
///     six-bit pairs    4 lines. Line 0: d of row r at byte 2 r, m at 32 + 2 r. With b = 16 (g % 4) + r: line 1, byte
///     b:
///                      s of group g, bits 0..3 (low nibble: g < 4, high: g + 4); line 2: n alike; line 3, byte b: bits
///                      4, 5 of s[g], s[g + 4], n[g], n[g + 4], two bits each from bit 0 on
///     six-bit          2 lines. Line 0: d of row r at byte 2 r; byte 32 + 16 (g % 2) + r: bits 4, 5 of s[g] from bit
///                      2 (g / 2) on. Line 1, byte 16 (g % 4) + r: bits 0..3, nibbles as above
///     bytes            5 lines. Line 0: d of row r at byte 2 r, then 32 zeros; from line 1 on, byte 16 g + r: s[g]
///   low plane          32 lines, as in indexed_format.h: line j, byte 4 r + c: low nibble row r, column 8 j + c; high
///                      nibble column 8 j + 4 + c; bits 0..3 of the codes
///   fifth bits         8 lines (codes of 5 bits): line i, byte 4 r + c, bit t: row r, column 32 i + 4 t + c
///   high plane         16 lines (codes of 6 bits), as in indexed_format.h: line i, byte 4 r + c, bits 2 t, 2 t + 1:
///                      column 16 i + 4 t + c
///   codes of 8 bits    64 lines instead of the planes, as in w8: line k, byte 4 r + c: row r, column 4 k + c, + 128
///
///             header           lines      bits per weight (the source's, but p_q6_k: 32 bytes fill the header's line)
///   p_q4_0    plain            4 + 32     4.5
///   p_iq4_nl  plain            4 + 32     4.5
///   p_q5_0    plain            4 + 40     5.5
///   p_q8_0    plain            4 + 64     8.5
///   p_q4_1    with minimum     8 + 32     5
///   p_q5_1    with minimum     8 + 40     6
///   p_q4_k    six-bit pairs    4 + 32     4.5
///   p_q5_k    six-bit pairs    4 + 40     5.5
///   p_iq4_xs  six-bit          2 + 32     4.25
///   p_q6_k    bytes            5 + 48     6.625 (6.5625)
///
/// AWQ and GPTQ store s * (c - z) with an f16 s and an integer z per group of 32, 64 or 128 columns (act-order: columns
/// sorted first): the lines of `with minimum`, s in place of d (repeated in groups of 32), z as f16 in place of m.
/// That is a format of its own, since s * z needs up to 16 bits and does not fit the f16 m exactly.
///
/// These layouts are on disk. Never change them: a new one is a new name.
const WeightFormat& p_q4_0_format();
const WeightFormat& p_q4_1_format();
const WeightFormat& p_q5_0_format();
const WeightFormat& p_q5_1_format();
const WeightFormat& p_q8_0_format();
const WeightFormat& p_iq4_nl_format();
const WeightFormat& p_q4_k_format();
const WeightFormat& p_q5_k_format();
const WeightFormat& p_q6_k_format();
const WeightFormat& p_iq4_xs_format();

struct PackedImportLayout {
  int code_bits;                // 4, 5, 6 or 8
  int groups;                   // 8, or 16 with GgufScales::bytes
  GgufScales scales;            // which header
  const std::int8_t* integers;  // [2^code_bits]; null: codes of 8 bits are the integers, as int8

  constexpr int header_bytes() const {
    switch (scales) {
      case GgufScales::plain:
      case GgufScales::six_bit_pairs: return 256;
      case GgufScales::with_minimum: return 512;
      case GgufScales::six_bit: return 128;
      case GgufScales::bytes: return 320;
    }
    return 0;
  }
  constexpr int block_bytes() const { return header_bytes() + 16 * static_cast<int>(kPackedColumns) * code_bits / 8; }
};

/// The layout of a format of this file; null for any other.
const PackedImportLayout* packed_import_layout(const WeightFormat& format) noexcept;

/// One row of a block as its parts. d and m: one per group for `plain` and `with_minimum`, else only the first.
struct PackedImportRow {
  std::array<std::uint8_t, kPackedColumns> codes{};
  std::array<float16, 8> d{};
  std::array<float16, 8> m{};
  std::array<std::uint8_t, 16> s{};
  std::array<std::uint8_t, 8> n{};
};
/// Writes row `row` (0..15) of a block whose bytes were zero or this row's before.
void store_import_row(const PackedImportLayout& layout, const PackedImportRow& parts, int row,
                      std::byte* block) noexcept;
PackedImportRow load_import_row(const PackedImportLayout& layout, const std::byte* block, int row) noexcept;

}  // namespace corbel
