#include "corbel/ops/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "corbel/ops/normalization.h"

namespace corbel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kUnit = 0x1p-24;

template <typename Op>
void expect_refused(const typename Op::Spec& spec, const std::string& message) {
  const Result<void> checked = Op::check(spec);
  ASSERT_FALSE(checked) << message;
  EXPECT_THAT(checked.error().message, HasSubstr(message));
  EXPECT_THAT(checked.error().message, HasSubstr(cat("op \"", Op::kName, "\"")));
}

TEST(Embedding, PicksRowsAndDecodesThem) {
  const std::vector<float> table = {1, 2, 3, 4, 5, 6};
  std::vector<std::byte> stored(12);
  f16_format().encode(table.data(), 6, stored.data());
  std::vector<std::int32_t> ids = {2, 0, 2};
  std::vector<float> out(6);
  const Embedding::Args args{make_view(ids.data(), {3}), stored.data(), make_view(out.data(), {3, 2})};
  Embedding::reference({3, 2, &f16_format(), 1.0F}, args);
  EXPECT_THAT(out, ElementsAre(5, 6, 1, 2, 5, 6));
  Embedding::reference({3, 2, &f16_format(), 0.5F}, args);
  EXPECT_THAT(out, ElementsAre(2.5, 3, 0.5, 1, 2.5, 3));
}

TEST(Embedding, RefusesWhatItDoesNotDefine) {
  expect_refused<Embedding>({0, 4, &f32_format()}, "entries is 0");
  expect_refused<Embedding>({4, std::int64_t{1} << 60, &f32_format()}, "hidden is 1152921504606846976");
  expect_refused<Embedding>({4, 4, nullptr}, "format is missing");
  expect_refused<Embedding>({4, 4, &f32_format(), HUGE_VALF}, "scale is inf");
}

TEST(Add, AddsRowsAlsoIntoAnOperandAndPartsOfWiderRows) {
  std::vector<float> a = {1, 2, 100, 3, 4, 100};  // two columns of three
  const std::vector<float> b = {10, 20, 30, 40};
  TensorView wide = make_view(a.data(), {2, 3});
  wide.shape = {2, 2};
  Add::reference({2}, {wide, make_view(b.data(), {2, 2}), wide});
  EXPECT_THAT(a, ElementsAre(11, 22, 100, 33, 44, 100));
}

TEST(GatherRows, CopiesRowsInTheOrderOfTheIndex) {
  std::vector<float> x = {1, 2, 3, 4, 5, 6};
  std::vector<std::int32_t> index = {2, 2, 0};
  std::vector<float> out(6);
  GatherRows::reference({2},
                        {make_view(x.data(), {3, 2}), make_view(index.data(), {3}), make_view(out.data(), {3, 2})});
  EXPECT_THAT(out, ElementsAre(5, 6, 5, 6, 1, 2));
}

TEST(RowOps, RefuseSizesThatAreNoSizes) {
  expect_refused<Add>({0}, "hidden is 0");
  expect_refused<GatherRows>({-1}, "hidden is -1");
  expect_refused<RmsNorm>({(std::int64_t{1} << 30) + 1}, "hidden is 1073741825");
  expect_refused<LayerNorm>({0}, "hidden is 0");
  expect_refused<RmsNorm>({8, 0.0F}, "eps is 0");
  expect_refused<LayerNorm>({8, std::numeric_limits<float>::quiet_NaN()}, "eps is nan");
}

std::vector<float> rms_norm(std::vector<float> x, const std::vector<float>& gamma, const RmsNorm::Spec& spec) {
  const auto columns = static_cast<std::int64_t>(gamma.size());
  const auto rows = static_cast<std::int64_t>(x.size()) / columns;
  const TensorView view = make_view(x.data(), {rows, columns});
  RmsNorm::reference(spec, {view, make_view(gamma.data(), {columns}), view});
  return x;
}

TEST(RmsNorm, DividesByTheRootOfTheMeanSquare) {
  // mean(x^2) + eps = 15 + 1: r = 1/4.
  EXPECT_THAT(rms_norm({5, 1, -3, 5}, {1, 2, 1, 1}, {4, 1.0F}), ElementsAre(1.25, 0.5, -0.75, 1.25));
  EXPECT_THAT(rms_norm({5, 1, -3, 5}, {0, 1, 0, 0}, {4, 1.0F, true}), ElementsAre(1.25, 0.5, -0.75, 1.25));
}

TEST(RmsNorm, GivesZerosForAZeroRow) { EXPECT_THAT(rms_norm({0, 0, 0}, {1, 2, 3}, {3, 1e-6F}), ElementsAre(0, 0, 0)); }

// All terms of the sum are positive: its relative error is (hidden / 16 + 4) u; division, eps, root (which halves what
// came before), reciprocal and two products round once each; 1 + gamma once more, relative to itself.
TEST(RmsNorm, StaysWithinTheBoundOfItsArithmeticFromDouble) {
  for (const std::int64_t hidden : {1, 7, 33, 100, 1024, 4096}) {
    for (const bool plus_one : {false, true}) {
      CaseMemory memory(static_cast<std::uint64_t>(hidden));
      RmsNorm::Args args{memory.input(DType::f32, {3, hidden}, 3.0F), memory.input(DType::f32, {hidden}, 0.7F), {}};
      args.out = memory.output(DType::f32, {3, hidden});
      RmsNorm::reference({hidden, 1e-5F, plus_one}, args);
      const auto* gamma = static_cast<const float*>(args.gamma.data);
      for (std::int64_t r = 0; r < 3; ++r) {
        const float* x = Rows<const float>(args.x)[r];
        double squares = 0.0;
        for (std::int64_t i = 0; i < hidden; ++i) squares += static_cast<double>(x[i]) * x[i];
        const double scale = 1.0 / std::sqrt(squares / static_cast<double>(hidden) + static_cast<double>(1e-5F));
        const double bound = (static_cast<double>(hidden / 16 + 1 + 4 + 2) / 2 + 5) * kUnit * 1.01;
        for (std::int64_t i = 0; i < hidden; ++i) {
          const double exact = x[i] * scale * (plus_one ? 1.0 + gamma[i] : gamma[i]);
          ASSERT_LE(std::fabs(Rows<const float>(args.out)[r][i] - exact), bound * std::fabs(exact))
              << hidden << " " << i;
        }
      }
    }
  }
}

TEST(LayerNorm, SubtractsTheMeanAndDividesByTheDeviation) {
  const std::vector<float> values = {8, 4, 0, 0};  // differences 5, 1, -3, -3: mean square 11, eps 5, r = 1/4
  const std::vector<float> gamma = {1, 2, 1, 1};
  const std::vector<float> beta = {0, 1, 0, 10};
  std::vector<float> out(4);
  LayerNorm::Args args{make_view(values.data(), {1, 4}), make_view(gamma.data(), {4}), make_view(beta.data(), {4}),
                       make_view(out.data(), {1, 4})};
  LayerNorm::reference({4, 5.0F}, args);
  EXPECT_THAT(out, ElementsAre(1.25, 1.5, -0.75, 9.25));
  args.beta = {};
  LayerNorm::reference({4, 5.0F}, args);
  EXPECT_THAT(out, ElementsAre(1.25, 0.5, -0.75, -0.75));
}

// The mean is off by at most (hidden / 16 + 5) u mean|x|; every difference by that plus its rounding; the variance by
// what its differences bring and (hidden / 16 + 6) u of itself.
TEST(LayerNorm, StaysWithinTheBoundOfItsArithmeticFromDouble) {
  for (const std::int64_t hidden : {2, 7, 33, 100, 1024, 4096}) {
    CaseMemory memory(static_cast<std::uint64_t>(hidden));
    LayerNorm::Args args{memory.input(DType::f32, {3, hidden}, 3.0F),
                         memory.input(DType::f32, {hidden}, 0.7F),
                         memory.input(DType::f32, {hidden}, 0.7F),
                         {}};
    args.out = memory.output(DType::f32, {3, hidden});
    LayerNorm::reference({hidden, 1e-5F}, args);
    const auto* gamma = static_cast<const float*>(args.gamma.data);
    const auto* beta = static_cast<const float*>(args.beta.data);
    const auto n = static_cast<double>(hidden);
    const double steps = static_cast<double>(hidden / 16 + 1 + 4);
    for (std::int64_t r = 0; r < 3; ++r) {
      const float* x = Rows<const float>(args.x)[r];
      double sum = 0.0;
      double magnitude = 0.0;
      for (std::int64_t i = 0; i < hidden; ++i) sum += x[i], magnitude += std::fabs(x[i]);
      const double mean = sum / n;
      const double mean_error = (steps + 1) * kUnit * magnitude / n;
      double squares = 0.0;
      double squares_error = 0.0;
      for (std::int64_t i = 0; i < hidden; ++i) {
        const double d = std::fabs(x[i] - mean);
        const double e = mean_error + kUnit * (d + mean_error);
        squares += d * d;
        squares_error += 2 * d * e + e * e;
      }
      const double variance = squares / n + static_cast<double>(1e-5F);
      const double scale_error = (squares_error / n / variance + (steps + 2) * kUnit) / 2 + 3 * kUnit;
      for (std::int64_t i = 0; i < hidden; ++i) {
        const double scaled = (x[i] - mean) / std::sqrt(variance) * gamma[i];
        const double exact = scaled + beta[i];
        const double bound = std::fabs(gamma[i]) / std::sqrt(variance) * mean_error * 1.1 +
                             std::fabs(scaled) * (scale_error + 3 * kUnit) * 1.1 + kUnit * std::fabs(exact) * 1.1;
        ASSERT_LE(std::fabs(Rows<const float>(args.out)[r][i] - exact), bound) << hidden << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace corbel
