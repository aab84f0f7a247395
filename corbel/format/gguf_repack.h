#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "corbel/format/weight_format.h"

namespace corbel {

/// From a format of rows (gguf_rows.h) to the strips that kernels read (gguf_packed.h), without loss: decoding a row
/// gives the same bits before and after.
struct Repacking {
  const WeightFormat* rows;    // "q4_k", ...
  const WeightFormat* strips;  // "p_q4_k", ...
  /// `count` (1..16) neighbouring rows [count, columns] from `source` into one strip of strip_bytes(*strips, columns)
  /// bytes; missing rows and columns become zeros. columns is a multiple of rows->block_values.
  void (*repack_strip)(const std::byte* source, int count, std::int64_t columns, std::byte* strip) noexcept;
};

std::span<const Repacking> repackings();
/// Null where `rows` has no strips of its own.
const Repacking* find_repacking(const WeightFormat& rows);

/// A whole matrix: strips->matrix_bytes(rows, columns) bytes at `packed`.
void repack_matrix(const Repacking& repacking, const std::byte* source, std::int64_t rows, std::int64_t columns,
                   std::byte* packed) noexcept;

}  // namespace corbel
