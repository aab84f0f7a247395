#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "corbel/format/packed_format.h"

/// The int8 arithmetic of linear.h as plain loops.
namespace corbel {

inline constexpr float kSmallestQuantized = 0x1p-100F;  // blocks with no larger magnitude count as zeros

/// A row of x in integers: [blocks * 256], zeros behind the end, and a scale per block.
struct QuantizedRow {
  QuantizedRow(const float* x, std::int64_t count)
      : integers(static_cast<std::size_t>(packed_blocks(count) * kPackedColumns)),
        scales(static_cast<std::size_t>(packed_blocks(count))) {
    for (std::int64_t begin = 0; begin < count; begin += kPackedColumns) {
      const std::int64_t end = std::min(count, begin + kPackedColumns);
      float largest = 0.0F;
      bool finite = true;
      for (std::int64_t i = begin; i < end; ++i) {
        finite = finite && std::isfinite(x[i]);
        largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
      }
      float& scale = scales[static_cast<std::size_t>(begin / kPackedColumns)];
      if (!finite) scale = NAN;
      if (!finite || largest < kSmallestQuantized) continue;
      scale = largest / 127.0F;
      const float inverse = 127.0F / largest;
      for (std::int64_t i = begin; i < end; ++i)
        integers[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(std::nearbyint(x[i] * inverse));
    }
  }
  std::vector<std::int8_t> integers;
  std::vector<float> scales;
};

/// One row of a packed weight, unpacked.
class PackedWeightRow {
 public:
  explicit PackedWeightRow(std::int64_t columns)
      : blocks_(packed_blocks(columns)),
        integers_(static_cast<std::size_t>(blocks_ * kPackedColumns)),
        scales_(static_cast<std::size_t>(blocks_ * kMostGroups)),
        offsets_(static_cast<std::size_t>(blocks_ * kMostGroups)) {}

  void unpack(const std::byte* matrix, const WeightFormat& format, std::int64_t row) noexcept {
    codec_ = format.packed;
    const std::byte* block = matrix + row / kStripRows * blocks_ * format.block_bytes;
    for (std::int64_t b = 0; b < blocks_; ++b, block += format.block_bytes) {
      codec_->unpack_row(block, static_cast<int>(row % kStripRows), integers_.data() + b * kPackedColumns,
                         scales_.data() + b * kMostGroups, offsets_.data() + b * kMostGroups);
    }
  }

  std::int64_t blocks() const noexcept { return blocks_; }
  const PackedCodec& codec() const noexcept { return *codec_; }
  const std::int8_t* integers(std::int64_t block) const noexcept { return integers_.data() + block * kPackedColumns; }
  const float* scales(std::int64_t block) const noexcept { return scales_.data() + block * kMostGroups; }
  const float* offsets(std::int64_t block) const noexcept { return offsets_.data() + block * kMostGroups; }

 private:
  std::int64_t blocks_;
  const PackedCodec* codec_ = nullptr;
  std::vector<std::int8_t> integers_;
  std::vector<float> scales_;
  std::vector<float> offsets_;
};

inline float dot_int8(const QuantizedRow& x, const PackedWeightRow& weight) noexcept {
  const int groups = weight.codec().groups;
  const std::int64_t columns = kPackedColumns / groups;
  float y = 0.0F;
  for (std::int64_t b = 0; b < weight.blocks(); ++b) {
    const std::int8_t* xq = x.integers.data() + b * kPackedColumns;
    const std::int8_t* w = weight.integers(b);
    float t = 0.0F;
    for (int g = 0; g < groups; ++g) {
      std::int32_t products = 0;
      std::int32_t sum = 0;
      for (std::int64_t i = g * columns; i < (g + 1) * columns; ++i) {
        products += std::int32_t{xq[i]} * w[i];
        sum += xq[i];
      }
      t = std::fma(static_cast<float>(products), weight.scales(b)[g], t);
      if (weight.codec().has_offsets) t = std::fma(static_cast<float>(sum), weight.offsets(b)[g], t);
    }
    y = std::fma(t, x.scales[static_cast<std::size_t>(b)], y);
  }
  return y;
}

}  // namespace corbel
