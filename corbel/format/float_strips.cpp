#include "corbel/format/float_strips.h"

#include <cstring>

#include "corbel/tensor/dtype.h"

namespace corbel {
namespace {

using Offset = int (*)(int row, int column);

bfloat16 rounded(float value, bfloat16) noexcept { return to_bfloat16(value); }
float16 rounded(float value, float16) noexcept { return to_float16(value); }

template <typename Number, Offset kOffset>
void read_row(const std::byte* block, int row, float* numbers, float*) noexcept {
  for (int i = 0; i < kPackedColumns; ++i) {
    Number number;
    std::memcpy(&number, block + kOffset(row, i), sizeof number);
    numbers[i] = to_float(number);
  }
}

template <typename Number, Offset kOffset>
void encode_block(const float* values, std::byte* block) noexcept {
  for (int row = 0; row < kStripRows; ++row) {
    for (int i = 0; i < kPackedColumns; ++i) {
      const Number number = rounded(values[row * kPackedColumns + i], Number{});
      std::memcpy(block + kOffset(row, i), &number, sizeof number);
    }
  }
}

template <typename Number, Offset kOffset>
constexpr PackedCodec make_codec(bool numbers_are_bf16) {
  return {.groups = 0,
          .has_offsets = false,
          .unpack_row = nullptr,
          .encode_block = encode_block<Number, kOffset>,
          .read_row = read_row<Number, kOffset>,
          .numbers_are_bf16 = numbers_are_bf16};
}

constexpr PackedCodec kBf16Codec = make_codec<bfloat16, pair_offset>(true);
constexpr PackedCodec kF16Codec = make_codec<float16, half_line_offset>(false);
constexpr std::int64_t kBlockBytes = kStripRows * kPackedColumns * 2;
// As of rows; binary16 loses more of values below 2^-14.
constexpr WeightFormat kBf16{"p_bf16", kPackedColumns, kBlockBytes, 1.0 / 257.0, nullptr, nullptr, &kBf16Codec};
constexpr WeightFormat kF16{"p_f16", kPackedColumns, kBlockBytes, 1.0 / 2049.0, nullptr, nullptr, &kF16Codec};

}  // namespace

const WeightFormat& p_bf16_format() { return kBf16; }
const WeightFormat& p_f16_format() { return kF16; }

}  // namespace corbel
