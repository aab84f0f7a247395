#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "corbel/format/seeded_source.h"
#include "corbel/model/loader.h"

namespace corbel {

ModelFamily llama_family();

namespace {

Json config(const char* architecture) {
  Json fields =
      Json::parse(R"({"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 16, "intermediate_size": 48,
                                "vocab_size": 50, "tie_word_embeddings": true})");
  fields["architectures"] = {architecture};
  return fields;
}

CacheGroup cache_of(const Json& fields) {
  const auto device = make_reference_device();
  const std::vector<ModelFamily> families = {llama_family()};
  auto source = std::make_shared<SeededSource>(1, DType::bf16, std::vector<std::string>{});
  const auto model = make_text_model(fields, "config.json", std::move(source), *device, families);
  EXPECT_TRUE(model) << model.error().message;
  return (*model)->info().cache.groups.front();
}

TEST(MistralConfig, WithoutAWindowKeySlidesAndWithNullDoesNot) {
  Json fields = config("MistralForCausalLM");
  EXPECT_EQ(cache_of(fields).window, 4096);
  fields["sliding_window"] = nullptr;
  EXPECT_EQ(cache_of(fields).window, 0);
  fields["sliding_window"] = 32;
  EXPECT_EQ(cache_of(fields).window, 32);
}

TEST(MistralConfig, WithoutKeyValueHeadsHasEight) {
  EXPECT_EQ(cache_of(config("MistralForCausalLM")).page.kv_heads, 8);
}

TEST(LlamaConfig, KnowsNoWindowAndHasAsManyKeyValueHeadsAsQueryHeads) {
  Json fields = config("LlamaForCausalLM");
  fields["sliding_window"] = 32;
  EXPECT_EQ(cache_of(fields).window, 0);
  EXPECT_EQ(cache_of(fields).page.kv_heads, 16);
}

}  // namespace
}  // namespace corbel
