#include "corbel/ops/encode_packed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "corbel/format/packed_format.h"

namespace corbel {
namespace {

using testing::HasSubstr;

std::vector<float> gaussian(std::int64_t count, unsigned seed) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> values(0.0F, 0.02F);
  std::vector<float> made(static_cast<std::size_t>(count));
  for (float& value : made) value = values(bits);
  return made;
}

struct Encoded {
  std::vector<std::byte> matrix;
  std::vector<float> errors;
};

Encoded encode(const EncodePacked::Spec& spec, const std::vector<float>& values,
               const std::vector<float>& importance = {}) {
  const auto rows = static_cast<std::int64_t>(values.size()) / spec.columns;
  Encoded made;
  made.matrix.resize(static_cast<std::size_t>(spec.format->matrix_bytes(rows, spec.columns)));
  made.errors.resize(static_cast<std::size_t>(rows * packed_blocks(spec.columns) * kEncodeErrorFloats));
  EncodePacked::Args args;
  args.values = make_view(values.data(), {rows, spec.columns});
  if (!importance.empty()) args.importance = make_view(importance.data(), {spec.columns});
  args.matrix = made.matrix.data();
  args.errors = make_view(made.errors.data(), {rows, packed_blocks(spec.columns) * kEncodeErrorFloats});
  EXPECT_TRUE(EncodePacked::check(spec));
  EncodePacked::reference(spec, args);
  return made;
}

/// Sum of squared errors, each times its column's importance.
double noise(const EncodePacked::Spec& spec, const std::vector<std::byte>& matrix, const std::vector<float>& values,
             const std::vector<float>& importance = {}) {
  double sum = 0.0;
  std::vector<float> row(static_cast<std::size_t>(spec.columns));
  for (std::int64_t r = 0; r * spec.columns < static_cast<std::int64_t>(values.size()); ++r) {
    spec.format->decode_row(matrix.data(), spec.columns, r, row.data());
    for (std::int64_t i = 0; i < spec.columns; ++i) {
      const double d = row[i] - values[r * spec.columns + i];
      sum += d * d * (importance.empty() ? 1.0 : importance[i]);
    }
  }
  return sum;
}

TEST(EncodePacked, SearchingBeatsOnePassAndOnePassBeatsThePlainEncoder) {
  for (const WeightFormat* format : {&w4g16_format(), &w4g8_format(), &w6g8_format()}) {
    const std::vector<float> values = gaussian(512 * 16, 1);
    const EncodePacked::Spec fast{512, format, 1, 0};
    const EncodePacked::Spec search{512, format, 12, 2};
    std::vector<std::byte> plain(static_cast<std::size_t>(format->matrix_bytes(16, 512)));
    format->encode_matrix(values.data(), 16, 512, plain.data());
    const double by_plain = noise(fast, plain, values);
    const double by_fast = noise(fast, encode(fast, values).matrix, values);
    const double by_search = noise(search, encode(search, values).matrix, values);
    EXPECT_LT(by_fast, by_plain) << format->name;
    EXPECT_LT(by_search, 0.985 * by_fast) << format->name;
  }
}

TEST(EncodePacked, ImportanceMovesTheErrorToColumnsThatCountLess) {
  std::vector<float> importance(512);
  for (std::size_t i = 0; i < importance.size(); ++i) importance[i] = i % 7 == 0 ? 50.0F : 0.5F;
  const std::vector<float> values = gaussian(512 * 16, 2);
  const EncodePacked::Spec spec{512, &w4g16_format(), 12, 2};
  const double weighted = noise(spec, encode(spec, values, importance).matrix, values, importance);
  const double unweighted = noise(spec, encode(spec, values).matrix, values, importance);
  EXPECT_LT(weighted, 0.8 * unweighted);
}

TEST(EncodePacked, TellsTheErrorsThatDecodingFinds) {
  const std::vector<float> values = gaussian(300 * 18, 3);
  std::vector<float> importance(300);
  for (std::size_t i = 0; i < importance.size(); ++i) importance[i] = static_cast<float>(i % 5);
  for (const WeightFormat* format : {&w4g16_format(), &w6g8_format(), &w8_format()}) {
    const EncodePacked::Spec spec{300, format, 4, 1};
    const Encoded made = encode(spec, values, importance);
    double plain = 0.0;
    double weighted = 0.0;
    for (std::size_t i = 0; i < made.errors.size(); i += kEncodeErrorFloats) {
      plain += std::pow(made.errors[i], 2) * made.errors[i + 2];
      weighted += std::pow(made.errors[i], 2) * made.errors[i + 4];
    }
    EXPECT_NEAR(plain / noise(spec, made.matrix, values), 1.0, 1e-3) << format->name;
    EXPECT_NEAR(weighted / noise(spec, made.matrix, values, importance), 1.0, 1e-3) << format->name;
  }
}

TEST(EncodePacked, ZerosConstantsAndAGiantOutlierStayWithinTheFormatsBound) {
  for (const WeightFormat* format : {&w4g16_format(), &w4g8_format(), &w6g8_format(), &w8_format()}) {
    std::vector<float> values(256 * 16, 0.0F);
    for (int i = 0; i < 256; ++i) values[256 + i] = 0.125F;
    for (int i = 0; i < 256; ++i) values[512 + i] = i == 77 ? 1e30F : 0.01F;
    const EncodePacked::Spec spec{256, format, 12, 2};
    const Encoded made = encode(spec, values);
    std::vector<float> row(256);
    format->decode_row(made.matrix.data(), 256, 0, row.data());
    EXPECT_THAT(row, testing::Each(0.0F)) << format->name;
    format->decode_row(made.matrix.data(), 256, 1, row.data());
    EXPECT_THAT(row, testing::Each(testing::FloatNear(0.125F, 0.125F * 0.02F))) << format->name;
    format->decode_row(made.matrix.data(), 256, 2, row.data());
    EXPECT_NEAR(row[77] / 1e30, 1.0, 0.05) << format->name;
  }
}

TEST(EncodePacked, RefusesFormatsThatAreNotPacked) {
  const auto refused = EncodePacked::check({256, &bf16_format(), 1, 0});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("bf16"));
  EXPECT_FALSE(EncodePacked::check({256, &w8_format(), 0, 0}));
}

}  // namespace
}  // namespace corbel
