#include "corbel/format/seeded_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace corbel {
namespace {

std::vector<float> row_of(const SourceTensor& tensor, std::int64_t row) {
  std::vector<float> values(static_cast<std::size_t>(tensor.shape[1]));
  tensor.format->decode_row(tensor.bytes.data(), tensor.shape[1], row, values.data());
  return values;
}

TEST(SeededSource, APackedMatrixRepeatsTheFirstSixteenRowsOfThePlainOne) {
  const SeededSource plain(3, DType::f32, {});
  const SeededSource packed(3, DType::f32, {}, {&w4g8_format(), &w8_format()});
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const auto expected = plain.find_shaped(name, {40, 300});
  const auto found = packed.find_shaped(name, {40, 300});
  ASSERT_TRUE(expected && found);
  EXPECT_EQ(found->format, &w4g8_format());
  ASSERT_EQ(found->bytes.size(), static_cast<std::size_t>(w4g8_format().matrix_bytes(40, 300)));
  for (const std::int64_t row : {0, 15, 16, 39}) {
    const std::vector<float> want = row_of(*expected, row % 16);
    const std::vector<float> got = row_of(*found, row);
    float largest = 0.0F;
    for (const float value : want) largest = std::max(largest, std::fabs(value));
    for (std::size_t i = 0; i < want.size(); ++i)
      EXPECT_NEAR(got[i], want[i], w4g8_format().relative_error * largest) << "row " << row << " column " << i;
  }
}

TEST(SeededSource, TablesHaveAFormatOfTheirOwnAndVectorsStayPlain) {
  const SeededSource source(3, DType::bf16, {"lm_head.weight"}, {&w4g16_format(), &w8_format()});
  EXPECT_EQ(source.find_shaped("model.embed_tokens.weight", {20, 256})->format, &w8_format());
  EXPECT_EQ(source.find_shaped("lm_head.weight", {20, 256})->format, &w8_format());
  EXPECT_EQ(source.find_shaped("model.layers.1.mlp.down_proj.weight", {20, 256})->format, &w4g16_format());
  EXPECT_EQ(source.find_shaped("model.norm.weight", {256})->format, &bf16_format());
}

}  // namespace
}  // namespace corbel
