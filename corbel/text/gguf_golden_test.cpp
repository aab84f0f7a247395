#include <gtest/gtest.h>

#include <optional>
#include <sstream>

#include "corbel/text/test_data.h"
#include "corbel/text/tokenizer.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;

struct File {
  const char* gguf;
  const char* tokenizer;    // the folder in tokenizers/ whose goldens hold for it
  std::int32_t begin = -1;  // the id that only the GGUF file puts in front of a text
};

/// The tokenizer inside a GGUF file, against llama.cpp's own ids and against those of the original tokenizer.
class GgufGolden : public testing::TestWithParam<File> {
 protected:
  void SetUp() override {
    const std::string name = std::string("ggml-vocab-") + GetParam().gguf + ".gguf";
    path_ = test_data::folder() / "gguf_vocab" / name;
    originals_ = test_data::folder() / "tokenizers" / GetParam().tokenizer;
    if (!std::filesystem::exists(path_.string() + ".inp")) {
      GTEST_SKIP() << "no " << path_.string() << ".inp (set CORBEL_TEST_DATA)";
    }
    // Where the GGUF file is too large to be shared, the original tokenizer stands in for it.
    auto made = Tokenizer::load(std::filesystem::exists(path_) ? path_ : originals_);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    tokenizer_.emplace(*std::move(made));
  }

  bool spells_added_token(const std::string& text) const {
    for (const AddedToken& token : tokenizer_->added_tokens()) {
      if (text.find(token.content) != std::string::npos) return true;
    }
    return false;
  }

  std::filesystem::path path_;
  std::filesystem::path originals_;
  std::optional<Tokenizer> tokenizer_;
};

std::vector<std::string> cut(const std::string& text, const std::string& mark) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t at = 0; (at = text.find(mark, from)) != std::string::npos; from = at + mark.size()) {
    parts.push_back(text.substr(from, at - from));
  }
  parts.push_back(text.substr(from));
  return parts;
}

TEST_P(GgufGolden, GivesTheIdsThatLlamaCppRecorded) {
  const auto texts = cut(test_data::read(path_.string() + ".inp"), "\n__ggml_vocab_test__\n");
  std::istringstream lines(test_data::read(path_.string() + ".out"));
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    ASSERT_LT(count, texts.size());
    std::istringstream numbers(line);
    Ids expected;
    for (std::int32_t id = 0; numbers >> id;) expected.push_back(id);
    const auto ids = tokenizer_->encode(texts[count], {.add_special_tokens = false});
    ASSERT_TRUE(ids.has_value()) << ids.error().message;
    EXPECT_EQ(*ids, expected) << texts[count];
  }
  EXPECT_GT(count, 40U);
}

TEST_P(GgufGolden, GivesTheIdsAndTextsOfTheOriginalTokenizer) {
  if (!std::filesystem::exists(path_)) GTEST_SKIP() << "no " << path_.string();
  std::size_t count = 0;
  for (const auto& row : test_data::read_lines(originals_ / "golden.jsonl")) {
    const std::string text = row["text"];
    if (spells_added_token(text)) continue;  // the two say differently what counts as one
    ++count;
    const auto ids = tokenizer_->encode(text);
    ASSERT_TRUE(ids.has_value()) << ids.error().message;
    auto expected = row["ids"].get<Ids>();
    if (GetParam().begin >= 0) expected.insert(expected.begin(), GetParam().begin);
    EXPECT_EQ(*ids, expected) << row["text"].dump();
    const auto plain = row["ids_no_special"].get<Ids>();
    EXPECT_EQ(*tokenizer_->encode(text, {.add_special_tokens = false}), plain);
    // Not "decoded": which tokens count as special is the GGUF file's own say (phi-3's beginning of a text does).
    EXPECT_EQ(tokenizer_->decode(plain, {.skip_special = false}), row["decoded_no_special_keep"].get<std::string>())
        << row["text"].dump();
  }
  EXPECT_GT(count, 100U);
}

INSTANTIATE_TEST_SUITE_P(Files, GgufGolden,
                         testing::Values(File{"llama-spm", "llama2"}, File{"gpt-2", "gpt2"},
                                         File{"bert-bge", "bert-base-uncased"}, File{"phi-3", "phi-3-mini", 1},
                                         File{"qwen2", "qwen2"}, File{"llama-bpe", "llama3.1"}),
                         [](const testing::TestParamInfo<File>& file) {
                           std::string name = file.param.gguf;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace corbel
