#include "corbel/metrics/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace corbel {
namespace {

using Numbers = std::vector<float>;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Comparison compare(const Numbers& actual, const Numbers& expected, std::int64_t columns, double bound = 0.1) {
  return compare_rows(actual, expected, columns, bound).value();
}

TEST(CompareRows, GivesTheFiguresWorkedOutByHand) {
  // Row 0: |d| = 1 (at column 1), |e| = 5. Row 1: |d| = 2 at column 0, |e| = sqrt(2).
  const Comparison c = compare({3, 5, 3, 1}, {3, 4, 1, 1}, 2);
  EXPECT_TRUE(c.finite);
  EXPECT_DOUBLE_EQ(c.worst_row_error, 2 / std::sqrt(2.0));
  EXPECT_EQ(c.worst_row, 1);
  EXPECT_DOUBLE_EQ(c.overall_error, std::sqrt(5.0 / 27.0));
  EXPECT_DOUBLE_EQ(c.sqnr_db, 10 * std::log10(27.0 / 5.0));
  EXPECT_DOUBLE_EQ(c.max_abs_diff, 2);
  EXPECT_EQ(to_string(c.max_abs_position), "[row 1, column 0]");
  // Means 3 and 9/4; deviations (0, 2, 0, -2) and (3/4, 7/4, -5/4, -5/4): 6 / sqrt(8 * 27/4).
  EXPECT_DOUBLE_EQ(c.pcc, 6 / std::sqrt(54.0));
}

TEST(CompareRows, FindsOneBadRowInAHundredThatPccDoesNotSee) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  Numbers expected;
  for (int i = 0; i < 100 * 64; ++i) expected.push_back(normal(random));
  Numbers actual = expected;
  for (int i = 0; i < 64; ++i) {
    expected[37 * 64 + i] *= 0.01f;                // a row of small numbers,
    actual[37 * 64 + i] = -expected[37 * 64 + i];  // all with the wrong sign
  }
  const Comparison c = compare(actual, expected, 64);
  EXPECT_GT(c.pcc, 0.999);
  EXPECT_LT(c.overall_error, 0.01);
  EXPECT_EQ(c.worst_row, 37);
  EXPECT_NEAR(c.worst_row_error, 2, 1e-12);
  EXPECT_FALSE(c.within(0.1));
}

TEST(CompareRows, SeesAScaleThatPccDoesNotSee) {
  const Comparison c = compare({2, 4, -6}, {1, 2, -3}, 3);
  EXPECT_DOUBLE_EQ(c.pcc, 1);
  EXPECT_DOUBLE_EQ(c.worst_row_error, 1);
}

TEST(CompareRows, EqualNumbersHaveNoError) {
  const Comparison c = compare({1, 2, 3, 4}, {1, 2, 3, 4}, 2, 0);
  EXPECT_EQ(c.worst_row_error, 0);
  EXPECT_EQ(c.overall_error, 0);
  EXPECT_DOUBLE_EQ(c.pcc, 1);
  EXPECT_EQ(c.sqnr_db, kInfinity);
  EXPECT_EQ(c.max_abs_diff, 0);
  EXPECT_FALSE(c.first_bad);
  EXPECT_TRUE(c.within(0));
}

TEST(CompareRows, AZeroRowIsRightOnlyWhenItIsZero) {
  EXPECT_EQ(compare({0, 0, 1, 1}, {0, 0, 1, 1}, 2).worst_row_error, 0);
  const Comparison c = compare({1, 1, 0, 1e-30f}, {1, 1, 0, 0}, 2);
  EXPECT_EQ(c.worst_row_error, kInfinity);
  EXPECT_EQ(c.worst_row, 1);
  EXPECT_EQ(to_string(*c.first_bad), "[row 1, column 1]");
  EXPECT_FALSE(c.within(1e300));
  EXPECT_EQ(compare({0, 1}, {0, 0}, 2).sqnr_db, -kInfinity);
}

TEST(CompareRows, TheFirstBadElementIsTheFirstThatExceedsItsShareOfTheRowsBound) {
  // Row 1 of norm 2 and bound 0.1: each of the four elements may be 0.1 off.
  const Comparison c = compare({1, 1, 1, 1, 1.05f, 1.09f, 1.15f, 3}, {1, 1, 1, 1, 1, 1, 1, 1}, 4);
  EXPECT_EQ(to_string(*c.first_bad), "[row 1, column 2]");
}

TEST(CompareRows, HasAFirstBadElementExactlyWhenARowBreaksTheBound) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (int round = 0; round < 500; ++round) {
    Numbers expected(24);
    Numbers actual(24);
    for (std::size_t i = 0; i < 24; ++i) {
      expected[i] = normal(random);
      actual[i] = expected[i] + 0.06f * normal(random);
    }
    const Comparison c = compare(actual, expected, 8, 0.07);
    EXPECT_EQ(c.first_bad.has_value(), !c.within(0.07)) << "round " << round;
  }
}

TEST(CompareRows, ANumberThatIsNotFiniteFailsWhereverItIs) {
  for (const float value : {kNan, kInf, -kInf}) {
    const Numbers good{1, 2, 3, 4};
    const Numbers bad{1, 2, 3, value};
    for (const auto& [actual, expected] : {std::pair(good, bad), std::pair(bad, good), std::pair(bad, bad)}) {
      const Comparison c = compare(actual, expected, 2, kInfinity);
      EXPECT_FALSE(c.finite);
      EXPECT_FALSE(c.within(kInfinity));
      EXPECT_EQ(c.worst_row_error, kInfinity);
      EXPECT_EQ(c.worst_row, 1);
      EXPECT_EQ(c.overall_error, kInfinity);
      EXPECT_EQ(c.max_abs_diff, kInfinity);
      EXPECT_EQ(c.pcc, 0);
      EXPECT_EQ(c.sqnr_db, -kInfinity);
      EXPECT_EQ(to_string(c.max_abs_position), "[row 1, column 1]");
    }
    EXPECT_EQ(to_string(*compare(bad, good, 2).first_bad), "[row 1, column 1]");
  }
}

TEST(CompareRows, TheLargestFloatsDoNotOverflow) {
  const float huge = std::numeric_limits<float>::max();
  const Comparison c = compare({huge, -huge}, {-huge, huge}, 2);
  EXPECT_DOUBLE_EQ(c.worst_row_error, 2);
  EXPECT_DOUBLE_EQ(c.pcc, -1);
}

TEST(CompareRows, ConstantsAreCorrelatedOnlyWhenTheyAreEqual) {
  EXPECT_EQ(compare({2, 2}, {2, 2}, 2).pcc, 1);
  EXPECT_EQ(compare({2, 2}, {3, 3}, 2).pcc, 0);
  EXPECT_EQ(compare({2, 2}, {1, 3}, 2).pcc, 0);
}

TEST(CompareRows, RefusesSizesThatDoNotFit) {
  const Numbers two{1, 2};
  const Numbers four{1, 2, 3, 4};
  EXPECT_EQ(compare_rows(two, four, 2, 0).error().message, "cannot compare 2 numbers with 4 expected ones");
  EXPECT_EQ(compare_rows(four, four, 3, 0).error().message, "cannot compare 4 numbers as rows of 3");
  EXPECT_EQ(compare_rows(four, four, 0, 0).error().message, "cannot compare rows of 0 columns");
  EXPECT_TRUE(compare_rows({}, {}, 3, 0)->within(0));
}

TEST(KlDivergence, GivesTheValueWorkedOutByHand) {
  // softmax(0, ln 3) = (1/4, 3/4) against (1/2, 1/2).
  const float ln3 = std::log(3.0f);
  const double want = 0.25 * std::log(0.5) + 0.75 * std::log(1.5);
  EXPECT_NEAR(kl_divergence(Numbers{7, 7}, Numbers{0, ln3}), want, 1e-7);  // ln 3 is rounded to float
  const double reversed = 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3.0);
  EXPECT_NEAR(kl_divergence(Numbers{0, ln3}, Numbers{7, 7}), reversed, 1e-7);
}

TEST(KlDivergence, IsZeroForTheSameDistributionAndIgnoresAShiftOfAllLogits) {
  EXPECT_EQ(kl_divergence(Numbers{1, 2, 3}, Numbers{1, 2, 3}), 0);
  EXPECT_NEAR(kl_divergence(Numbers{101, 102, 103}, Numbers{1, 2, 3}), 0, 1e-14);
}

TEST(KlDivergence, SurvivesLogitsThatAreFarApart) {
  EXPECT_NEAR(kl_divergence(Numbers{0, 2000}, Numbers{2000, 0}), 2000, 1e-9);
  EXPECT_EQ(kl_divergence(Numbers{0, 3e38f}, Numbers{0, 3e38f}), 0);
}

TEST(KlDivergence, IsInfiniteWhereItMeansNothing) {
  EXPECT_EQ(kl_divergence(Numbers{1, kNan}, Numbers{1, 2}), kInfinity);
  EXPECT_EQ(kl_divergence(Numbers{1, 2}, Numbers{1, -kInf}), kInfinity);
  EXPECT_EQ(kl_divergence(Numbers{1}, Numbers{1, 2}), kInfinity);
  EXPECT_EQ(kl_divergence(Numbers{}, Numbers{}), kInfinity);
}

TEST(Top1Agreement, IsTheShareOfRowsWithTheSameLargestLogit) {
  const Numbers actual{1, 2, 3, 9, 2, 3, 5, 5, 1};
  const Numbers expected{0, 0, 1, 0, 4, 1, 7, 6, 7};
  EXPECT_DOUBLE_EQ(top1_agreement(actual, expected, 3).value(), 2.0 / 3.0);  // ties in row 2: the lower place wins
  EXPECT_EQ(top1_agreement(Numbers{kNan, 1}, Numbers{kNan, 1}, 2).value(), 0);
  EXPECT_EQ(top1_agreement(Numbers{}, Numbers{}, 2).value(), 1);
  EXPECT_FALSE(top1_agreement(Numbers{1}, Numbers{}, 1));
}

}  // namespace
}  // namespace corbel
