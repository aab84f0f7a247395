#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "corbel/format/packed_format.h"

namespace corbel {

/// Packed formats whose integers come out of a table. A weight has a code of `code_bits`, a group of neighbouring
/// columns of a row a multiplier of `group_bits`, a row of a block a scale:
///
///   value = scale[row] * integer,   integer = multipliers[group's bits] * codes[weight's bits]   (|integer| <= 127)
///
/// so that code_bits + group_bits = 7 bits index a table of 128 int8 (vpermi2b looks 64 of them up at once), every
/// block of 256 columns has one float scale, and decode, small batches and prefill see the same integers.
///
/// A block of 16 rows x 256 columns:
///   header lines   one 64-bit word per row and header pair, 8 words a line. A pair's first line has rows 0 1 4 5 8 9
///   12
///                  13, its second rows 2 3 6 7 10 11 14 15: taking dwords 0 and 2 of each 128 bits of both
///                  (vshufps 0x88) puts row r into dword r.
///                  bits 0..47   the multipliers' bits, group g at bit group_bits * g (pair p: groups from p * 16 on
///                               where 32 groups of 3 bits need two pairs)
///                  bits 48..63  pair 0: the scale as bfloat16, >= 0; pair 1: zero
///   low plane      32 lines; line j, byte 4 r + c: low nibble row r, column 8 j + c; high nibble column 8 j + 4 + c;
///                  bits 0..3 of the codes
///   high plane     of 6-bit codes: 16 lines; line i, byte 4 r + c, bits 2 t and 2 t + 1: row r, column 16 i + 4 t + c;
///                  bits 4 and 5 of the codes
///                  of 5-bit codes: 8 lines; line i, byte 4 r + c, bit t: row r, column 32 i + 4 t + c; bit 4
///
/// name   code  group              bits per weight
/// w4g16  4     16 columns, 3 bits  4 + 16 * 3 / 256 + 16 / 256 = 4.25
/// w4g8   4      8 columns, 3 bits  4 + 32 * 3 / 256 + 32 / 256 = 4.5
/// w5g16  5     16 columns, 2 bits  5 + 16 * 2 / 256 + 32 / 256 = 5.25
/// w6g8   6      8 columns, 1 bit   6 + 32 * 1 / 256 + 32 / 256 = 6.25
///
/// Codes of 2 and 3 bits are the same drawing (bits 0 and 1, then bit 2, in planes like the high ones above) with 5 and
/// 4 bits of multiplier, the table stays at 128: a format of 3 bits with a multiplier for 32 columns is 3.25 bits.
/// These layouts are on disk. Never change them: a new one is a new name.
struct IndexedLayout {
  int code_bits;                   // 2 .. 6
  int group_bits;                  // 7 - code_bits
  int group;                       // columns: 8, 16 or 32
  int header_pairs;                // of lines
  const std::int8_t* multipliers;  // [2^group_bits]
  const std::int8_t* codes;        // [2^code_bits], ascending

  constexpr int groups() const { return static_cast<int>(kPackedColumns) / group; }
  constexpr int header_bytes() const { return header_pairs * 128; }
  constexpr int block_bytes() const { return header_bytes() + 16 * static_cast<int>(kPackedColumns) * code_bits / 8; }
  /// Where group g's bits begin in its header pair.
  constexpr int groups_per_pair() const { return groups() / header_pairs; }
};

/// The layout of a format made of indexes; null for any other.
const IndexedLayout* indexed_layout(const WeightFormat& format) noexcept;

/// Integer of each index: [multiplier bits << code_bits | code].
std::array<std::int8_t, 128> index_table(const IndexedLayout& layout) noexcept;

/// One row of a block as its parts.
struct IndexedRow {
  std::uint16_t scale = 0;                           // bfloat16 bits
  std::array<std::uint8_t, 32> multipliers{};        // [groups] indexes into layout.multipliers
  std::array<std::uint8_t, kPackedColumns> codes{};  // indexes into layout.codes
};
/// Writes row `row` (0..15) of a block whose bytes were zero or this row's before.
void store_indexed_row(const IndexedLayout& layout, const IndexedRow& parts, int row, std::byte* block) noexcept;
/// Writes all of a block from its 16 rows: as store_indexed_row for each of them, many times as fast.
void store_indexed_block(const IndexedLayout& layout, const IndexedRow* rows, std::byte* block) noexcept;
IndexedRow load_indexed_row(const IndexedLayout& layout, const std::byte* block, int row) noexcept;

}  // namespace corbel
