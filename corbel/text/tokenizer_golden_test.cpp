#include <gtest/gtest.h>

#include "corbel/text/test_data.h"
#include "corbel/text/tokenizer.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;

/// Ids and texts recorded from Hugging Face's own library, one file per tokenizer.
class TokenizerGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = test_data::folder() / "tokenizers" / GetParam();
    if (!std::filesystem::exists(folder_ / "golden.jsonl")) {
      GTEST_SKIP() << "no " << (folder_ / "golden.jsonl").string() << " (set CORBEL_TEST_DATA)";
    }
    bytes_ = test_data::read_maybe_gzipped(folder_ / "tokenizer.json");
    if (bytes_.empty()) GTEST_SKIP() << "cannot read tokenizer.json(.gz); is gzip installed?";
    rows_ = test_data::read_lines(folder_ / "golden.jsonl");
    ASSERT_GT(rows_.size(), 100U);
    auto made = Tokenizer::from_json(bytes_, (folder_ / "tokenizer.json").string());
    ASSERT_TRUE(made.has_value()) << made.error().message;
    tokenizer_.emplace(*std::move(made));
  }

  std::filesystem::path folder_;
  std::string bytes_;
  std::vector<nlohmann::ordered_json> rows_;
  std::optional<Tokenizer> tokenizer_;
};

TEST_P(TokenizerGolden, EncodesEveryRecordedTextToTheSameIds) {
  for (const auto& row : rows_) {
    const std::string text = row["text"];
    const auto ids = tokenizer_->encode(text);
    ASSERT_TRUE(ids.has_value()) << ids.error().message;
    EXPECT_EQ(*ids, row["ids"].get<Ids>()) << row["cat"] << ' ' << row["text"].dump();
    const auto plain = tokenizer_->encode(text, {.add_special_tokens = false});
    EXPECT_EQ(*plain, row["ids_no_special"].get<Ids>()) << row["cat"] << ' ' << row["text"].dump();
  }
}

TEST_P(TokenizerGolden, DecodesEveryRecordedTextAtOnceAndAsAStream) {
  for (const auto& row : rows_) {
    const auto ids = row["ids"].get<Ids>();
    const auto plain = row["ids_no_special"].get<Ids>();
    EXPECT_EQ(tokenizer_->decode(ids), row["decoded"].get<std::string>()) << row["text"].dump();
    EXPECT_EQ(tokenizer_->decode(ids, {.skip_special = false}), row["decoded_keep_special"].get<std::string>());
    EXPECT_EQ(tokenizer_->decode(plain, {.skip_special = false}), row["decoded_no_special_keep"].get<std::string>());
    StreamDecoder stream(*tokenizer_);
    std::string streamed;
    for (const std::int32_t id : ids) streamed += stream.push(id);
    streamed += stream.finish();
    EXPECT_EQ(streamed, row["decoded"].get<std::string>()) << row["text"].dump();
  }
}

/// Those whose added tokens cut a text before it is normalized.
class TokenizerGoldenInParts : public TokenizerGolden {};

TEST_P(TokenizerGoldenInParts, EncodesATextTheSameWayAsPartOfALongOne) {
  // Long texts use the cache of pieces, short ones hardly. An added token cuts a text: on both sides of it the ids are
  // those of the parts alone.
  ASSERT_FALSE(tokenizer_->added_tokens().empty());
  const AddedToken& mark = tokenizer_->added_tokens().front();
  std::string joined;
  Ids expected;
  for (int twice = 0; twice < 2; ++twice) {
    for (const auto& row : rows_) {
      if (row["cat"] == "special") continue;
      const Ids ids = row["ids_no_special"].get<Ids>();
      joined += row["text"].get<std::string>() + mark.content;
      expected.insert(expected.end(), ids.begin(), ids.end());
      expected.push_back(mark.id);
    }
  }
  const auto ids = tokenizer_->encode(joined, {.add_special_tokens = false});
  ASSERT_TRUE(ids.has_value());
  EXPECT_EQ(*ids, expected);
}

std::string test_name(const testing::TestParamInfo<const char*>& tokenizer) {
  std::string name = tokenizer.param;
  std::erase_if(name, [](char c) { return c == '.' || c == '-'; });
  return name;
}

INSTANTIATE_TEST_SUITE_P(ByteLevel, TokenizerGolden, testing::Values("gpt2", "qwen2", "llama3.1", "minimind", "falcon"),
                         test_name);
INSTANTIATE_TEST_SUITE_P(Characters, TokenizerGolden, testing::Values("llama2", "minicpm3", "phi-3-mini"), test_name);
INSTANTIATE_TEST_SUITE_P(Unigram, TokenizerGolden, testing::Values("t5-small"), test_name);
INSTANTIATE_TEST_SUITE_P(WordPiece, TokenizerGolden, testing::Values("bert-base-uncased"), test_name);
INSTANTIATE_TEST_SUITE_P(All, TokenizerGoldenInParts,
                         testing::Values("gpt2", "qwen2", "llama3.1", "minimind", "falcon", "t5-small",
                                         "bert-base-uncased"),
                         test_name);

}  // namespace
}  // namespace corbel
