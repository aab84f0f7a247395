#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "corbel/format/float_strips.h"
#include "corbel/format/fp8.h"

namespace corbel {
namespace {

constexpr std::int64_t kBlockBytes = kFp8HeaderBytes + kStripRows * kPackedColumns;

void read_row(const std::byte* block, int row, float* numbers, float* scales) noexcept {
  for (int g = 0; g < kFp8Groups; ++g) std::memcpy(scales + g, block + fp8_scale_offset(row, g), sizeof(float));
  for (int i = 0; i < kPackedColumns; ++i)
    numbers[i] = from_e4m3(std::to_integer<std::uint8_t>(block[fp8_code_offset(row, i)]));
}

void encode_block(const float* values, std::byte* block) noexcept {
  constexpr int kGroup = static_cast<int>(kPackedColumns) / kFp8Groups;
  for (int row = 0; row < kStripRows; ++row) {
    for (int g = 0; g < kFp8Groups; ++g) {
      const float* const x = values + row * kPackedColumns + g * kGroup;
      float largest = 0.0F;
      for (int i = 0; i < kGroup; ++i) largest = std::max(largest, std::fabs(x[i]));
      const float scale = largest / kMostE4m3;
      std::memcpy(block + fp8_scale_offset(row, g), &scale, sizeof scale);
      for (int i = 0; i < kGroup; ++i) {
        const std::uint8_t code = scale > 0.0F ? to_e4m3(x[i] / scale) : 0;
        block[fp8_code_offset(row, g * kGroup + i)] = static_cast<std::byte>(code);
      }
    }
  }
}

constexpr PackedCodec kCodec{.groups = kFp8Groups,
                             .has_offsets = false,
                             .unpack_row = nullptr,
                             .encode_block = encode_block,
                             .read_row = read_row,
                             .numbers_are_bf16 = true};
// The widest gap, 32 between 256 and 448, halved; 2^-20 for the roundings of scale, quotient and product.
constexpr WeightFormat kFp8G128{"fp8g128", kPackedColumns, kBlockBytes, 16.0 / 448 + 0x1p-20,
                                nullptr,   nullptr,        &kCodec};

}  // namespace

const WeightFormat& fp8g128_format() { return kFp8G128; }

float from_e4m3(std::uint8_t code) noexcept {
  const std::uint32_t sign = std::uint32_t{code} >> 7 << 31;
  const std::uint32_t magnitude = code & 0x7fU;
  if (magnitude == 0x7f) return std::bit_cast<float>(sign | 0x7fc00000U);
  if (magnitude < 8)
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-9F));
  return std::bit_cast<float>(sign | ((magnitude << 20) + (std::uint32_t{127 - 7} << 23)));
}

std::uint8_t to_e4m3(float value) noexcept {
  const auto sign = static_cast<std::uint8_t>(std::signbit(value) ? 0x80 : 0);
  if (std::isnan(value)) return static_cast<std::uint8_t>(sign | 0x7f);
  const float magnitude = std::min(std::fabs(value), kMostE4m3);
  if (magnitude < 0x1p-6F)
    return static_cast<std::uint8_t>(sign | static_cast<int>(std::nearbyint(magnitude * 0x1p9F)));
  const auto bits = std::bit_cast<std::uint32_t>(magnitude);
  const std::uint32_t rounded = bits + 0x7ffffU + (bits >> 20 & 1U);
  return static_cast<std::uint8_t>(sign | ((rounded >> 20) - (std::uint32_t{127 - 7} << 3)));
}

}  // namespace corbel
