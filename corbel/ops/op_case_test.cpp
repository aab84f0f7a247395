#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <set>

#include "corbel/format/weight_format.h"
#include "corbel/ops/all_ops.h"

namespace corbel {
namespace {

TEST(CaseMemory, TwoOfOneSeedHoldTheSameInputsAndTwoSeedsDoNot) {
  CaseMemory a(5);
  CaseMemory b(5);
  CaseMemory c(6);
  for (CaseMemory* memory : {&a, &b, &c}) memory->input(DType::f32, {3, 17});
  EXPECT_TRUE(a.same_inputs(b));
  EXPECT_FALSE(a.same_inputs(c));
}

TEST(CaseMemory, AWriteNextToABlockBreaksItsGuards) {
  for (const int where : {-1, 12}) {
    CaseMemory memory(1);
    auto* bytes = static_cast<std::byte*>(memory.output(DType::f32, {3}).data);
    EXPECT_TRUE(memory.guards_intact());
    bytes[where] = std::byte{1};
    EXPECT_FALSE(memory.guards_intact()) << where;
  }
}

TEST(CaseMemory, ResetBringsBackOutputsAndWhatIsChangedInPlace) {
  CaseMemory memory(1);
  const TensorView view = memory.in_place(DType::f32, {4});
  memory.keep_initial();
  auto* values = static_cast<float*>(view.data);
  const float before = values[2];
  values[2] = 99.0F;
  memory.reset();
  EXPECT_EQ(values[2], before);
}

TEST(CaseMemory, InputsSpreadOverTheirRangeAndWeightsMayBeUnaligned) {
  CaseMemory memory(3);
  const TensorView view = memory.input(DType::f32, {1000}, 2.0F);
  const auto* values = static_cast<const float*>(view.data);
  double sum = 0.0;
  double squares = 0.0;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LE(std::fabs(values[i]), 2.0F);
    sum += values[i];
    squares += values[i] * values[i];
  }
  EXPECT_LT(std::fabs(sum / 1000.0), 0.2);        // five standard errors of the mean
  EXPECT_NEAR(squares / 1000.0, 4.0 / 3.0, 0.2);  // variance of a uniform distribution over [-2, 2]
  const std::byte* weight = memory.weight(bf16_format(), 10, 1.0F, 13);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(weight) % 64, 13U);
}

TEST(CaseMemory, HostileRowsHoldZerosNegativeZerosSubnormalsAndHugeValues) {
  CaseMemory memory(3);
  const Rows<const float> rows(memory.hostile_rows({6, 50}));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(rows[1][i]), 0U);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(rows[2][i]), 0x80000000U);
    EXPECT_LT(std::fabs(rows[3][i]), 0x1p-126F);
    EXPECT_LE(std::fabs(rows[4][i]), 1.0001e17F);
  }
  EXPECT_NE(rows[3][0], 0.0F);
  EXPECT_GT(std::fabs(rows[4][0]), 1e10F);
}

TEST(Cases, HaveNamesOfTheirOwnAndSpecsThatTheirOpTakes) {
  const auto look = []<typename Op>(OpList<Op>) {
    std::set<std::string> names;
    for (const OpCase<Op>& one : Op::cases(CaseScale::full)) {
      EXPECT_TRUE(names.insert(one.name).second) << Op::kName << ": " << one.name << " twice";
      const Result<void> checked = Op::check(one.spec);
      EXPECT_TRUE(checked) << one.name << ": " << (checked ? "" : checked.error().message);
    }
  };
  [&]<typename... Ops>(OpList<Ops...>) { (look(OpList<Ops>{}), ...); }(AllOps{});
}

TEST(Cases, NoReferenceGivesNanOrLeavesAnOutputAsItWas) {
  const auto look = []<typename Op>(OpList<Op>) {
    for (const OpCase<Op>& one : Op::cases(CaseScale::quick)) {
      CaseMemory memory(1);
      const typename Op::Args args = one.make_args(memory);
      Op::reference(one.spec, args);
      EXPECT_TRUE(memory.guards_intact()) << Op::kName << ": " << one.name;
      for (const TensorView& view : memory.compared()) {
        if (view.dtype != DType::f32) continue;
        for (std::int64_t i = 0; i < view.shape.elements(); ++i)
          ASSERT_FALSE(std::isnan(static_cast<const float*>(view.data)[i])) << Op::kName << ": " << one.name;
      }
    }
  };
  [&]<typename... Ops>(OpList<Ops...>) { (look(OpList<Ops>{}), ...); }(AllOps{});
}

}  // namespace
}  // namespace corbel
