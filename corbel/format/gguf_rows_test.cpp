#include "corbel/format/gguf_rows.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <vector>

#include "corbel/format/gguf_repack.h"
#include "corbel/format/safetensors.h"

namespace corbel {
namespace {

// gguf-py 0.19: random bits and what they mean (tools/golden/gguf_blocks.py).
Result<SafetensorsFile> golden() {
  return SafetensorsFile::open(std::filesystem::path(CORBEL_SOURCE_DIR) /
                               "corbel/format/goldens/gguf_blocks.safetensors");
}

std::vector<const WeightFormat*> row_formats() {
  std::vector<const WeightFormat*> found;
  for (const WeightFormat* format : weight_formats())
    if (gguf_row_layout(*format) != nullptr) found.push_back(format);
  return found;
}

TEST(GgufRows, DecodeRandomBitsToTheValuesThatGgufPyGives) {
  const auto file = golden();
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(row_formats().size(), 10U);
  for (const WeightFormat* format : row_formats()) {
    const auto blocks = file->find_raw(cat(format->name, ".blocks"));
    const auto values = file->find_raw(cat(format->name, ".values"));
    ASSERT_TRUE(blocks && values) << format->name;
    const std::int64_t count = values->shape.elements();
    ASSERT_EQ(format->bytes(count), static_cast<std::int64_t>(blocks->bytes.size())) << format->name;
    std::vector<std::byte> odd(blocks->bytes.size() + 1);  // blocks may lie at any address
    std::memcpy(odd.data() + 1, blocks->bytes.data(), blocks->bytes.size());
    std::vector<float> decoded(static_cast<std::size_t>(count));
    format->decode(odd.data() + 1, count, decoded.data());
    for (std::int64_t i = 0; i < count; ++i) {
      float expected = 0.0F;
      std::memcpy(&expected, values->bytes.data() + i * 4, 4);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(decoded[static_cast<std::size_t>(i)]),
                std::bit_cast<std::uint32_t>(expected))
          << format->name << " value " << i;
    }
  }
}

TEST(GgufRows, HaveTheSizesThatTheDrawingSays) {
  const auto bits = [](const WeightFormat& format) {
    return 8.0 * static_cast<double>(format.block_bytes) / static_cast<double>(format.block_values);
  };
  EXPECT_EQ(bits(q4_0_format()), 4.5);
  EXPECT_EQ(bits(q4_1_format()), 5.0);
  EXPECT_EQ(bits(q5_0_format()), 5.5);
  EXPECT_EQ(bits(q5_1_format()), 6.0);
  EXPECT_EQ(bits(q8_0_format()), 8.5);
  EXPECT_EQ(bits(iq4_nl_format()), 4.5);
  EXPECT_EQ(bits(q4_k_format()), 4.5);
  EXPECT_EQ(bits(q5_k_format()), 5.5);
  EXPECT_EQ(bits(q6_k_format()), 6.5625);
  EXPECT_EQ(bits(iq4_xs_format()), 4.25);
  for (const WeightFormat* format : row_formats()) EXPECT_FALSE(format->can_encode()) << format->name;
}

}  // namespace
}  // namespace corbel
