#include "corbel/ops/arithmetic.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace corbel {
namespace {

constexpr double kUnit = 0x1p-24;  // unit roundoff of f32

/// Distance of `found` from `exact` in units of the last place of exact.
double ulps_between(float found, double exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::fabs(static_cast<double>(found) - exact) / std::ldexp(1.0, exponent - 24);
}

/// Visits floats from low to high, about `count` of them, evenly in value and in bits.
template <typename Visit>
void visit_floats(float low, float high, int count, Visit visit) {
  for (int i = 0; i <= count; ++i) {
    const float x = low + (high - low) * (static_cast<float>(i) / static_cast<float>(count));
    visit(x);
    visit(x * 0x1p-10F);
    visit(x * 0x1p-20F);
  }
}

TEST(Exp, IsWithinItsStatedErrorOfDoubleOverTheWholeRange) {
  double worst = 0.0;
  float at = 0.0F;
  visit_floats(-87.0F, 88.0F, 1'000'000, [&](float x) {
    const double error = ulps_between(exp_f32(x), std::exp(static_cast<double>(x)));
    if (error > worst) worst = error, at = x;
  });
  RecordProperty("worst_ulps", std::to_string(worst));
  EXPECT_LE(worst, 1.0) << "at " << at;
  EXPECT_GT(worst, 0.5);  // a table of right answers would be suspicious too
}

TEST(Exp, HasZeroInfinityAndNanAtItsEnds) {
  EXPECT_EQ(exp_f32(0.0F), 1.0F);
  EXPECT_EQ(exp_f32(-0.0F), 1.0F);
  EXPECT_EQ(exp_f32(-87.31F), 0.0F);
  EXPECT_GT(exp_f32(-87.3F), std::numeric_limits<float>::min());
  EXPECT_EQ(exp_f32(-HUGE_VALF), 0.0F);
  EXPECT_EQ(exp_f32(88.71F), HUGE_VALF);
  EXPECT_LT(exp_f32(88.7F), HUGE_VALF);
  EXPECT_EQ(exp_f32(HUGE_VALF), HUGE_VALF);
  EXPECT_TRUE(std::isnan(exp_f32(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Exp, RisesWhereItsArgumentRisesByMoreThanItsError) {
  float before = 0.0F;
  for (float x = -87.0F; x < 88.0F; x += 0x1p-12F) {
    const float now = exp_f32(x);
    EXPECT_GT(now, before) << x;
    before = now;
  }
}

// exp carries 1 ulp (2 u) and enters as e / (1 + e) of the result; the sum and the quotient are rounded once each.
TEST(Silu, IsWithinFiveUnitsOfDouble) {
  visit_floats(-80.0F, 80.0F, 200'000, [](float x) {
    const double exact = static_cast<double>(x) / (1.0 + std::exp(-static_cast<double>(x)));
    ASSERT_LE(std::fabs(silu_f32(x) - exact), 5.0 * kUnit * std::fabs(exact)) << x;
  });
  EXPECT_EQ(silu_f32(-1000.0F), 0.0F);
  EXPECT_EQ(silu_f32(1000.0F), 1000.0F);
}

// 1 - 2 / (e + 1): absolute error of the quotient (at most 2, relative 5 u) and of the difference; below |x| = 9 only,
// where 1 - tanh is 3e-8.
TEST(Tanh, IsWithinTwelveUnitsOfDoubleInAbsoluteTerms) {
  visit_floats(-20.0F, 20.0F, 200'000, [](float x) {
    ASSERT_LE(std::fabs(tanh_f32(x) - std::tanh(static_cast<double>(x))), 12.0 * kUnit) << x;
  });
}

// tanh's absolute error counts half of |x|; the argument's rounding (3 u of at most |x| + 0.04 |x|^3) is damped by
// tanh' and stays below that.
TEST(GeluTanh, IsWithinTwelveUnitsOfDouble) {
  visit_floats(-30.0F, 30.0F, 200'000, [](float x) {
    const double d = x;
    const double exact = 0.5 * d * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (d + 0.044715 * d * d * d)));
    ASSERT_LE(std::fabs(gelu_tanh_f32(x) - exact), 12.0 * kUnit * std::fabs(d)) << x;
  });
  EXPECT_EQ(gelu_tanh_f32(1e20F), 1e20F);
  EXPECT_EQ(gelu_tanh_f32(-1e20F), 0.0F);
}

TEST(Gelu, IsWithinThreeUnitsOfDouble) {
  visit_floats(-30.0F, 30.0F, 200'000, [](float x) {
    const double d = x;
    const double exact = 0.5 * d * std::erfc(-d / std::sqrt(2.0));
    ASSERT_LE(std::fabs(gelu_f32(x) - exact), 3.0 * kUnit * std::fabs(d)) << x;
  });
}

TEST(Relu, KeepsPositivesZeroesNegativesAndPassesNan) {
  EXPECT_EQ(relu_f32(2.5F), 2.5F);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(relu_f32(-0.0F)), 0U);
  EXPECT_EQ(relu_f32(-3.0F), 0.0F);
  EXPECT_TRUE(std::isnan(relu_f32(std::numeric_limits<float>::quiet_NaN())));
}

TEST(AddLanes, AddsHalvesAndNotNeighbours) {
  float lanes[kLanes] = {};
  lanes[0] = 0x1p25F;
  lanes[8] = -0x1p25F;
  lanes[1] = 1.0F;
  EXPECT_EQ(add_lanes(lanes), 1.0F);
  float neighbours[kLanes] = {};
  neighbours[0] = 0x1p25F;
  neighbours[1] = 1.0F;
  neighbours[4] = -0x1p25F;  // joins lane 0 in the second round, before lane 1 does
  EXPECT_EQ(add_lanes(neighbours), 1.0F);
  float last[kLanes] = {};
  last[0] = 0x1p25F;
  last[1] = 1.0F;
  last[2] = 0.0F;
  last[3] = -0x1p25F;  // joins lane 1 in the third round
  EXPECT_EQ(add_lanes(last), 0.0F);
}

// Measured on a machine with AVX512_BF16: vdpbf16ps(2^-126, -part * 2^-63, 2^-63).
TEST(FmaFlushed, GivesWhatTheInstructionGivesAtTheBorderOfSubnormals) {
  const auto step = [](float part) { return fma_flushed(-part * 0x1p-63F, 0x1p-63F, 0x1p-126F); };
  EXPECT_EQ(step(0x1p-26F), 0x1p-126F);
  EXPECT_EQ(step(0x1p-25F), 0x1p-126F);  // half-way between two 24-bit numbers, to the even one
  EXPECT_EQ(step(0x1.4p-25F), 0.0F);
  EXPECT_EQ(step(0x1.8p-25F), 0.0F);
  EXPECT_EQ(step(0x1p-24F), 0.0F);
  EXPECT_EQ(step(0x1p-23F), 0.0F);
  EXPECT_TRUE(std::signbit(fma_flushed(0x1.8p-88F, 0x1p-63F, -0x1p-126F)));
}

// Independent: long double holds these sums exactly (64 bits, exponents to 2^-16382), and rounding to 24 bits there
// knows no subnormals.
TEST(FmaFlushed, RoundsToTwentyFourBitsBeforeItJudgesSmallness) {
  std::mt19937 random(7);
  int flushed = 0;
  for (int i = 0; i < 2'000'000; ++i) {
    const auto significand = [&] { return static_cast<float>(128 + random() % 128) * 0x1p-7F; };
    const float x = std::ldexp(significand(), -63) * (random() % 2 == 0 ? 1.0F : -1.0F);
    const float y = std::ldexp(significand(), -63 - static_cast<int>(random() % 27));
    const float sum = std::ldexp(static_cast<float>((1 << 23) + random() % 4), -149 + static_cast<int>(random() % 2));
    const long double exact = static_cast<long double>(x) * y + sum;
    int exponent = 0;
    const long double scaled = std::ldexp(std::frexp(exact, &exponent), 24);
    const long double rounded = std::ldexp(std::nearbyint(scaled), exponent - 24);
    const auto expected = std::fabs(rounded) < 0x1p-126L ? 0.0F : static_cast<float>(rounded);
    flushed += expected == 0.0F ? 1 : 0;
    ASSERT_EQ(fma_flushed(x, y, sum), expected) << x << " * " << y << " + " << sum;
  }
  EXPECT_GT(flushed, 1000);
}

}  // namespace
}  // namespace corbel
