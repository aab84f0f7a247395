#include "corbel/format/bare_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace corbel {
namespace {

using testing::ElementsAre;

/// Tensors of one float each.
class Named final : public TensorSource {
 public:
  explicit Named(std::vector<std::string> names) : names_(std::move(names)) {}
  std::optional<SourceTensor> find(std::string_view name) const override {
    for (const std::string& known : names_) {
      if (known == name)
        return SourceTensor{known, *find_weight_format("f32"), {1}, std::as_bytes(std::span(&value_, 1)), "file"};
    }
    return std::nullopt;
  }
  std::vector<std::string> names() const override { return names_; }
  std::string description() const override { return "here"; }

 private:
  std::vector<std::string> names_;
  float value_ = 1.0F;
};

TEST(BareNames, ACheckpointWithoutItsHeadIsShownUnderFullNames) {
  const auto source = with_full_names(std::make_shared<Named>(
      std::vector<std::string>{"embed_tokens.weight", "layers.0.mlp.up_proj.weight", "norm.weight"}));
  EXPECT_THAT(source->names(),
              ElementsAre("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight"));
  const auto tensor = source->find("model.norm.weight");
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->name, "model.norm.weight");
  EXPECT_FALSE(source->has("norm.weight"));
  EXPECT_FALSE(source->has("model.model.norm.weight"));
  EXPECT_EQ(source->describe("model.lm_head.weight"), "absent");
}

TEST(BareNames, OtherCheckpointsAreLeftAsTheyAre) {
  for (const auto& names : {std::vector<std::string>{"model.embed_tokens.weight", "model.norm.weight"},
                            {"embed_tokens.weight", "lm_head.weight"},
                            {"embed_tokens.weight", "model.norm.weight"},
                            {"transformer.wte.weight"}}) {
    const auto bare = std::make_shared<Named>(names);
    EXPECT_EQ(with_full_names(bare), bare);
  }
}

}  // namespace
}  // namespace corbel
