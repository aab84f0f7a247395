#include "corbel/format/packed_format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "corbel/format/indexed_format.h"

namespace corbel {
namespace {

std::vector<const WeightFormat*> packed_formats() {
  std::vector<const WeightFormat*> found;
  for (const WeightFormat* format : weight_formats())
    if (format->packed != nullptr && format->can_encode()) found.push_back(format);
  return found;
}

/// Stored and read back, row by row.
std::vector<float> round_trip(const WeightFormat& format, const std::vector<float>& values, std::int64_t rows,
                              std::int64_t columns) {
  std::vector<std::byte> stored(static_cast<std::size_t>(format.matrix_bytes(rows, columns)), std::byte{0xa5});
  format.encode_matrix(values.data(), rows, columns, stored.data());
  std::vector<float> decoded(values.size());
  for (std::int64_t row = 0; row < rows; ++row)
    format.decode_row(stored.data(), columns, row, decoded.data() + row * columns);
  return decoded;
}

TEST(PackedFormats, StayWithinTheirErrorAtSizesThatAreMultiplesOfNothing) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  for (const WeightFormat* format : packed_formats()) {
    for (const auto& [rows, columns] : {std::pair{1, 1},
                                        {1, 3},
                                        {3, 1},
                                        {3, 352},
                                        {352, 3},
                                        {3, 10036},
                                        {10036, 1},
                                        {17, 255},
                                        {33, 257},
                                        {16, 512}}) {
      std::vector<float> values(static_cast<std::size_t>(rows * columns));
      for (float& value : values) value = normal(random) * 0.02F;
      const std::vector<float> decoded = round_trip(*format, values, rows, columns);
      for (int row = 0; row < rows; ++row) {
        for (int begin = 0; begin < columns; begin += kPackedColumns) {
          const int end = std::min<int>(columns, begin + kPackedColumns);
          float largest = 0.0F;
          for (int i = begin; i < end; ++i) largest = std::max(largest, std::fabs(values[row * columns + i]));
          for (int i = begin; i < end; ++i) {
            // Half of binary16's smallest number: what it loses where a block's largest is below 2^-14.
            const double least = format == &p_f16_format() ? 0x1p-25 : 0.0;
            ASSERT_LE(std::fabs(decoded[row * columns + i] - values[row * columns + i]),
                      largest * format->relative_error + least)
                << format->name << " row " << row << " column " << i;
          }
        }
      }
    }
  }
}

TEST(PackedFormats, KeepZerosAndConstantsAndSurviveOneGiantAndTinyValues) {
  for (const WeightFormat* format : packed_formats()) {
    const std::vector<float> zeros(2 * 300, 0.0F);
    EXPECT_EQ(round_trip(*format, zeros, 2, 300), zeros) << format->name;
    std::vector<float> giant(256, 1e-4F);
    giant[77] = format == &p_f16_format() ? -3e4F : -3e37F;
    const std::vector<float> decoded = round_trip(*format, giant, 1, 256);
    EXPECT_NEAR(decoded[77] / giant[77], 1.0, 0.01) << format->name;
    const bool half = format == &p_f16_format();
    if (format->packed->has_scales()) {
      EXPECT_EQ(decoded[0], 0.0F) << format->name;
    }
    giant[77] = half ? 65504.0F : 3.38953139e38F;  // the largest half, the largest bfloat16
    EXPECT_NEAR(round_trip(*format, giant, 1, 256)[77] / giant[77], 1.0, format->relative_error) << format->name;
    const std::vector<float> constant(3 * 352, -0.75F);
    for (const float value : round_trip(*format, constant, 3, 352))
      ASSERT_NEAR(value, -0.75F, 0.75F * format->relative_error) << format->name;
    const float small = half ? 1e-4F : 1e-30F;
    const std::vector<float> tiny(256, small);
    EXPECT_NEAR(round_trip(*format, tiny, 1, 256)[9] / small, 1.0, format->relative_error) << format->name;
  }
}

TEST(PackedFormats, GiveIntegersAndScalesThatAreWhatDecodingMultiplies) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> values(16 * 256);
  for (float& value : values) value = normal(random);
  for (const WeightFormat* format : packed_formats()) {
    if (!format->packed->has_integers()) continue;
    std::vector<std::byte> block(static_cast<std::size_t>(format->block_bytes));
    format->packed->encode_block(values.data(), block.data());
    for (int row = 0; row < 16; ++row) {
      std::int8_t integers[256];
      float scales[kMostGroups];
      format->packed->unpack_row(block.data(), row, integers, scales, nullptr);
      float decoded[256];
      format->decode_row(block.data(), 256, row, decoded);
      for (int i = 0; i < 256; ++i) {
        ASSERT_NE(integers[i], -128);
        ASSERT_EQ(decoded[i], scales[i * format->packed->groups / 256] * static_cast<float>(integers[i]));
      }
    }
  }
}

TEST(IndexedFormats, StoreEveryCodeAndMultiplierWhereTheDrawingSays) {
  std::mt19937 random(7);
  for (const WeightFormat* format : packed_formats()) {
    const IndexedLayout* layout = indexed_layout(*format);
    if (layout == nullptr) continue;
    EXPECT_EQ(layout->block_bytes(), format->block_bytes);
    EXPECT_EQ(format->block_bytes % 64, 0);
    EXPECT_EQ(layout->code_bits + layout->group_bits, 7);
    std::vector<std::byte> block(static_cast<std::size_t>(format->block_bytes));
    std::vector<IndexedRow> rows(16);
    for (int row = 0; row < 16; ++row) {
      rows[row].scale = static_cast<std::uint16_t>(random());
      for (int g = 0; g < layout->groups(); ++g)
        rows[row].multipliers[g] = static_cast<std::uint8_t>(random() % (1U << layout->group_bits));
      for (auto& code : rows[row].codes) code = static_cast<std::uint8_t>(random() % (1U << layout->code_bits));
      store_indexed_row(*layout, rows[row], row, block.data());
    }
    // The first line of the low plane, by hand: columns 0..3 in low nibbles, 4..7 in high ones.
    for (int row = 0; row < 16; ++row) {
      for (int c = 0; c < 4; ++c) {
        const auto byte = std::to_integer<int>(block[layout->header_bytes() + 4 * row + c]);
        EXPECT_EQ(byte & 15, rows[row].codes[c] & 15);
        EXPECT_EQ(byte >> 4, rows[row].codes[4 + c] & 15);
      }
    }
    // Row 7 has the fourth word of the second line.
    EXPECT_EQ(std::to_integer<int>(block[64 + 3 * 8 + 6]) | std::to_integer<int>(block[64 + 3 * 8 + 7]) << 8,
              rows[7].scale);
    for (int row = 0; row < 16; ++row) {
      const IndexedRow read = load_indexed_row(*layout, block.data(), row);
      EXPECT_EQ(read.scale, rows[row].scale);
      EXPECT_EQ(read.codes, rows[row].codes);
      EXPECT_EQ(read.multipliers, rows[row].multipliers);
    }
  }
}

TEST(IndexedFormats, HaveRoomForCodesOfTwoAndThreeBits) {
  std::mt19937 random(23);
  constexpr std::int8_t kAny[32] = {};
  for (const auto& [layout, bits] : {std::pair{IndexedLayout{2, 5, 32, 1, kAny, kAny}, 2.25},
                                     std::pair{IndexedLayout{3, 4, 32, 1, kAny, kAny}, 3.25}}) {
    EXPECT_LE(layout.groups() * layout.group_bits, 48) << "multipliers share the header's words with the scales";
    EXPECT_EQ(layout.block_bytes() * 8.0 / (16 * 256), bits);
    EXPECT_EQ(layout.block_bytes() % 64, 0);
    std::vector<IndexedRow> rows(16);
    for (IndexedRow& row : rows) {
      row.scale = static_cast<std::uint16_t>(random());
      for (int g = 0; g < layout.groups(); ++g)
        row.multipliers[g] = static_cast<std::uint8_t>(random() % (1U << layout.group_bits));
      for (auto& code : row.codes) code = static_cast<std::uint8_t>(random() % (1U << layout.code_bits));
    }
    std::vector<std::byte> block(static_cast<std::size_t>(layout.block_bytes()));
    store_indexed_block(layout, rows.data(), block.data());
    for (int row = 0; row < 16; ++row) {
      const IndexedRow read = load_indexed_row(layout, block.data(), row);
      EXPECT_EQ(read.scale, rows[row].scale);
      EXPECT_EQ(read.codes, rows[row].codes);
      EXPECT_EQ(read.multipliers, rows[row].multipliers);
    }
  }
}

}  // namespace
}  // namespace corbel
