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

/// A way to store the values of a weight. Data, not a class: adding one is a file and a line in the table of
/// weight_format.cpp. Formats are named on disk and compared by address in memory.
struct WeightFormat {
  std::string_view name;      // on disk and in messages: "f32", "bf16", "f16"
  std::int64_t block_values;  // values that are stored together; a row's length is a multiple of it
  std::int64_t block_bytes;
  double relative_error;  // worst |decode(encode(x)) - x| / |x| of a normal x inside the range
  /// `count` values, a multiple of block_values, read from `stored`.
  void (*decode)(const std::byte* stored, std::int64_t count, float* values) noexcept;
  void (*encode)(const float* values, std::int64_t count, std::byte* stored) noexcept;

  /// Bytes of `values` values; values is a multiple of block_values.
  std::int64_t bytes(std::int64_t values) const noexcept { return values / block_values * block_bytes; }
};

inline std::string to_string(const WeightFormat& format) { return std::string(format.name); }

/// All formats this build knows.
std::span<const WeightFormat* const> weight_formats();

/// By name on disk; an unknown one is refused with the list of known names.
Result<const WeightFormat*> find_weight_format(std::string_view name);

const WeightFormat& f32_format();
const WeightFormat& bf16_format();
const WeightFormat& f16_format();

}  // namespace corbel
