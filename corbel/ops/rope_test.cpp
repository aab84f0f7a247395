#include "corbel/ops/rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

namespace corbel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kUnit = 0x1p-24;

std::vector<float> table(const RopeTable::Spec& spec, std::vector<std::int32_t> positions,
                         std::vector<std::int32_t> lengths) {
  const auto rows = static_cast<std::int64_t>(lengths.size());
  const auto axes = static_cast<std::int64_t>(positions.size()) / rows;
  std::vector<float> out(rows * spec.rotary_dim);
  RopeTable::reference(spec, {make_view(positions.data(), {rows, axes}), make_view(lengths.data(), {rows}),
                              make_view(out.data(), {rows, 2, spec.rotary_dim / 2})});
  return out;
}

TEST(RopeTable, HoldsCosinesThenSinesOfTheFirstAxisTimesTheFactor) {
  const RopeTable::Spec spec{.rotary_dim = 4, .inv_freq = {0.5F, 0.25F}, .factor = 2.0F};
  const auto f = [](double x) { return static_cast<float>(x); };
  EXPECT_THAT(table(spec, {2, 99, 0, 99}, {1, 1}),
              ElementsAre(2 * f(std::cos(1.0)), 2 * f(std::cos(0.5)), 2 * f(std::sin(1.0)), 2 * f(std::sin(0.5)),  //
                          2, 2, 0, 0));
}

// The angle is one f32 product by contract; long double's cosine of it differs from the stored one by half a unit.
TEST(RopeTable, IsTheRoundedCosineOfTheRoundedAngleAlsoFarOut) {
  const float frequency = 0.74989420933F;
  const RopeTable::Spec spec{.rotary_dim = 2, .inv_freq = {frequency}};
  for (const std::int32_t position : {1, 1000, 131071, 1048575, 16777217}) {
    const std::vector<float> found = table(spec, {position}, {1});
    const long double angle = static_cast<float>(position) * frequency;
    EXPECT_LE(std::fabs(found[0] - std::cos(angle)), 0.5001L * kUnit) << position;
    EXPECT_LE(std::fabs(found[1] - std::sin(angle)), 0.5001L * kUnit) << position;
  }
}

TEST(RopeTable, TakesTheLongFrequenciesOfSequencesLongerThanTheLimit) {
  const RopeTable::Spec spec{.rotary_dim = 2,
                             .inv_freq = {0.0F},
                             .factor = 3.0F,
                             .long_inv_freq = {1.0F},
                             .long_factor = 5.0F,
                             .long_after = 10};
  EXPECT_THAT(table(spec, {1, 1}, {10, 11}),
              ElementsAre(3, 0, 5 * static_cast<float>(std::cos(1.0)), 5 * static_cast<float>(std::sin(1.0))));
}

// By exp and log instead of pow: a double's error there is far below f32's half unit, but may fall on the other side.
TEST(RopeTable, StretchesTheBaseOfSequencesLongerThanTheLimit) {
  RopeTable::Spec spec{.rotary_dim = 8, .inv_freq = {1, 0.1F, 0.01F, 0.001F}, .long_after = 100};
  spec.dynamic_factor = 2.0;
  spec.dynamic_base = 10000.0;
  EXPECT_EQ(table(spec, {1}, {100})[1], static_cast<float>(std::cos(static_cast<double>(0.1F))));
  const std::vector<float> found = table(spec, {1}, {300});
  const double base = 10000.0 * std::exp(8.0 / 6.0 * std::log(2.0 * 300.0 / 100.0 - 1.0));
  for (int i = 0; i < 4; ++i) {
    const double frequency = std::exp(-i / 4.0 * std::log(base));
    EXPECT_NEAR(found[4 + i], std::sin(frequency), 2.0 * kUnit * frequency) << i;
  }
}

TEST(RopeTable, RefusesWhatItDoesNotDefine) {
  struct Refusal {
    std::function<void(RopeTable::Spec&)> spoil;
    std::string_view message;
  };
  const Refusal refusals[] = {
      {[](auto& s) { s.rotary_dim = 0; }, "rotary_dim is 0"},
      {[](auto& s) { s.rotary_dim = 3; }, "rotary_dim is 3, it must be even"},
      {[](auto& s) { s.rotary_dim = std::int64_t{1} << 40; }, "rotary_dim is 1099511627776"},
      {[](auto& s) { s.inv_freq.pop_back(); }, "inv_freq has 1 values, rotary_dim / 2 is 2"},
      {[](auto& s) { s.inv_freq[1] = HUGE_VALF; }, "inv_freq[1] is inf"},
      {[](auto& s) { s.factor = std::numeric_limits<float>::quiet_NaN(); }, "factor is nan"},
      {[](auto& s) { s.long_after = -1; }, "long_after is -1"},
      {[](auto& s) { s.long_inv_freq = {1.0F}; }, "long_inv_freq has 1 values"},
      {[](auto& s) { s.dynamic_factor = -2.0; }, "dynamic_factor is -2"},
      {[](auto& s) { s.dynamic_factor = 2.0; }, "dynamic_base is 0"},
      {[](auto& s) { s.dynamic_factor = 2.0, s.dynamic_base = 1e4; }, "long_after (with dynamic_factor) is 0"},
      {[](auto& s) { s.dynamic_factor = 2.0, s.dynamic_base = 1e4, s.long_after = 9, s.long_inv_freq = s.inv_freq; },
       "both set"},
      {[](auto& s) {
         s.dynamic_factor = 2.0, s.dynamic_base = 1e4, s.long_after = 9, s.rotary_dim = 2, s.inv_freq.pop_back();
       },
       "dynamic_factor needs at least 4"},
  };
  const RopeTable::Spec good{.rotary_dim = 4, .inv_freq = {1.0F, 0.1F}};
  ASSERT_TRUE(RopeTable::check(good));
  for (const Refusal& refusal : refusals) {
    RopeTable::Spec spec = good;
    refusal.spoil(spec);
    const Result<void> checked = RopeTable::check(spec);
    ASSERT_FALSE(checked) << refusal.message;
    EXPECT_THAT(checked.error().message, HasSubstr(std::string(refusal.message)));
  }
}

std::vector<float> rotate(const RopeApply::Spec& spec, std::vector<float> x, std::vector<float> angles) {
  RopeApply::reference(spec, {make_view(x.data(), {1, spec.heads, spec.head_dim}),
                              make_view(angles.data(), {1, 2, spec.rotary_dim / 2})});
  return x;
}

TEST(RopeApply, RotatesPartnersByAQuarterTurnAndLeavesTheRest) {
  // cos 0, sin 1: first' = -second, second' = first.
  EXPECT_THAT(rotate({1, 5, 4}, {1, 2, 3, 4, 5}, {0, 0, 1, 1}), ElementsAre(-3, -4, 1, 2, 5));
  EXPECT_THAT(rotate({1, 5, 4, RopeApply::Layout::interleaved}, {1, 2, 3, 4, 5}, {0, 0, 1, 1}),
              ElementsAre(-2, 1, -4, 3, 5));
  EXPECT_THAT(rotate({2, 2, 2}, {1, 2, 3, 4}, {0, 1}), ElementsAre(-2, 1, -4, 3));
}

TEST(RopeApply, RotatesHeadsThatArePartOfWiderRows) {
  std::vector<float> x = {1, 2, 9, 3, 4, 9};
  std::vector<float> angles = {0, 1, 0, 1};
  TensorView view = make_view(x.data(), {2, 3});
  view.shape = {2, 2};
  RopeApply::reference({1, 2, 2}, {view, make_view(angles.data(), {2, 2, 1})});
  EXPECT_THAT(x, ElementsAre(-2, 1, 9, -4, 3, 9));
}

// Two products and a sum, each rounded: (|a| + |b|) u for the products, u of the result.
TEST(RopeApply, StaysWithinTheBoundOfItsArithmeticFromDouble) {
  CaseMemory memory(4);
  const TensorView x = memory.input(DType::f32, {9, 4, 64}, 2.0F);
  const TensorView angles = memory.input(DType::f32, {9, 2, 32});
  const TensorView turned = memory.output(DType::f32, {9, 4, 64});
  std::memcpy(turned.data, x.data, 9 * 4 * 64 * 4);
  RopeApply::reference({4, 64, 64}, {turned, angles});
  for (std::int64_t i = 0; i < 9 * 4 * 32; ++i) {
    const std::int64_t head = i / 32;
    const auto* at = static_cast<const float*>(x.data) + head * 64 + i % 32;
    const auto* found = static_cast<const float*>(turned.data) + head * 64 + i % 32;
    const auto* angle = static_cast<const float*>(angles.data) + head / 4 * 64 + i % 32;
    const double a = at[0];
    const double b = at[32];
    const double first = a * angle[0] - b * angle[32];
    const double second = b * angle[0] + a * angle[32];
    const double bound = 2.01 * kUnit * (std::fabs(a) + std::fabs(b));
    EXPECT_LE(std::fabs(found[0] - first), bound);
    EXPECT_LE(std::fabs(found[32] - second), bound);
  }
}

TEST(RopeApply, RefusesWhatItDoesNotDefine) {
  const auto message = [](const RopeApply::Spec& spec) {
    const Result<void> checked = RopeApply::check(spec);
    return checked ? std::string("accepted") : checked.error().message;
  };
  EXPECT_EQ(message({4, 64, 64}), "accepted");
  EXPECT_THAT(message({0, 64, 64}), HasSubstr("heads is 0"));
  EXPECT_THAT(message({4, 2000, 64}), HasSubstr("head_dim is 2000, it must be between 1 and 1024"));
  EXPECT_THAT(message({4, 64, 65}), HasSubstr("rotary_dim is 65, it must be even"));
  EXPECT_THAT(message({4, 64, 66}), HasSubstr("rotary_dim is 66, it exceeds head_dim 64"));
  EXPECT_THAT(message({4, 64, 64, static_cast<RopeApply::Layout>(7)}), HasSubstr("layout is 7"));
}

}  // namespace
}  // namespace corbel
