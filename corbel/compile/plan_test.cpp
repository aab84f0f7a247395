#include "corbel/compile/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "corbel/format/seeded_source.h"

namespace corbel {
namespace {

using testing::HasSubstr;

/// A model of one layer, as far as a plan looks at it.
TextModelInfo one_layer(const Shape& up = {512, 256}) {
  TextModelInfo info;
  info.weights = {{"embed_tokens.weight", {1000, 256}, true, "embed_tokens"},
                  {"norm.weight", {256}},
                  {"mlp.up_proj.weight", up, false, "mlp.gate_proj"}};
  return info;
}

Result<CompilePlan> plan_for(const TextModelInfo& info, const std::string& quant,
                             const std::vector<std::string>& keep = {}) {
  const SeededSource source(1, DType::bf16, {});
  PlanRequest request;
  request.quant = *find_quant(quant, 0);
  for (const std::string& rule : keep) request.keep.push_back(*parse_keep_rule(rule));
  return plan_tensors(info, source, request);
}

TEST(QuantNames, AGroupThatAFormatDoesNotOfferIsRefusedWithThoseItDoes) {
  EXPECT_EQ(find_quant("w4", 0)->matrices, &w4g16_format());
  EXPECT_EQ(find_quant("w4", 8)->matrices, &w4g8_format());
  const auto refused = find_quant("w4", 24);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("groups of 16 or 8"));
  EXPECT_THAT(find_quant("bf16", 16).error().message, HasSubstr("no groups"));
  EXPECT_THAT(find_quant("w3", 0).error().message, HasSubstr("known: f32, bf16"));
}

TEST(KeepRule, IsRefusedWithoutAFormatThatIsKnownOrAnExpressionThatCompiles) {
  EXPECT_EQ(parse_keep_rule("a=b=w8")->pattern, "a=b");
  EXPECT_THAT(parse_keep_rule("down_proj").error().message, HasSubstr("REGEX=FORMAT"));
  EXPECT_THAT(parse_keep_rule("down_proj=w5").error().message, HasSubstr("known: f32"));
  EXPECT_THAT(parse_keep_rule("a(b=w8").error().message, HasSubstr("--keep"));
}

TEST(Plan, VectorsStayAndMatricesAndTiedHeadsGetTheirFormats) {
  const auto plan = plan_for(one_layer(), "w4");
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->tensors[0].format, find_quant("w4", 0)->heads);
  EXPECT_EQ(plan->tensors[1].format, &bf16_format());
  EXPECT_EQ(plan->tensors[2].format, &w4g16_format());
  EXPECT_EQ(plan->tensors[2].bytes, w4g16_format().matrix_bytes(512, 256));
  EXPECT_EQ(plan->bytes, plan->tensors[0].bytes + 512 + plan->tensors[2].bytes);
}

TEST(Plan, AMatrixThatPaddingWouldMakeLargerStaysAsItIs) {
  for (const Shape& shape : {Shape{1, 256}, Shape{3, 256}, Shape{512, 1}, Shape{512, 3}}) {
    const auto plan = plan_for(one_layer(shape), "w4");
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->tensors[2].format, &bf16_format()) << to_string(shape);
    EXPECT_THAT(plan->tensors[2].reason, HasSubstr("would be larger"));
  }
  EXPECT_EQ(plan_for(one_layer({10036, 352}), "w4")->tensors[2].format, &w4g16_format());
}

TEST(Plan, TheFirstKeepRuleThatMatchesHoldsAndOneThatMatchesNothingIsRefused) {
  const auto plan = plan_for(one_layer(), "w4", {"up_proj=w6g8", "^embed=w8"});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->tensors[2].format, &w6g8_format());
  EXPECT_EQ(plan->tensors[0].format, &w8_format());
  const auto refused = plan_for(one_layer(), "w4", {"gate_up=w8"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("matches none of the model's 3 tensors"));
  EXPECT_THAT(plan_for(one_layer(), "w4", {"norm=w8"}).error().message, HasSubstr("vector of 256 values"));
}

TEST(Plan, APromiseOfAnother16BitTypeIsRefusedUnlessForced) {
  const SeededSource source(1, DType::bf16, {});
  PlanRequest request{.quant = *find_quant("w4", 0), .activations = &f16_format()};
  const auto refused = plan_tensors(one_layer(), source, request);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("!!!!"));
  request.force = true;
  EXPECT_TRUE(plan_tensors(one_layer(), source, request));
  request.force = false;
  request.activations = &bf16_format();
  EXPECT_TRUE(plan_tensors(one_layer(), source, request));
}

}  // namespace
}  // namespace corbel
