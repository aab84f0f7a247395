#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/format/gguf_model.h"
#include "corbel/format/hf_folder.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"
#include "corbel/text/chat_template.h"
#include "corbel/text/tokenizer.h"
#include "corbel/verify/golden_report.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

/// A file that tools/golden/gguf_models.py wrote with gguf-py, and the folder that it was made from.
struct Pair {
  const char* gguf;
  const char* folder;
};
constexpr Pair kPairs[] = {
    {"llama_biases_f16", "llama/goldens/all_biases_tied_f16"},
    {"llama_wavelength_bf16", "llama/goldens/rope_llama3_old_bf16"},
    {"qwen2_tied_bf16", "qwen/goldens/qwen2_tied_bf16"},
    {"qwen3_yarn_bf16", "qwen/goldens/qwen3_yarn_bf16"},
};

fs::path gguf_path(const Pair& pair) {
  return fs::path(CORBEL_SOURCE_DIR) / "tests/gguf/models" / cat(pair.gguf, ".gguf");
}
fs::path folder_path(const Pair& pair) { return fs::path(CORBEL_SOURCE_DIR) / "models" / pair.folder; }

class GgufOfGolden : public testing::TestWithParam<Pair> {
 protected:
  void SetUp() override {
    auto opened = GgufModel::open(gguf_path(GetParam()));
    ASSERT_TRUE(opened) << opened.error().message;
    gguf_ = *std::move(opened);
  }
  Json config() const { return *parse_json(*gguf_->text("config.json"), "config.json"); }

  std::unique_ptr<GgufModel> gguf_;
};

TEST_P(GgufOfGolden, AnswersWhatTransformersAnswersForTheCheckpoint) {
  const auto golden = Golden::open(folder_path(GetParam()));
  ASSERT_TRUE(golden) << golden.error().message;
  auto pool = ThreadPool::make(2);
  ASSERT_TRUE(pool);
  for (const DeviceEntry& entry : linked_devices()) {
    auto device = entry.make({}, **pool);
    ASSERT_TRUE(device) << device.error().message;
    const auto model = make_text_model(config(), "config.json", gguf_->tensors(), **device, linked_model_families(),
                                       {.strategy = Strategy::accuracy});
    ASSERT_TRUE(model) << model.error().message;
    const auto report = compare_with_golden(**model, **device, *golden, {});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_GE(report->modules.size(), 4U);
    EXPECT_EQ(report->first_wrong, "");
    EXPECT_LE(report->worst_error(), 1e-5);
    EXPECT_EQ(report->greedy, golden->greedy());
  }
}

TEST_P(GgufOfGolden, HoldsTheTensorsOfTheCheckpointBitForBit) {
  const auto folder = open_hf_folder(folder_path(GetParam()));
  ASSERT_TRUE(folder) << folder.error().message;
  const auto tensors = gguf_->tensors();
  EXPECT_EQ(tensors->names(), (*folder)->names());
  for (const std::string& name : tensors->names()) {
    const SourceTensor found = *tensors->find(name);
    const SourceTensor wanted = *(*folder)->find(name);
    EXPECT_EQ(found.shape, wanted.shape) << name;
    std::vector<float> values(static_cast<std::size_t>(found.shape.elements()));
    std::vector<float> expected(values.size());
    found.format->decode(found.bytes.data(), found.shape.elements(), values.data());
    wanted.format->decode(wanted.bytes.data(), wanted.shape.elements(), expected.data());
    EXPECT_EQ(values, expected) << name;
  }
}

TEST_P(GgufOfGolden, CopiesQueriesAndKeysOnceAndOnlyWhereTheirRowsHaveAnotherOrder) {
  const auto tensors = gguf_->tensors();
  EXPECT_EQ(gguf_->owned_bytes(), 0);
  std::int64_t copied = 0;
  for (int pass = 0; pass < 2; ++pass) {
    copied = 0;
    for (const std::string& name : tensors->names()) {
      const SourceTensor tensor = *tensors->find(name);
      if (tensor.is_copy) copied += static_cast<std::int64_t>(tensor.bytes.size());
    }
    EXPECT_EQ(gguf_->owned_bytes(), copied);
  }
  const bool is_reordered = std::string_view(GetParam().gguf).starts_with("llama");
  EXPECT_EQ(copied > 0, is_reordered);
}

TEST_P(GgufOfGolden, GivesTheConfigOfTheCheckpoint) {
  const Json made = config();
  const Json original = *read_json_file(folder_path(GetParam()) / "config.json");
  for (const char* key :
       {"architectures", "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "vocab_size", "max_position_embeddings", "rms_norm_eps", "hidden_act", "rope_theta",
        "tie_word_embeddings", "torch_dtype", "bos_token_id"}) {
    if (!original.contains(key)) continue;
    EXPECT_EQ(made[key], original[key]) << key;
  }
  if (!original.contains("rope_scaling") || original["rope_scaling"].is_null()) {
    EXPECT_FALSE(made.contains("rope_scaling"));
    return;
  }
  for (const auto& [key, value] : original["rope_scaling"].items())
    EXPECT_EQ(made["rope_scaling"][key == "type" ? "rope_type" : key], value) << key;
}

TEST_P(GgufOfGolden, GivesSpecialTokensTemplatesAndATokenizer) {
  const Json generation = *parse_json(*gguf_->text("generation_config.json"), "generation_config.json");
  EXPECT_EQ(generation["bos_token_id"], 1);
  EXPECT_EQ(generation["eos_token_id"], (Json{2, 3}));  // named by the file, and an end of turn by its text
  const Json tokenizer = *parse_json(*gguf_->text("tokenizer_config.json"), "tokenizer_config.json");
  EXPECT_EQ(tokenizer["bos_token"], "<s>");
  EXPECT_EQ(tokenizer["eos_token"], "</s>");
  EXPECT_EQ(tokenizer["add_bos_token"], true);
  const bool has_several = tokenizer["chat_template"].is_array();
  EXPECT_EQ(gguf_->text("chat_template.jinja").has_value(), !has_several);
  if (has_several) {
    EXPECT_EQ(tokenizer["chat_template"][1]["name"], "tool_use");
  }
  const fs::path copy = fs::path(testing::TempDir()) / cat(GetParam().gguf, "_tokenizer.gguf");
  const std::string bytes = *gguf_->text("tokenizer.gguf");
  ASSERT_TRUE(write_file_atomically(copy, std::as_bytes(std::span(bytes))));
  const auto whole = Tokenizer::load(gguf_path(GetParam()));
  const auto alone = Tokenizer::load(copy);
  fs::remove(copy);
  ASSERT_TRUE(whole && alone) << (whole ? alone.error().message : whole.error().message);
  EXPECT_EQ(*whole->encode("t4t5 t100"), *alone->encode("t4t5 t100"));
  EXPECT_EQ(gguf_->text("tokenizer.json"), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(All, GgufOfGolden, testing::ValuesIn(kPairs),
                         [](const auto& tested) { return std::string(tested.param.gguf); });

}  // namespace
}  // namespace corbel
