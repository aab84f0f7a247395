#include "corbel/format/float_strips.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "corbel/format/fp8.h"
#include "corbel/tensor/dtype.h"

namespace corbel {
namespace {

std::vector<const WeightFormat*> float_strips() {
  std::vector<const WeightFormat*> found;
  for (const WeightFormat* format : weight_formats())
    if (format->packed != nullptr && !format->packed->has_integers()) found.push_back(format);
  return found;
}

std::vector<std::byte> encoded(const WeightFormat& format, const std::vector<float>& values, std::int64_t rows,
                               std::int64_t columns) {
  std::vector<std::byte> stored(static_cast<std::size_t>(format.matrix_bytes(rows, columns)), std::byte{0x5a});
  format.encode_matrix(values.data(), rows, columns, stored.data());
  return stored;
}

std::vector<float> random_values(std::size_t count) {
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

std::uint16_t number_at(const std::vector<std::byte>& stored, std::size_t at) {
  std::uint16_t number = 0;
  std::memcpy(&number, stored.data() + at, sizeof number);
  return number;
}

TEST(FloatStrips, KeepEveryBitOfNumbersThatAreOfTheirKind) {
  for (const auto& [rows, strips] :
       {std::pair{&bf16_format(), &p_bf16_format()}, std::pair{&f16_format(), &p_f16_format()}}) {
    std::vector<float> values = random_values(33 * 300);
    values[0] = 0x1p-130F;
    values[1] = -0.0F;
    std::vector<std::byte> plain(static_cast<std::size_t>(rows->matrix_bytes(33, 300)));
    rows->encode_matrix(values.data(), 33, 300, plain.data());
    const std::vector<std::byte> packed = encoded(*strips, values, 33, 300);
    std::vector<float> expected(300);
    std::vector<float> found(300);
    for (int row = 0; row < 33; ++row) {
      rows->decode_row(plain.data(), 300, row, expected.data());
      strips->decode_row(packed.data(), 300, row, found.data());
      EXPECT_EQ(0, std::memcmp(expected.data(), found.data(), 1200)) << strips->name << " row " << row;
    }
  }
}

TEST(FloatStrips, PutNumbersWhereTheDrawingsSay) {
  std::vector<float> values(32 * 512, 0.0F);
  values[18 * 512 + 261] = 1.5F;  // strip 1, row 2; block 1, column 5: pair 2, the odd one
  const auto block_begin = [](const WeightFormat& format) { return static_cast<std::size_t>(3 * format.block_bytes); };
  EXPECT_EQ(number_at(encoded(p_bf16_format(), values, 32, 512), block_begin(p_bf16_format()) + 2 * 64 + 2 * 4 + 2),
            to_bfloat16(1.5F).bits);
  EXPECT_EQ(number_at(encoded(p_f16_format(), values, 32, 512), block_begin(p_f16_format()) + 2 * 64 + 32 + 2 * 2),
            to_float16(1.5F).bits);
}

TEST(FloatStrips, PadWithZeros) {
  for (const WeightFormat* format : float_strips()) {
    if (format->packed->has_scales()) continue;
    const std::vector<std::byte> stored = encoded(*format, std::vector<float>(5, 1.0F), 1, 5);
    std::int64_t ones = 0;
    for (const std::byte byte : stored) ones += byte != std::byte{0} ? 1 : 0;
    EXPECT_LE(ones, 10) << format->name;
  }
}

/// By the definition: sign, exponent with bias 7, mantissa of 3 bits.
double e4m3(int code) {
  const int exponent = code >> 3 & 15;
  const int mantissa = code & 7;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return code >= 128 ? -magnitude : magnitude;
}

TEST(E4m3, HasTheNumbersOfItsDefinitionAndRoundsToTheNearest) {
  for (int code = 0; code < 256; ++code) {
    const float value = from_e4m3(static_cast<std::uint8_t>(code));
    if ((code & 127) == 127) {
      EXPECT_TRUE(std::isnan(value)) << code;
      continue;
    }
    EXPECT_EQ(value, e4m3(code)) << code;
    EXPECT_EQ(to_float(to_bfloat16(value)), value) << code;
    EXPECT_EQ(to_e4m3(value), code);
    if ((code & 127) == 126) continue;
    const auto next = static_cast<float>(e4m3(code + 1));
    EXPECT_EQ(to_e4m3(0.5F * (value + next)), code % 2 == 0 ? code : code + 1) << "ties go to the even one";
    EXPECT_EQ(to_e4m3(0.51F * value + 0.49F * next), code);
    EXPECT_EQ(to_e4m3(0.49F * value + 0.51F * next), code + 1);
  }
  EXPECT_EQ(to_e4m3(1e9F), 126);
  EXPECT_EQ(to_e4m3(-HUGE_VALF), 254);
  EXPECT_EQ(to_e4m3(NAN) & 127, 127);
}

TEST(Fp8Strips, TakeCodesAndBlockScalesOfCheckpointsAsTheyAre) {
  // A checkpoint's [32, 256] codes with a scale for each 128 x 128, laid by the drawing alone.
  std::mt19937 random(3);
  std::vector<std::uint8_t> codes(32 * 256);
  for (auto& code : codes) code = static_cast<std::uint8_t>(random() % 127 + (random() % 2) * 128);
  const float inverse_scales[2] = {0x1.23456p-9F, 0x1.789abp-12F};
  const WeightFormat& format = fp8g128_format();
  std::vector<std::byte> stored(static_cast<std::size_t>(format.matrix_bytes(32, 256)));
  for (int row = 0; row < 32; ++row) {
    std::byte* const block = stored.data() + row / 16 * format.block_bytes;
    for (int g = 0; g < 2; ++g) std::memcpy(block + fp8_scale_offset(row % 16, g), &inverse_scales[g], 4);
    for (int i = 0; i < 256; ++i)
      block[fp8_code_offset(row % 16, i)] = static_cast<std::byte>(codes[static_cast<std::size_t>(row * 256 + i)]);
  }
  std::vector<float> found(256);
  for (int row = 0; row < 32; ++row) {
    format.decode_row(stored.data(), 256, row, found.data());
    for (int i = 0; i < 256; ++i)
      ASSERT_EQ(found[static_cast<std::size_t>(i)],
                inverse_scales[i / 128] * static_cast<float>(e4m3(codes[static_cast<std::size_t>(row * 256 + i)])));
  }
}

}  // namespace
}  // namespace corbel
