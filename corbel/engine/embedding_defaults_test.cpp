#include "corbel/engine/embedding_defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace corbel {
namespace {

using testing::HasSubstr;

class EmbeddingDefaultsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "1_Pooling");
  }
  void write(const char* name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  Result<EmbeddingDefaults> read() { return read_embedding_defaults(FolderFiles(folder_)); }
  std::string refusal() {
    const auto defaults = read();
    return defaults ? std::string("taken") : defaults.error().message;
  }
  std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / "embedding_defaults";
};

// As huggingface.co/Qwen/Qwen3-Embedding-0.6B has them.
constexpr const char* kModules = R"([
  {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
  {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
  {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])";
constexpr const char* kLastToken = R"({"word_embedding_dimension": 1024, "pooling_mode_cls_token": false,
  "pooling_mode_mean_tokens": false, "pooling_mode_max_tokens": false, "pooling_mode_mean_sqrt_len_tokens": false,
  "pooling_mode_weightedmean_tokens": false, "pooling_mode_lasttoken": true, "include_prompt": true})";

TEST_F(EmbeddingDefaultsTest, AFolderWithoutTheFilesSaysNothing) {
  const auto defaults = read();
  ASSERT_TRUE(defaults) << defaults.error().message;
  EXPECT_FALSE(defaults->pooling);
  EXPECT_FALSE(defaults->normalize);
  EXPECT_TRUE(defaults->prompts.empty());
}

TEST_F(EmbeddingDefaultsTest, ModulesPoolingPromptsAndLimitsAreRead) {
  write("modules.json", kModules);
  write("1_Pooling/config.json", kLastToken);
  write("config_sentence_transformers.json",
        R"({"prompts": {"query": "Instruct: find\nQuery:", "document": ""}, "default_prompt_name": null,
            "similarity_fn_name": "cosine"})");
  write("sentence_bert_config.json", R"({"max_seq_length": 512, "do_lower_case": false})");
  const auto defaults = read();
  ASSERT_TRUE(defaults) << defaults.error().message;
  EXPECT_EQ(defaults->pooling, Pooling::last);
  EXPECT_EQ(defaults->normalize, true);
  EXPECT_EQ(defaults->max_tokens, 512);
  EXPECT_EQ(defaults->prompts.at("query"), "Instruct: find\nQuery:");
  EXPECT_EQ(defaults->default_prompt, "");
}

TEST_F(EmbeddingDefaultsTest, NewFilesNameThePoolingInOneWord) {
  write("1_Pooling/config.json", R"({"embedding_dimension": 8, "pooling_mode": "mean", "include_prompt": false})");
  const auto defaults = read();
  ASSERT_TRUE(defaults) << defaults.error().message;
  EXPECT_EQ(defaults->pooling, Pooling::mean);
  EXPECT_FALSE(defaults->includes_prompt);
}

TEST_F(EmbeddingDefaultsTest, WhatWouldGiveOtherVectorsIsRefusedByName) {
  write("1_Pooling/config.json", R"({"pooling_mode_cls_token": true})");
  EXPECT_THAT(refusal(), HasSubstr("cls_token"));
  write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true})");
  EXPECT_THAT(refusal(), HasSubstr("mean_tokens+max_tokens"));
  write("modules.json", R"([{"path": "3_Dense", "type": "sentence_transformers.models.Dense"}])");
  EXPECT_THAT(refusal(), HasSubstr("sentence_transformers.models.Dense"));
  write("modules.json", R"([{"path": "../../etc", "type": "sentence_transformers.models.Pooling"}])");
  EXPECT_THAT(refusal(), HasSubstr("../../etc"));
  write("modules.json", "{}");
  EXPECT_THAT(refusal(), HasSubstr("no array"));
  write("modules.json", "[]");
  write("config_sentence_transformers.json", R"({"prompts": {}, "default_prompt_name": "query"})");
  EXPECT_THAT(refusal(), HasSubstr("\"query\""));
}

}  // namespace
}  // namespace corbel
