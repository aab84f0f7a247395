#include "corbel/format/gguf_repack.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "corbel/format/gguf_packed.h"

namespace corbel {
namespace {

std::vector<std::byte> random_bytes(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// Equal bits; any NaN equals any other.
bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

TEST(GgufRepack, DecodesToTheSameBitsAsTheRows) {
  EXPECT_EQ(repackings().size(), 10U);
  for (const Repacking& repacking : repackings()) {
    const std::int64_t block = repacking.rows->block_values;
    for (const auto& [rows, blocks] : {std::pair{1, 1}, {16, 3}, {17, 2}, {37, 11}}) {
      const std::int64_t columns = blocks * block;
      const auto source = random_bytes(repacking.rows->matrix_bytes(rows, columns), 17);
      std::vector<std::byte> packed(static_cast<std::size_t>(repacking.strips->matrix_bytes(rows, columns)),
                                    std::byte{0xa5});
      repack_matrix(repacking, source.data(), rows, columns, packed.data());
      std::vector<float> before(static_cast<std::size_t>(columns));
      std::vector<float> after(static_cast<std::size_t>(columns));
      for (std::int64_t row = 0; row < rows; ++row) {
        repacking.rows->decode_row(source.data(), columns, row, before.data());
        repacking.strips->decode_row(packed.data(), columns, row, after.data());
        for (std::size_t i = 0; i < before.size(); ++i) {
          ASSERT_TRUE(same(before[i], after[i])) << repacking.strips->name << " row " << row << " column " << i << ": "
                                                 << before[i] << " became " << after[i];
        }
      }
    }
  }
}

TEST(GgufRepack, PadsWithZeros) {
  for (const Repacking& repacking : repackings()) {
    const std::int64_t columns = repacking.rows->block_values;
    const auto source = random_bytes(repacking.rows->matrix_bytes(3, columns), 5);
    std::vector<std::byte> packed(static_cast<std::size_t>(repacking.strips->matrix_bytes(3, columns)), std::byte{255});
    repack_matrix(repacking, source.data(), 3, columns, packed.data());
    const PackedCodec& codec = *repacking.strips->packed;
    std::int8_t integers[kPackedColumns];
    float scales[kMostGroups];
    float offsets[kMostGroups] = {};
    for (int row = 0; row < 16; ++row) {
      codec.unpack_row(packed.data(), row, integers, scales, offsets);
      for (std::int64_t i = row < 3 ? columns : 0; i < kPackedColumns; ++i) {
        const std::int64_t group = i * codec.groups / kPackedColumns;
        ASSERT_EQ(scales[group] * static_cast<float>(integers[i]) + offsets[group], 0.0F)
            << repacking.strips->name << " row " << row << " column " << i;
      }
    }
  }
}

TEST(GgufPacked, TakeNoMoreBitsThanTheSourceButForOneHalfLine) {
  for (const Repacking& repacking : repackings()) {
    const WeightFormat& strips = *repacking.strips;
    const std::int64_t source = 16 * repacking.rows->bytes(kPackedColumns);
    EXPECT_EQ(strips.block_bytes, source + (repacking.rows == &q6_k_format() ? 32 : 0)) << strips.name;
    EXPECT_EQ(strips.block_bytes, packed_import_layout(strips)->block_bytes()) << strips.name;
    EXPECT_EQ(strips.block_bytes % 64, 0) << strips.name;
    EXPECT_FALSE(strips.can_encode()) << strips.name;
  }
}

/// A row whose every number is its own.
PackedImportRow random_row(std::mt19937& random, int code_bits, bool six_bit) {
  PackedImportRow parts;
  for (auto& code : parts.codes) code = static_cast<std::uint8_t>(random() % (1U << code_bits));
  for (int g = 0; g < 8; ++g) {
    parts.d[g] = {static_cast<std::uint16_t>(random())};
    parts.m[g] = {static_cast<std::uint16_t>(random())};
    parts.n[g] = static_cast<std::uint8_t>(random() % 64);
  }
  for (auto& s : parts.s) s = static_cast<std::uint8_t>(random() % (six_bit ? 64 : 256));
  return parts;
}

int byte_of(const std::vector<std::byte>& block, int at) {
  return std::to_integer<int>(block[static_cast<std::size_t>(at)]);
}

struct FilledBlock {
  explicit FilledBlock(const WeightFormat& format)
      : layout(*packed_import_layout(format)), bytes(static_cast<std::size_t>(format.block_bytes)) {
    std::mt19937 random(3);
    for (int row = 0; row < 16; ++row) {
      rows.push_back(random_row(random, layout.code_bits, layout.scales != GgufScales::bytes));
      store_import_row(layout, rows.back(), row, bytes.data());
    }
  }
  int header(int at) const { return byte_of(bytes, at); }
  int plane(int line, int at) const { return byte_of(bytes, layout.header_bytes() + line * 64 + at); }

  const PackedImportLayout& layout;
  std::vector<std::byte> bytes;
  std::vector<PackedImportRow> rows;
};

TEST(GgufPacked, StoreCodesWhereTheDrawingSays) {
  for (const Repacking& repacking : repackings()) {
    const FilledBlock block(*repacking.strips);
    const int bits = block.layout.code_bits;
    for (int row : {0, 7, 15}) {
      const auto& codes = block.rows[static_cast<std::size_t>(row)].codes;
      for (int column = 0; column < 256; ++column) {
        const int lane = 4 * row + column % 4;
        int code = 0;
        if (bits == 8) {
          code = block.plane(column / 4, lane) ^ 128;
        } else {
          code = block.plane(column / 8, lane) >> (column / 4 % 2 * 4) & 15;
          if (bits == 5) code |= (block.plane(32 + column / 32, lane) >> (column / 4 % 8) & 1) << 4;
          if (bits == 6) code |= (block.plane(32 + column / 16, lane) >> (column / 4 % 4 * 2) & 3) << 4;
        }
        ASSERT_EQ(code, codes[static_cast<std::size_t>(column)]) << repacking.strips->name << " column " << column;
      }
    }
  }
}

TEST(GgufPacked, StoreHeadersWhereTheDrawingSays) {
  const auto half = [](const FilledBlock& block, int at) { return block.header(at) | block.header(at + 1) << 8; };
  for (const int r : {0, 3, 15}) {
    const auto row = static_cast<std::size_t>(r);
    const FilledBlock plain(p_iq4_nl_format());
    const FilledBlock minimum(p_q5_1_format());
    const FilledBlock pairs(p_q5_k_format());
    const FilledBlock six(p_iq4_xs_format());
    const FilledBlock bytes(p_q6_k_format());
    EXPECT_EQ(half(pairs, 2 * r), pairs.rows[row].d[0].bits);
    EXPECT_EQ(half(pairs, 32 + 2 * r), pairs.rows[row].m[0].bits);
    EXPECT_EQ(half(six, 2 * r), six.rows[row].d[0].bits);
    EXPECT_EQ(half(bytes, 2 * r), bytes.rows[row].d[0].bits);
    EXPECT_EQ(half(bytes, 32 + 2 * r), 0);
    for (int g = 0; g < 8; ++g) {
      EXPECT_EQ(half(plain, 32 * g + 2 * r), plain.rows[row].d[g].bits);
      EXPECT_EQ(half(minimum, 32 * g + 2 * r), minimum.rows[row].d[g].bits);
      EXPECT_EQ(half(minimum, 256 + 32 * g + 2 * r), minimum.rows[row].m[g].bits);
      const int b = 16 * (g % 4) + r;
      const int high = pairs.header(192 + b) >> (g / 4 * 2);
      EXPECT_EQ((pairs.header(64 + b) >> (g / 4 * 4) & 15) | (high & 3) << 4, pairs.rows[row].s[g]);
      EXPECT_EQ((pairs.header(128 + b) >> (g / 4 * 4) & 15) | (high >> 4 & 3) << 4, pairs.rows[row].n[g]);
      const int top = six.header(32 + 16 * (g % 2) + r) >> (g / 2 * 2) & 3;
      EXPECT_EQ((six.header(64 + b) >> (g / 4 * 4) & 15) | top << 4, six.rows[row].s[g]);
    }
    for (int g = 0; g < 16; ++g) EXPECT_EQ(bytes.header(64 + 16 * g + r), bytes.rows[row].s[g]);
  }
}

TEST(GgufPacked, ReadsBackWhatItStored) {
  for (const Repacking& repacking : repackings()) {
    const FilledBlock block(*repacking.strips);
    for (int row = 0; row < 16; ++row) {
      const PackedImportRow read = load_import_row(block.layout, block.bytes.data(), row);
      EXPECT_EQ(read.codes, block.rows[static_cast<std::size_t>(row)].codes) << repacking.strips->name;
    }
  }
}

}  // namespace
}  // namespace corbel
