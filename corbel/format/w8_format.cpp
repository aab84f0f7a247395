#include <algorithm>
#include <cmath>
#include <cstring>

#include "corbel/format/packed_format.h"

// w8: 16 rows x 256 columns in 4160 bytes (8.125 bits per weight).
//   line 0        scale of each row, float32, >= 0
//   lines 1..64   line 1 + k, byte 4 r + c: row r, column 4 k + c as integer + 128 (1..255)
// value = scale * integer. |error| <= scale / 2 = largest magnitude of the row's block / 254.

namespace corbel {
namespace {

constexpr std::int64_t kScaleBytes = 64;
constexpr std::int64_t kBlockBytes = kScaleBytes + 16 * kPackedColumns;

void unpack_w8_row(const std::byte* block, int row, std::int8_t* integers, float* scales, float*) noexcept {
  std::memcpy(scales, block + row * 4, sizeof(float));
  for (int i = 0; i < kPackedColumns; ++i) {
    const auto stored = std::to_integer<int>(block[kScaleBytes + i / 4 * 64 + 4 * row + i % 4]);
    integers[i] = static_cast<std::int8_t>(stored - 128);
  }
}

void encode_w8_block(const float* values, std::byte* block) noexcept {
  for (int row = 0; row < kStripRows; ++row) {
    const float* x = values + row * kPackedColumns;
    float largest = 0.0F;
    for (int i = 0; i < kPackedColumns; ++i) largest = std::max(largest, std::fabs(x[i]));
    const float scale = largest / 127.0F;
    std::memcpy(block + row * 4, &scale, sizeof scale);
    for (int i = 0; i < kPackedColumns; ++i) {
      const float steps = scale > 0.0F ? std::nearbyint(x[i] / scale) : 0.0F;
      const int integer = static_cast<int>(std::clamp(steps, -127.0F, 127.0F));
      block[kScaleBytes + i / 4 * 64 + 4 * row + i % 4] = static_cast<std::byte>(integer + 128);
    }
  }
}

constexpr PackedCodec kCodec{1, false, unpack_w8_row, encode_w8_block};
// 2^-20 for the roundings of the scale and of the product.
constexpr WeightFormat kW8{"w8", kPackedColumns, kBlockBytes, 1.0 / 254 + 0x1p-20, nullptr, nullptr, &kCodec};

}  // namespace

const WeightFormat& w8_format() { return kW8; }

}  // namespace corbel
