#include "corbel/compile/gptq.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "corbel/compile/triangular.h"

namespace corbel {
namespace {

std::vector<float> gaussian(std::int64_t count, unsigned seed) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> values(0.0F, 1.0F);
  std::vector<float> made(static_cast<std::size_t>(count));
  for (float& value : made) value = values(bits);
  return made;
}

/// Rows whose columns lean on a few common directions.
std::vector<float> correlated_rows(std::int64_t rows, std::int64_t columns) {
  constexpr std::int64_t kDirections = 24;
  const std::vector<float> directions = gaussian(kDirections * columns, 5);
  const std::vector<float> parts = gaussian(rows * kDirections, 6);
  std::vector<float> x = gaussian(rows * columns, 7);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t i = 0; i < columns; ++i) {
      x[r * columns + i] *= 0.3F;
      for (std::int64_t k = 0; k < kDirections; ++k)
        x[r * columns + i] += parts[r * kDirections + k] * directions[k * columns + i];
    }
  }
  return x;
}

TEST(InvertToUpper, ItsSquareTimesTheMatrixIsOne) {
  constexpr std::int64_t kSize = 75;
  const std::vector<float> x = correlated_rows(200, kSize);
  std::vector<double> a(kSize * kSize, 0.0);
  for (std::int64_t r = 0; r < 200; ++r)
    for (std::int64_t i = 0; i < kSize; ++i)
      for (std::int64_t k = 0; k < kSize; ++k) a[i * kSize + k] += x[r * kSize + i] * x[r * kSize + k] / 200.0;
  std::vector<float> upper(a.begin(), a.end());
  ASSERT_TRUE(invert_to_upper(upper.data(), kSize, nullptr));
  for (std::int64_t i = 0; i < kSize; ++i) {
    for (std::int64_t k = 0; k < i; ++k) EXPECT_EQ(upper[i * kSize + k], 0.0F);
    for (std::int64_t k = 0; k < kSize; ++k) {
      double sum = 0.0;  // of U^T U a
      for (std::int64_t j = 0; j < kSize; ++j) {
        double inverse = 0.0;
        for (std::int64_t l = 0; l <= std::min(i, j); ++l) inverse += upper[l * kSize + i] * upper[l * kSize + j];
        sum += inverse * a[j * kSize + k];
      }
      EXPECT_NEAR(sum, i == k ? 1.0 : 0.0, 2e-2) << i << ", " << k;
    }
  }
}

TEST(InvertToUpper, RefusesWhatIsNotPositiveDefiniteAndLeavesTheLowerTriangle) {
  std::vector<float> a = {1, 2, 3, 2, 1, 4, 3, 4, 1};
  EXPECT_FALSE(invert_to_upper(a.data(), 3, nullptr));
  EXPECT_EQ(a[3], 2.0F);
  EXPECT_EQ(a[6], 3.0F);
  EXPECT_EQ(a[7], 4.0F);
}

/// Sum of squares of X (W - Q)^T.
double output_error(const std::vector<float>& x, const std::vector<float>& w, const std::vector<std::byte>& packed,
                    const WeightFormat& format, std::int64_t columns) {
  const std::int64_t outputs = std::ssize(w) / columns;
  std::vector<float> row(static_cast<std::size_t>(columns));
  double error = 0.0;
  for (std::int64_t o = 0; o < outputs; ++o) {
    format.decode_row(packed.data(), columns, o, row.data());
    for (std::int64_t r = 0; r < std::ssize(x) / columns; ++r) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < columns; ++i) sum += x[r * columns + i] * (w[o * columns + i] - row[i]);
      error += sum * sum;
    }
  }
  return error;
}

TEST(Gptq, LosesLessOfTheOutputThanTheSearchOnCorrelatedInputs) {
  constexpr std::int64_t kColumns = 300;
  const std::vector<float> x = correlated_rows(700, kColumns);
  const std::vector<float> w = gaussian(20 * kColumns, 8);
  const std::unique_ptr<Device> device = make_reference_device();
  auto products = InputProducts::make(kColumns, *device);
  ASSERT_TRUE(products);
  products->add(make_view(x.data(), {300, kColumns}));
  products->add(make_view(x.data() + 300 * kColumns, {400, kColumns}));
  const auto inverse = products->invert();
  ASSERT_TRUE(inverse);
  for (const WeightFormat* format : {&w4g16_format(), &w4g8_format(), &w6g8_format()}) {
    auto search = MatrixEncoder::make(*format, kColumns, QuantMethod::search, {}, *device);
    auto gptq = GptqEncoder::make(*format, kColumns, *inverse, *device);
    ASSERT_TRUE(search && gptq);
    std::vector<std::byte> searched;
    std::vector<std::byte> corrected;
    TensorErrors search_errors;
    TensorErrors gptq_errors;
    search->encode(make_view(w.data(), {20, kColumns}), searched, search_errors);
    std::vector<float> values = w;
    gptq->encode(values, 20, corrected, gptq_errors);
    EXPECT_LT(output_error(x, w, corrected, *format, kColumns), 0.5 * output_error(x, w, searched, *format, kColumns))
        << format->name;
    EXPECT_LT(gptq_errors.sqnr_db(), search_errors.sqnr_db());  // it pays with the weights' own error
  }
}

}  // namespace
}  // namespace corbel
