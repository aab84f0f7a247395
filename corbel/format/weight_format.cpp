#include "corbel/format/weight_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "corbel/format/gguf_packed.h"
#include "corbel/format/packed_format.h"
#include "corbel/tensor/dtype.h"

namespace corbel {
namespace {

// Files are little endian, and so are the machines we build for.
static_assert(std::endian::native == std::endian::little);

// Stored values may lie at any address (old safetensors files align nothing), so they are copied out byte by byte; the
// compiler makes one unaligned load of it.
template <typename Stored>
void decode_each(const std::byte* stored, std::int64_t count, float* values) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    Stored value;
    std::memcpy(&value, stored + i * sizeof(Stored), sizeof value);
    values[i] = to_float(value);
  }
}

void decode_f32(const std::byte* stored, std::int64_t count, float* values) noexcept {
  if (count > 0) std::memcpy(values, stored, static_cast<std::size_t>(count) * sizeof(float));
}

void encode_f32(const float* values, std::int64_t count, std::byte* stored) noexcept {
  if (count > 0) std::memcpy(stored, values, static_cast<std::size_t>(count) * sizeof(float));
}

void encode_bf16(const float* values, std::int64_t count, std::byte* stored) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    const bfloat16 value = to_bfloat16(values[i]);
    std::memcpy(stored + i * sizeof value, &value, sizeof value);
  }
}

void encode_f16(const float* values, std::int64_t count, std::byte* stored) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    const float16 value = to_float16(values[i]);
    std::memcpy(stored + i * sizeof value, &value, sizeof value);
  }
}

// Rounding to p bits of precision is worst at 1 + 2^-p, half-way between two neighbours: 2^-p / (1 + 2^-p).
constexpr WeightFormat kF32{"f32", 1, 4, 0.0, decode_f32, encode_f32};
constexpr WeightFormat kBf16{"bf16", 1, 2, 1.0 / 257.0, decode_each<bfloat16>, encode_bf16};
constexpr WeightFormat kF16{"f16", 1, 2, 1.0 / 2049.0, decode_each<float16>, encode_f16};

const std::array kFormats{&kF32, &kBf16, &kF16, &p_bf16_format(), &p_f16_format(), &fp8g128_format(), &w8_format(),
                          &w6g8_format(), &w5g16_format(), &w4g8_format(), &w4g16_format(),
                          // Rows of GGUF files, and their strips.
                          &q4_0_format(), &q4_1_format(), &q5_0_format(), &q5_1_format(), &q8_0_format(),
                          &iq4_nl_format(), &q4_k_format(), &q5_k_format(), &q6_k_format(), &iq4_xs_format(),
                          &p_q4_0_format(), &p_q4_1_format(), &p_q5_0_format(), &p_q5_1_format(), &p_q8_0_format(),
                          &p_iq4_nl_format(), &p_q4_k_format(), &p_q5_k_format(), &p_q6_k_format(), &p_iq4_xs_format()};

}  // namespace

std::span<const WeightFormat* const> weight_formats() { return kFormats; }

Result<const WeightFormat*> find_weight_format(std::string_view name) {
  std::string known;
  for (const WeightFormat* format : kFormats) {
    if (format->name == name) return format;
    known += cat(known.empty() ? "" : ", ", format->name);
  }
  return fail(Code::unsupported, cat("weight format \"", name.substr(0, 40), "\" is unknown; known: ", known));
}

std::int64_t WeightFormat::matrix_bytes(std::int64_t rows, std::int64_t columns) const noexcept {
  if (packed != nullptr) return packed_strips(rows) * strip_bytes(*this, columns);
  return rows * bytes(columns);
}

namespace {

/// Row `row` of a strip of floats.
void decode_float_row(const WeightFormat& format, const std::byte* block, std::int64_t columns, int row,
                      float* values) noexcept {
  float numbers[kPackedColumns];
  float scales[kMostGroups];
  const int groups = format.packed->groups;
  for (std::int64_t begin = 0; begin < columns; begin += kPackedColumns, block += format.block_bytes) {
    format.packed->read_row(block, row, numbers, scales);
    const std::int64_t count = std::min(kPackedColumns, columns - begin);
    for (std::int64_t i = 0; i < count; ++i)
      values[begin + i] = groups == 0 ? numbers[i] : scales[i * groups / kPackedColumns] * numbers[i];
  }
}

}  // namespace

void WeightFormat::decode_row(const std::byte* matrix, std::int64_t columns, std::int64_t row,
                              float* values) const noexcept {
  if (packed == nullptr) return decode(matrix + row * bytes(columns), columns, values);
  const std::byte* block = matrix + row / kStripRows * strip_bytes(*this, columns);
  if (!packed->has_integers())
    return decode_float_row(*this, block, columns, static_cast<int>(row % kStripRows), values);
  std::int8_t integers[kPackedColumns];
  float scales[kMostGroups];
  float offsets[kMostGroups] = {};
  const std::int64_t group = kPackedColumns / packed->groups;
  for (std::int64_t begin = 0; begin < columns; begin += kPackedColumns, block += block_bytes) {
    packed->unpack_row(block, static_cast<int>(row % kStripRows), integers, scales, offsets);
    const std::int64_t count = std::min(kPackedColumns, columns - begin);
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = scales[i / group] * static_cast<float>(integers[i]);
      values[begin + i] = packed->has_offsets ? value + offsets[i / group] : value;
    }
  }
}

bool WeightFormat::can_encode() const noexcept {
  return packed != nullptr ? packed->encode_block != nullptr : encode != nullptr;
}

void WeightFormat::encode_matrix(const float* values, std::int64_t rows, std::int64_t columns,
                                 std::byte* matrix) const noexcept {
  if (packed == nullptr) {
    for (std::int64_t row = 0; row < rows; ++row)
      encode(values + row * columns, columns, matrix + row * bytes(columns));
    return;
  }
  std::vector<float> block(static_cast<std::size_t>(kStripRows * kPackedColumns));
  for (std::int64_t first = 0; first < rows; first += kStripRows) {
    for (std::int64_t begin = 0; begin < columns; begin += kPackedColumns, matrix += block_bytes) {
      const std::int64_t count = std::min(kPackedColumns, columns - begin);
      std::fill(block.begin(), block.end(), 0.0F);
      for (std::int64_t row = first; row < std::min(rows, first + kStripRows); ++row)
        std::copy_n(values + row * columns + begin, count, block.data() + (row - first) * kPackedColumns);
      packed->encode_block(block.data(), matrix);
    }
  }
}

const WeightFormat& f32_format() { return kF32; }
const WeightFormat& bf16_format() { return kBf16; }
const WeightFormat& f16_format() { return kF16; }

}  // namespace corbel
