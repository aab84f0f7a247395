#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "corbel/base/result.h"

/// How numbers are stored: weight formats with their encoders, decoders and error bounds, and the files that hold them
/// (safetensors, Hugging Face folders) behind one TensorSource.
namespace corbel {

struct PackedCodec;

/// A way to store the values of a weight. Data, not a class: adding one is a file and a line in the table of
/// weight_format.cpp. Formats are named on disk and compared by address in memory.
///
/// Two kinds: rows stored one after another (packed == nullptr), at any address; and strips of 16 rows laid out for
/// kernels (packed_format.h), at multiples of 64 bytes.
struct WeightFormat {
  std::string_view name;      // on disk and in messages: "f32", "bf16", "w4g16"
  std::int64_t block_values;  // values of a row that are stored together. Rows: a row's length is a multiple of it;
                              // strips: rows are padded to it
  std::int64_t block_bytes;   // of block_values values of one row; strips: of all 16 rows
  double relative_error;      // rows: worst |decode(encode(x)) - x| / |x| of a normal x inside the range; strips: worst
                              // error of a block / its largest magnitude
  /// `count` values, a multiple of block_values, read from `stored`. Null for strips.
  void (*decode)(const std::byte* stored, std::int64_t count, float* values) noexcept;
  /// Null for strips, and for rows that only other programs write.
  void (*encode)(const float* values, std::int64_t count, std::byte* stored) noexcept;
  const PackedCodec* packed = nullptr;

  /// Bytes of `values` values of a row or of rows without a gap; values is a multiple of block_values. Not for strips.
  std::int64_t bytes(std::int64_t values) const noexcept { return values / block_values * block_bytes; }
  /// Bytes of a matrix [rows, columns].
  std::int64_t matrix_bytes(std::int64_t rows, std::int64_t columns) const noexcept;
  /// One row of a matrix [any, columns] that begins at `matrix`, as f32 [columns].
  void decode_row(const std::byte* matrix, std::int64_t columns, std::int64_t row, float* values) const noexcept;
  /// A matrix f32 [rows, columns] by the format's plain encoder. REQUIRES: it has
  /// one. Quantizers (corbel/compile) do better than that.
  void encode_matrix(const float* values, std::int64_t rows, std::int64_t columns, std::byte* matrix) const noexcept;
  bool can_encode() const noexcept;
};

inline std::string to_string(const WeightFormat& format) { return std::string(format.name); }

/// All formats this build knows.
std::span<const WeightFormat* const> weight_formats();

/// By name on disk; an unknown one is refused with the list of known names.
Result<const WeightFormat*> find_weight_format(std::string_view name);

const WeightFormat& f32_format();
const WeightFormat& bf16_format();
const WeightFormat& f16_format();
const WeightFormat& p_bf16_format();  // corbel/format/float_strips.h
const WeightFormat& p_f16_format();
const WeightFormat& fp8g128_format();  // corbel/format/fp8.h
const WeightFormat& w8_format();       // corbel/format/w8_format.cpp
const WeightFormat& w4g16_format();    // corbel/format/indexed_format.h
const WeightFormat& w4g8_format();
const WeightFormat& w5g16_format();
const WeightFormat& w6g8_format();

}  // namespace corbel
