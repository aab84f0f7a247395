#include "corbel/format/gguf_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "corbel/base/json.h"
#include "corbel/base/test_gguf_bytes.h"
#include "corbel/format/gguf_tensors.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;
namespace g = gguf_bytes;
using testing::HasSubstr;

/// The smallest model there is, key by key and tensor by tensor, so that a test can change one of them.
struct Draft {
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> shape;  // fastest first
    std::uint32_t type = 0;
    std::uint64_t bytes = 0;
  };
  std::vector<std::string> keys = {
      g::string("general.architecture", "llama"),
      g::u32("llama.embedding_length", 8),
      g::u32("llama.block_count", 1),
      g::u32("llama.context_length", 64),
      g::u32("llama.feed_forward_length", 12),
      g::u32("llama.attention.head_count", 2),
      g::u32("llama.attention.head_count_kv", 1),
  };
  std::vector<Tensor> tensors = {
      {"token_embd.weight", {8, 5}, 0, 160},      {"output_norm.weight", {8}, 0, 32},
      {"blk.0.attn_q.weight", {8, 8}, 0, 256},    {"blk.0.attn_k.weight", {8, 4}, 0, 128},
      {"blk.0.attn_v.weight", {8, 4}, 0, 128},    {"blk.0.attn_output.weight", {8, 8}, 0, 256},
      {"blk.0.ffn_gate.weight", {8, 12}, 1, 192},
  };
  std::size_t cut_bytes = 0;

  Draft& without(std::string_view key) {
    std::erase_if(keys, [&](const std::string& bytes) { return bytes.find(key) == 8; });
    return *this;
  }
  Draft& with(std::string key_bytes) {
    keys.push_back(std::move(key_bytes));
    return *this;
  }
  Tensor& tensor(std::string_view name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == name; });
  }
  std::string bytes() const {
    std::string file = g::head(tensors.size(), keys.size());
    for (const std::string& key : keys) file += key;
    std::uint64_t offset = 0;
    for (const Tensor& one : tensors) {
      file += g::tensor(one.name, one.shape, one.type, offset);
      offset += (one.bytes + 31) / 32 * 32;
    }
    file.resize((file.size() + 31) / 32 * 32);
    const std::size_t begin = file.size();
    file.resize(begin + offset);
    for (std::size_t i = begin; i < file.size(); ++i) file[i] = static_cast<char>((i - begin) / 32 % 100);
    file.resize(file.size() - cut_bytes);
    return file;
  }
};

Result<std::unique_ptr<GgufModel>> read(const std::string& bytes) {
  return GgufModel::read(std::as_bytes(std::span(bytes)), "m.gguf");
}
std::string refusal(const Draft& draft) {
  const std::string bytes = draft.bytes();
  const auto model = read(bytes);
  return model ? "accepted" : model.error().message;
}
Json config_of(const Draft& draft) {
  const std::string bytes = draft.bytes();
  const auto model = read(bytes);
  EXPECT_TRUE(model) << model.error().message;
  return *parse_json(*(*model)->text("config.json"), "config.json");
}

TEST(GgufModel, GivesConfigAndTensorsUnderTheNamesOfHuggingFace) {
  const Json config = config_of({});
  EXPECT_EQ(config["architectures"], Json{"LlamaForCausalLM"});
  EXPECT_EQ(config["hidden_size"], 8);
  EXPECT_EQ(config["head_dim"], 4);
  EXPECT_EQ(config["vocab_size"], 5);
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["torch_dtype"], "float32");
  EXPECT_FALSE(config.contains("sliding_window"));
  const std::string bytes = Draft{}.bytes();
  const auto model = read(bytes);
  ASSERT_TRUE(model) << model.error().message;
  const auto tensors = (*model)->tensors();
  EXPECT_THAT(tensors->names(),
              testing::ElementsAre("model.embed_tokens.weight", "model.layers.0.mlp.gate_proj.weight",
                                   "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.o_proj.weight",
                                   "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight",
                                   "model.norm.weight"));
  EXPECT_EQ(tensors->find("model.layers.0.mlp.gate_proj.weight")->shape, Shape({12, 8}));
  EXPECT_EQ(tensors->find("model.layers.0.mlp.gate_proj.weight")->format, &f16_format());
  EXPECT_EQ(tensors->describe("model.norm.weight"), "f32 [8] in m.gguf");
  EXPECT_EQ(tensors->describe("lm_head.weight"), "absent");
}

TEST(GgufModel, PutsTheRowsOfQueriesAndKeysInOrder) {
  const std::string bytes = Draft{}.bytes();
  const auto model = read(bytes);
  ASSERT_TRUE(model) << model.error().message;
  // A row is 32 bytes with its own number: heads of 4 rows 0 1 2 3 become 0 2 1 3.
  const auto rows = [&](const char* name) {
    const SourceTensor tensor = *(*model)->tensors()->find(name);
    std::vector<int> numbers;
    for (std::size_t at = 0; at < tensor.bytes.size(); at += 32)
      numbers.push_back(std::to_integer<int>(tensor.bytes[at]) - std::to_integer<int>(tensor.bytes[0]));
    return numbers;
  };
  EXPECT_EQ(rows("model.layers.0.self_attn.q_proj.weight"), (std::vector<int>{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(rows("model.layers.0.self_attn.k_proj.weight"), (std::vector<int>{0, 2, 1, 3}));
  EXPECT_EQ(rows("model.layers.0.self_attn.v_proj.weight"), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ((*model)->owned_bytes(), 256 + 128);
}

TEST(GgufModel, TheTensorsOutliveTheModel) {
  const std::string bytes = Draft{}.bytes();
  std::shared_ptr<const TensorSource> tensors = (*read(bytes))->tensors();
  EXPECT_EQ(tensors->find("model.norm.weight")->bytes.size(), 32U);
}

TEST(GgufModel, RefusesAnArchitectureThatItDoesNotReadWithTheKnownOnes) {
  EXPECT_THAT(refusal(Draft{}.without("general.architecture")), HasSubstr("\"general.architecture\" is missing"));
  EXPECT_THAT(refusal(Draft{}.without("general.architecture").with(g::string("general.architecture", "mamba"))),
              HasSubstr("\"general.architecture\" is \"mamba\"; known: \"llama\", \"qwen2\", \"qwen3\""));
  EXPECT_THAT(refusal(Draft{}.with(g::u32("llama.expert_count", 8))), HasSubstr("mixtures of experts"));
}

TEST(GgufModel, NamesAMissingKeyAndOneThatMakesNoSense) {
  for (const char* key : {"llama.embedding_length", "llama.block_count", "llama.context_length",
                          "llama.feed_forward_length", "llama.attention.head_count"}) {
    EXPECT_EQ(refusal(Draft{}.without(key)), cat("m.gguf: the key \"", key, "\" is missing"));
  }
  EXPECT_THAT(refusal(Draft{}.without("llama.block_count").with(g::u32("llama.block_count", 0))),
              HasSubstr("\"llama.block_count\" must be an integer from 1"));
  EXPECT_THAT(refusal(Draft{}.without("llama.attention.head_count").with(g::u32("llama.attention.head_count", 9))),
              HasSubstr("heads have 0 dimensions"));
  EXPECT_THAT(refusal(Draft{}.with(g::u32("llama.attention.value_length", 6))), HasSubstr("both must be equal"));
  EXPECT_THAT(refusal(Draft{}
                          .without("llama.feed_forward_length")
                          .with(g::numbers<std::int32_t>("llama.feed_forward_length", 5, {12, 24}))),
              HasSubstr("\"llama.feed_forward_length\" is a list of 2 numbers"));
  EXPECT_EQ(
      config_of(Draft{}
                    .without("llama.feed_forward_length")
                    .with(g::numbers<std::int32_t>("llama.feed_forward_length", 5, {12, 12})))["intermediate_size"],
      12);
}

TEST(GgufModel, NamesATypeThatItDoesNotReadWithTheKnownOnes) {
  Draft draft;
  draft.tensor("blk.0.attn_v.weight").type = 10;
  EXPECT_THAT(refusal(draft), HasSubstr("m.gguf: tensor \"blk.0.attn_v.weight\": has the type Q2_K; known: F32, F16, "
                                        "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, BF16"));
  draft.tensor("blk.0.attn_v.weight").type = 4711;
  EXPECT_THAT(refusal(draft), HasSubstr("has the type number 4711"));
}

TEST(GgufModel, RefusesShapesThatCannotBe) {
  Draft draft;
  draft.tensor("blk.0.attn_v.weight").type = 2;  // Q4_0
  EXPECT_THAT(refusal(draft), HasSubstr("is q4_0 [4, 8]; rows must be whole blocks of 32"));
  Draft zero;
  zero.tensor("output_norm.weight").shape = {0};
  EXPECT_THAT(refusal(zero), HasSubstr("has the size 0"));
  Draft huge;
  huge.tensor("output_norm.weight").shape = {std::uint64_t{1} << 40, std::uint64_t{1} << 40};
  EXPECT_THAT(refusal(huge), HasSubstr("their product at most"));
  Draft none;
  none.tensor("output_norm.weight").shape = {};
  EXPECT_THAT(refusal(none), HasSubstr("has no size"));
  Draft heads;
  heads.tensor("blk.0.attn_k.weight").shape = {8, 3};
  EXPECT_THAT(refusal(heads), HasSubstr("k_proj.weight\" is f32 [3, 8], expected 1 heads x 4 rows"));
  Draft embedding;
  embedding.tensor("token_embd.weight").shape = {4, 10};
  EXPECT_THAT(refusal(embedding), HasSubstr("is f32 [10, 4] in m.gguf; expected [vocabulary, 8]"));
}

TEST(GgufModel, RefusesAFileThatIsCutOff) {
  Draft draft;
  draft.cut_bytes = 32;
  EXPECT_THAT(refusal(draft), HasSubstr("tensor \"blk.0.ffn_gate.weight\": is f16 [12, 8]: 192 bytes from byte"));
  EXPECT_THAT(refusal(draft), HasSubstr("Is the download complete?"));
}

TEST(GgufModel, LeavesATensorWithoutACounterpartUnderItsOwnName) {
  EXPECT_EQ(hf_tensor_name("blk.12.attn_q_norm.weight"), "model.layers.12.self_attn.q_norm.weight");
  EXPECT_EQ(hf_tensor_name("blk.0.ffn_down.bias"), "model.layers.0.mlp.down_proj.bias");
  EXPECT_EQ(hf_tensor_name("output.weight"), "lm_head.weight");
  for (const char* name : {"blk.0.ffn_gate_exps.weight", "blk.x.attn_q.weight", "blk.-1.attn_q.weight",
                           "blk.00.attn_q.weight", "blk..attn_q.weight", "blk.99999999999999999999.attn_q.weight", "x"})
    EXPECT_EQ(hf_tensor_name(name), name);
}

TEST(GgufModel, RefusesTwoTensorsThatMeanTheSame) {
  Draft draft;
  draft.tensors.push_back({"model.norm.weight", {8}, 0, 32});
  EXPECT_THAT(refusal(draft), HasSubstr("stands in m.gguf, too"));
}

TEST(GgufModel, RefusesTensorsThatShareBytes) {
  std::string bytes = Draft{}.bytes();
  // The second tensor's offset, behind its name, dimensions, size and type.
  const std::size_t at = bytes.find("output_norm.weight") + 18 + 4 + 8 + 4;
  bytes.replace(at, 8, g::raw<std::uint64_t>(128));
  const auto model = read(bytes);
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("\"model.embed_tokens.weight\" and \"model.norm.weight\" overlap"));
}

TEST(GgufModel, ASlidingWindowMakesItTheWindowedArchitecture) {
  const Json config = config_of(Draft{}.with(g::u32("llama.attention.sliding_window", 32)));
  EXPECT_EQ(config["architectures"], Json{"MistralForCausalLM"});
  EXPECT_EQ(config["sliding_window"], 32);
}

// --- rotary scalings

Draft with_divisors(const std::vector<float>& divisors, std::uint32_t theta_bits = 0) {
  Draft draft;
  draft.tensors.insert(draft.tensors.begin(), {"rope_freqs.weight", {divisors.size()}, 0, 32});
  if (theta_bits != 0) draft.with(g::text("llama.rope.freq_base") + g::raw<std::uint32_t>(6) + g::raw(theta_bits));
  return draft;
}
Json scaling_of(const Draft& draft, const std::vector<float>& divisors) {
  std::string bytes = draft.bytes();
  // The data of the first tensor.
  const std::size_t data = bytes.size() - (32 + 160 + 32 + 256 + 128 + 128 + 256 + 192);
  std::memcpy(bytes.data() + data, divisors.data(), divisors.size() * sizeof(float));
  const auto model = read(bytes);
  if (!model) return model.error().message;
  return parse_json(*(*model)->text("config.json"), "config.json")->value("rope_scaling", Json());
}

TEST(GgufModel, ThePoolingBecomesAFileWhereTheFileSaysOne) {
  const auto pooling_of = [](std::optional<std::uint32_t> type) {
    Draft draft;
    if (type) draft.with(g::u32("llama.pooling_type", *type));
    const std::string bytes = draft.bytes();
    const auto model = read(bytes);
    return model ? (*model)->text("1_Pooling/config.json").value_or("none") : model.error().message;
  };
  EXPECT_EQ(pooling_of(std::nullopt), "none");
  EXPECT_EQ(pooling_of(0), "none");
  for (const auto& [type, mode] : {std::pair{1, "mean"}, {2, "cls"}, {3, "lasttoken"}, {4, "rank"}})
    EXPECT_EQ(Json::parse(pooling_of(type))["pooling_mode"], mode);
  EXPECT_THAT(pooling_of(5), HasSubstr("llama.pooling_type"));
}

TEST(GgufModel, DivisorsOfUnknownOriginBecomeListsAndOnesNothing) {
  EXPECT_TRUE(scaling_of(with_divisors({1, 1}), {1, 1}).is_null());
  const Json lists = scaling_of(with_divisors({1, 1}), {2.5F, 1});
  ASSERT_EQ(lists["rope_type"], "longrope");
  EXPECT_EQ(lists["short_factor"], (Json{2.5, 1.0}));
  EXPECT_EQ(lists["long_factor"], (Json{2.5, 1.0}));
  EXPECT_EQ(lists["attention_factor"], 1.0);
  EXPECT_THAT(scaling_of(with_divisors({1, 1}), {1, 0}).get<std::string>(), HasSubstr("rope_freqs.weight"));
  EXPECT_THAT(scaling_of(with_divisors({1, 1, 1}), {1, 1, 1}).get<std::string>(),
              HasSubstr("has 3 numbers, expected 2"));
}

TEST(GgufModel, LinearAndYarnScalingsComeFromTheKeys) {
  const auto number = [](const char* key, float value) {
    return g::text(key) + g::raw<std::uint32_t>(6) + g::raw(value);
  };
  const auto scaling = [](Draft draft) { return config_of(draft).value("rope_scaling", Json()); };
  EXPECT_EQ(
      scaling(
          Draft{}.with(g::string("llama.rope.scaling.type", "linear")).with(number("llama.rope.scaling.factor", 4.0F))),
      (Json{{"rope_type", "linear"}, {"factor", 4.0}}));
  EXPECT_EQ(scaling(Draft{}.with(number("llama.rope.scale_linear", 2.0F))),
            (Json{{"rope_type", "linear"}, {"factor", 2.0}}));
  const Json yarn = scaling(Draft{}
                                .with(g::string("llama.rope.scaling.type", "yarn"))
                                .with(number("llama.rope.scaling.factor", 4.0F))
                                .with(number("llama.rope.scaling.yarn_beta_fast", 16.0F))
                                .with(number("llama.rope.scaling.yarn_attn_factor", 1.1F))
                                .with(g::u32("llama.rope.scaling.original_context_length", 16)));
  EXPECT_EQ(yarn, (Json{{"rope_type", "yarn"},
                        {"factor", 4.0},
                        {"original_max_position_embeddings", 16},
                        {"attention_factor", 1.1},
                        {"beta_fast", 16.0}}));
  EXPECT_THAT(refusal(Draft{}.with(g::string("llama.rope.scaling.type", "dynamic"))),
              HasSubstr("\"llama.rope.scaling.type\" is \"dynamic\"; known: \"none\", \"linear\", \"yarn\""));
}

// --- split files

class SplitGguf : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / "corbel_split_gguf";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string u16(std::string_view key, std::uint16_t value) {
    return g::text(key) + g::raw<std::uint32_t>(2) + g::raw(value);
  }
  /// Three tensors in the first part, the rest in the second.
  void write_parts(std::uint16_t second_number = 1, std::int32_t count = 7) const {
    Draft first;
    Draft second;
    first.tensors.resize(3);
    second.tensors.erase(second.tensors.begin(), second.tensors.begin() + 3);
    second.keys = {g::string("general.architecture", "llama")};
    first.with(u16("split.no", 0)).with(u16("split.count", 2));
    first.with(g::text("split.tensors.count") + g::raw<std::uint32_t>(5) + g::raw(count));
    second.with(u16("split.no", second_number)).with(u16("split.count", 2));
    write("m-00001-of-00002.gguf", first.bytes());
    write("m-00002-of-00002.gguf", second.bytes());
  }
  void write(const char* name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  std::string open(const char* name) const {
    const auto model = GgufModel::open(folder_ / name);
    return model ? cat((*model)->tensors()->names().size(), " tensors in ", (*model)->files().size(), " files")
                 : model.error().message;
  }
  fs::path folder_;
};

TEST_F(SplitGguf, OpensAllPartsFromAnyOfThem) {
  write_parts();
  EXPECT_EQ(open("m-00001-of-00002.gguf"), "7 tensors in 2 files");
  EXPECT_EQ(open("m-00002-of-00002.gguf"), "7 tensors in 2 files");
}

TEST_F(SplitGguf, NamesAMissingPart) {
  write_parts();
  fs::remove(folder_ / "m-00002-of-00002.gguf");
  EXPECT_THAT(open("m-00001-of-00002.gguf"),
              HasSubstr("is part 1 of 2, but m-00002-of-00002.gguf is not there. Is the download complete?"));
}

TEST_F(SplitGguf, RefusesPartsOfDifferentFilesAndNamesThatDoNotFit) {
  write_parts(0);
  EXPECT_THAT(open("m-00001-of-00002.gguf"), HasSubstr("says that it is part 1 of 2"));
  write_parts(1, 9);
  EXPECT_THAT(open("m-00001-of-00002.gguf"), HasSubstr("\"split.tensors.count\" is 9, but the 2 parts hold 7 tensors"));
  write_parts();
  fs::rename(folder_ / "m-00001-of-00002.gguf", folder_ / "m.gguf");
  EXPECT_THAT(open("m.gguf"),
              HasSubstr("is one of 2 parts (\"split.count\"), but its name is not NAME-0000I-of-0000N"));
}

TEST_F(SplitGguf, AFileThatIsNoGgufSaysSo) {
  write("m.gguf", "PK\x03\x04 something else");
  EXPECT_THAT(open("m.gguf"), HasSubstr("starts with \"GGUF\""));
  EXPECT_FALSE(looks_like_gguf(folder_ / "m.gguf"));
  EXPECT_FALSE(looks_like_gguf(folder_ / "absent.gguf"));
  write("n.gguf", Draft{}.bytes());
  EXPECT_TRUE(looks_like_gguf(folder_ / "n.gguf"));
}

}  // namespace
}  // namespace corbel
