#include "corbel/model/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "corbel/format/seeded_source.h"
#include "corbel/model/decoder_config.h"

namespace corbel {
namespace {

using testing::HasSubstr;

Result<std::unique_ptr<TextModel>> make_plain(const ModelSource& source, const Device& device) {
  CORBEL_ASSIGN(CausalLmDescription description, read_decoder_config(source));
  return make_causal_lm_model(std::move(description), "plain", source, device);
}

const std::vector<ModelFamily> kFamilies = {{"plain", {"PlainForCausalLM"}, make_plain}};

Json plain_config() {
  return Json::parse(
      R"({"architectures": ["PlainForCausalLM"], "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                         "num_key_value_heads": 2, "intermediate_size": 48, "vocab_size": 100, "max_position_embeddings": 256,
                         "tie_word_embeddings": true})");
}

Result<std::unique_ptr<TextModel>> make(const Json& config) {
  static const std::unique_ptr<Device> device = make_reference_device();
  auto source = std::make_shared<SeededSource>(1, DType::bf16, std::vector<std::string>{});
  return make_text_model(config, "config.json", std::move(source), *device, kFamilies);
}

std::string refusal(const Json& config) {
  const auto model = make(config);
  return model ? "accepted" : model.error().message;
}

TEST(MakeTextModel, ReadsSizesFromTheConfig) {
  const auto model = make(plain_config());
  ASSERT_TRUE(model) << model.error().message;
  const TextModelInfo& info = (*model)->info();
  EXPECT_EQ(info.vocab, 100);
  EXPECT_EQ(info.layers, 2);
  EXPECT_EQ(info.max_positions, 256);
  ASSERT_EQ(info.cache.groups.size(), 1U);
  EXPECT_EQ(info.cache.groups[0].page.kv_heads, 2);
  // 2 heads x 64 tokens in bf16 of 8 dimensions for keys, of a whole brick of 16 for values; 2 layers.
  EXPECT_EQ(info.cache.bytes_per_page(), 2 * 64 * 2 * (8 + 16) * 2);
}

TEST(MakeTextModel, AnUnknownArchitectureIsAnsweredWithTheKnownOnesAndHowToAddOne) {
  Json config = plain_config();
  config["architectures"] = {"Elsewhere"};
  EXPECT_THAT(refusal(config), HasSubstr("\"architectures\" is \"Elsewhere\"; known: PlainForCausalLM"));
  EXPECT_THAT(refusal(config), HasSubstr("tools/new.py model NAME"));
  config.erase("architectures");
  EXPECT_THAT(refusal(config), HasSubstr("\"architectures\" is missing"));
}

TEST(MakeTextModel, NamesTheFieldThatIsWrong) {
  const auto with = [](const char* key, const Json& value) {
    Json config = plain_config();
    config[key] = value;
    return refusal(config);
  };
  EXPECT_THAT(with("hidden_size", "wide"), HasSubstr("hidden_size"));
  EXPECT_THAT(with("num_hidden_layers", -1), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(with("num_hidden_layers", 1e12), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(with("vocab_size", nullptr), HasSubstr("vocab_size"));
  EXPECT_THAT(with("num_key_value_heads", 3), HasSubstr("q_heads=4 is not a multiple of kv_heads=3"));
  EXPECT_THAT(with("hidden_size", 30), HasSubstr("is not a multiple of \"num_attention_heads\""));
  EXPECT_THAT(with("hidden_act", "mish"), HasSubstr("mish"));
  EXPECT_THAT(with("rms_norm_eps", 0), HasSubstr("eps"));
  EXPECT_THAT(with("rope_scaling", Json{{"rope_type", "yarn2"}, {"factor", 2.0}}), HasSubstr("yarn2"));
  EXPECT_THAT(with("rope_scaling", Json{{"rope_type", "linear"}, {"factor", 0.5}}), HasSubstr("factor"));
  EXPECT_THAT(with("rope_theta", -1.0), HasSubstr("rope_theta"));
  EXPECT_THAT(with("head_dim", 7), HasSubstr("rotary"));
}

TEST(MakeTextModel, LayersWithDifferentWindowsGetCachesOfTheirOwn) {
  Json config = plain_config();
  config["layer_types"] = {"sliding_attention", "full_attention"};
  const std::vector<ModelFamily> families = {
      {"windows", {"PlainForCausalLM"}, [](const ModelSource& source, const Device& device) {
         CausalLmDescription description = *read_decoder_config(source);
         apply_layer_types(source.config, 16, description.spec).value();
         return make_causal_lm_model(std::move(description), "windows", source, device);
       }}};
  const auto device = make_reference_device();
  auto source = std::make_shared<SeededSource>(1, DType::bf16, std::vector<std::string>{});
  const auto model = make_text_model(config, "config.json", std::move(source), *device, families);
  ASSERT_TRUE(model) << model.error().message;
  const CacheSpec& cache = (*model)->info().cache;
  ASSERT_EQ(cache.groups.size(), 2U);
  EXPECT_EQ(cache.groups[0].kind, CacheGroup::Kind::windowed);
  EXPECT_EQ(cache.groups[0].window, 16);
  EXPECT_EQ(cache.groups[1].kind, CacheGroup::Kind::paged);
}

}  // namespace
}  // namespace corbel
