#include "corbel/tensor/view.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <vector>

namespace corbel {
namespace {

TEST(Shape, KnowsRankElementsAndEquality) {
  constexpr Shape kShape{2, 3, 4};
  static_assert(kShape.rank() == 3 && kShape.elements() == 24 && kShape[2] == 4);
  EXPECT_EQ(Shape{}.elements(), 1);  // a scalar
  EXPECT_EQ((Shape{0, 7}.elements()), 0);
  EXPECT_TRUE((Shape{2, 3} == Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3} == Shape{3, 2}));
  EXPECT_FALSE((Shape{2, 1} == Shape{2}));
  EXPECT_EQ(to_string(Shape{4096, 512}), "[4096, 512]");
  EXPECT_EQ(to_string(Shape{}), "[]");
}

TEST(ShapeDeathTest, RefusesMoreAxesThanItHolds) {
  const std::vector<std::int64_t> sizes(Shape::kMaxRank + 1, 1);
  EXPECT_DEATH(Shape{std::span(sizes)}, "");
  EXPECT_DEATH((Shape{1, 1, 1, 1, 1, 1}), "");
}

TEST(TensorView, DescribesDenseMemory) {
  std::array<float, 24> values{};
  const TensorView view = make_view(values.data(), {2, 3, 4});
  EXPECT_EQ(view.dtype, DType::f32);
  EXPECT_EQ(view.rows(), 6);
  EXPECT_EQ(view.columns(), 4);
  EXPECT_EQ(view.row_stride, 4);
  EXPECT_FALSE(view.empty());
  EXPECT_TRUE(TensorView{}.empty());
  EXPECT_EQ(make_view(values.data(), {3, 0}).rows(), 0);
}

TEST(TensorView, ARangeOfRowsStartsAtItsFirstRowAlsoWhenRowsAreApart) {
  std::array<std::uint16_t, 40> raw{};
  std::iota(raw.begin(), raw.end(), std::uint16_t{0});
  TensorView view = make_view(raw.data(), DType::bf16, {5, 3});
  view.row_stride = 8;  // five rows of three, eight apart
  const TensorView part = view.row_range(2, 3);
  EXPECT_EQ(part.shape, (Shape{3, 3}));
  EXPECT_EQ(part.row_stride, 8);
  const Rows<bfloat16> rows(part);
  EXPECT_EQ(rows[0][0].bits, 16);
  EXPECT_EQ(rows[2][1].bits, 33);
}

TEST(TensorView, ReshapingKeepsTheMemory) {
  std::array<float, 12> values{};
  const TensorView view = make_view(values.data(), {3, 4}).reshaped({2, 2, 3});
  EXPECT_EQ(view.data, values.data());
  EXPECT_EQ(view.rows(), 4);
  EXPECT_EQ(view.row_stride, 3);
}

TEST(RowsDeathTest, RefuseAViewOfAnotherType) {
  std::array<float, 4> values{};
  EXPECT_DEATH(Rows<bfloat16>{make_view(values.data(), {1, 4})}, "");
}

}  // namespace
}  // namespace corbel
