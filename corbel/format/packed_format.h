#pragma once
#include <cstddef>
#include <cstdint>

#include "corbel/format/weight_format.h"

namespace corbel {

/// Packed formats: weights as kernels read them, in one layout for decode, small batches and prefill, for every level
/// of the cpu device. The matrix is cut into strips of 16 neighbouring rows (the last one padded with rows of zeros);
/// a strip is a run of blocks of 256 columns each (the last one padded with columns of zeros):
///
///   matrix [rows, columns] = strip 0 | strip 1 | ...       strip = block 0 | block 1 | ...      column blocks
///   ascending
///
/// One register of 64 bytes holds 16 rows x 4 columns of 8 bits: byte 4 r + c is row r, column 4 k + c. All planes of
/// bits keep that order, so that unpacking is masks and shifts, and a dot product of four columns at a time (vpdpbusd,
/// tdpbssd, sdot) sums each row in a lane of its own. Every block is a multiple of 64 bytes.
///
/// What a block of integers gives (unpack_row) is the int8 arithmetic of corbel/ops/linear.h: integers -127..127, and
/// per group of columns a scale and sometimes an offset: value = scale * integer + offset. Strips of floats
/// (float_strips.h) have the same 16 rows and 256 columns, and registers of 16 rows x 2 columns of 16 bits; read_row
/// gives what the f32 and bf16 arithmetic take: value = number, or scale * number.
inline constexpr std::int64_t kStripRows = 16;
inline constexpr std::int64_t kPackedColumns = 256;
inline constexpr int kMostGroups = 16;  // scales of a row and block

struct PackedCodec {
  int groups;        // scales of a row and block: 1, or one for each 256 / groups neighbouring columns; 0: no scales
  bool has_offsets;  // one per group
  /// Row `row` (0..15) of a block: integers [256], scales [groups], offsets [groups] (untouched without offsets).
  /// Null: strips of floats.
  void (*unpack_row)(const std::byte* block, int row, std::int8_t* integers, float* scales, float* offsets) noexcept;
  /// values f32 [16][256] into a block, each row on its own, by a plain rule that is fast and deterministic.
  /// Finite values only. Null: only an importer writes this format.
  void (*encode_block)(const float* values, std::byte* block) noexcept;
  /// Row `row` of a block of floats: numbers [256], scales [groups]. Null: strips of integers.
  void (*read_row)(const std::byte* block, int row, float* numbers, float* scales) noexcept = nullptr;
  bool numbers_are_bf16 = false;  // every number is a bfloat16: bf16 arithmetic takes them

  constexpr bool has_integers() const noexcept { return unpack_row != nullptr; }
  constexpr bool has_scales() const noexcept { return groups > 0; }
};

inline std::int64_t packed_strips(std::int64_t rows) noexcept { return (rows + kStripRows - 1) / kStripRows; }
inline std::int64_t packed_blocks(std::int64_t columns) noexcept {
  return (columns + kPackedColumns - 1) / kPackedColumns;
}
/// Bytes from one strip to the next.
inline std::int64_t strip_bytes(const WeightFormat& format, std::int64_t columns) noexcept {
  return packed_blocks(columns) * format.block_bytes;
}

}  // namespace corbel
