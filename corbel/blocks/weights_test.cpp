#include "corbel/blocks/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "corbel/blocks/attention.h"
#include "corbel/blocks/ffn.h"

namespace corbel {
namespace {

using testing::HasSubstr;

/// Tensors that a test holds in memory.
class MemorySource final : public TensorSource {
 public:
  void add(const std::string& name, const Shape& shape, float value = 0.5F) {
    std::vector<float>& numbers = numbers_[name];
    numbers.assign(static_cast<std::size_t>(shape.elements()), value);
    tensors_[name] = {name, &f32_format(), shape, std::as_bytes(std::span(numbers)), "memory"};
  }
  std::optional<SourceTensor> find(std::string_view name) const override {
    const auto found = tensors_.find(std::string(name));
    if (found == tensors_.end()) return std::nullopt;
    return found->second;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& entry : tensors_) names.push_back(entry.first);
    return names;
  }
  std::string description() const override { return "memory"; }

 private:
  std::map<std::string, std::vector<float>> numbers_;
  std::map<std::string, SourceTensor> tensors_;
};

const std::vector<WeightRole> kRoles = {
    {"attention", "{layer}.attn"}, {"attention.q", "{layer}.q"},      {"attention.k", "{layer}.k"},
    {"attention.v", "{layer}.v"},  {"attention.output", "{layer}.o"}, {"ffn", "{layer}.ffn"},
    {"ffn.gate", "{layer}.gate"},  {"ffn.up", "{layer}.up"},          {"ffn.down", "{layer}.down"}};

TEST(WeightStore, AMissingTensorIsNamedWithTheShapeItShouldHave) {
  WeightStore store(std::make_shared<MemorySource>());
  const auto weight = store.matrix("layers.3.q.weight", 8, 4);
  ASSERT_FALSE(weight);
  EXPECT_EQ(weight.error().code, Code::bad_file);
  EXPECT_THAT(weight.error().message,
              HasSubstr("tensor \"layers.3.q.weight\" is missing; the model expects it as [8, 4]"));
}

TEST(WeightStore, AWrongShapeIsNamedAsFoundAndAsExpected) {
  auto source = std::make_shared<MemorySource>();
  source->add("w.weight", {4, 8});
  WeightStore store(source);
  const auto weight = store.matrix("w.weight", 8, 4);
  ASSERT_FALSE(weight);
  EXPECT_THAT(weight.error().message, HasSubstr("\"w.weight\" is f32 [4, 8], the model expects [8, 4]"));
}

TEST(WeightStore, ATensorNobodyAskedForIsRefusedUnlessIgnored) {
  auto source = std::make_shared<MemorySource>();
  source->add("a.weight", {4});
  source->add("b.inv_freq", {2});
  source->add("stray.weight", {2});
  WeightStore store(source);
  ASSERT_TRUE(store.vector("a.weight", 4));
  const auto checked = store.check_all_used({"inv_freq"});
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message,
              HasSubstr("1 tensor(s) of the checkpoint are not used by this model: \"stray.weight\""));
  ASSERT_TRUE(store.vector("stray.weight", 2));
  EXPECT_TRUE(store.check_all_used({"inv_freq"}));
}

TEST(WeightStore, AMatrixStaysWhereTheSourceHasItAndIsCountedOnce) {
  auto source = std::make_shared<MemorySource>();
  source->add("w.weight", {2, 3});
  WeightStore store(source);
  const auto first = store.matrix("w.weight", 2, 3);
  const auto again = store.matrix("w.weight", 2, 3);
  ASSERT_TRUE(first);
  ASSERT_TRUE(again);
  EXPECT_EQ(first->data(), source->find("w.weight")->bytes.data());
  EXPECT_EQ(store.mapped_bytes(), 2 * 3 * 4);
  EXPECT_EQ(store.owned_bytes(), 0);
}

TEST(RoleNames, PutTheLayersIndexIntoTheModulesName) {
  const RoleNames names(kRoles);
  EXPECT_EQ(names.at_layer(12).module("attention.q"), "12.q");
  EXPECT_EQ(names.at_layer(0).module("no such role"), "");
}

TEST(MakeLinear, ABiasThatMustBeThereIsMissedAndOneThatIsThereIsUsed) {
  auto source = std::make_shared<MemorySource>();
  source->add("up.weight", {6, 4});
  WeightStore store(source);
  const RoleNames names(kRoles);
  const auto device = make_reference_device();
  const WeightContext context{store, names, *device};
  LinearPlan plan{.in_features = 4};
  plan.parts = {{"up", 6, true}};
  const auto refused = make_linear(plan, context);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("\"up.bias\" is missing"));

  source->add("up.bias", {6});
  plan.parts = {{"up", 6, false}};
  const auto layer = make_linear(plan, context);
  ASSERT_TRUE(layer) << layer.error().message;
  EXPECT_TRUE(layer->op.spec().outputs[0].has_bias);
}

TEST(AttentionSpec, RefusesHeadsThatDoNotDivide) {
  AttentionSpec spec{.hidden = 64, .q_heads = 6, .kv_heads = 4, .head_dim = 16, .rotary = {.rotary_dim = 16}};
  const auto valid = spec.validate();
  ASSERT_FALSE(valid);
  EXPECT_THAT(valid.error().message, HasSubstr("q_heads=6 is not a multiple of kv_heads=4"));
  spec.kv_heads = 3;
  EXPECT_TRUE(spec.validate());
}

TEST(AttentionSpec, RefusesMoreRotatingDimensionsThanAHeadHas) {
  const AttentionSpec spec{.hidden = 64, .q_heads = 4, .kv_heads = 4, .head_dim = 16, .rotary = {.rotary_dim = 32}};
  ASSERT_FALSE(spec.validate());
  EXPECT_THAT(spec.validate().error().message, HasSubstr("rotary_dim=32 exceeds head_dim=16"));
}

TEST(FindActivation, RefusesAnUnknownNameWithTheKnownOnes) {
  EXPECT_EQ(*find_activation("gelu_pytorch_tanh"), Activation::gelu_tanh);
  const auto unknown = find_activation("mish");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("\"hidden_act\" is \"mish\"; known: silu"));
}

TEST(StrategyAccuracy, UsesExactProductsAndFullWidthCaches) {
  const AttentionSpec spec{.hidden = 64, .q_heads = 4, .kv_heads = 4, .head_dim = 16, .rotary = {.rotary_dim = 16}};
  const auto accurate = get_default_impl_config(spec, DeviceInfo{}, Mode::decode, Strategy::accuracy);
  EXPECT_FALSE(accurate.bf16_products);
  EXPECT_EQ(accurate.cache_dtype, DType::f32);
  // Fields that move bits are the same for both phases (law 4).
  for (const Strategy strategy : {Strategy::balanced, Strategy::performance, Strategy::accuracy, Strategy::memory}) {
    const auto prefill = get_default_impl_config(spec, DeviceInfo{}, Mode::prefill, strategy);
    const auto decode = get_default_impl_config(spec, DeviceInfo{}, Mode::decode, strategy);
    EXPECT_EQ(prefill.bf16_products, decode.bf16_products);
    EXPECT_EQ(prefill.cache_dtype, decode.cache_dtype);
  }
}

}  // namespace
}  // namespace corbel
