#include <gtest/gtest.h>

#include <optional>

#include "corbel/text/test_data.h"
#include "corbel/text/tokenizer.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;

/// What SentencePiece's own library makes of the same model file.
class SentencePieceGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto folder = test_data::folder() / "spm" / GetParam();
    if (!std::filesystem::exists(folder / "golden_sp.jsonl")) {
      GTEST_SKIP() << "no " << (folder / "golden_sp.jsonl").string() << " (set CORBEL_TEST_DATA)";
    }
    rows_ = test_data::read_lines(folder / "golden_sp.jsonl");
    ASSERT_GT(rows_.size(), 100U);
    auto made = Tokenizer::load(folder);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    tokenizer_.emplace(*std::move(made));
  }

  std::vector<nlohmann::ordered_json> rows_;
  std::optional<Tokenizer> tokenizer_;
};

TEST_P(SentencePieceGolden, EncodesEveryRecordedTextToTheSameIds) {
  for (const auto& row : rows_) {
    const std::string text = row["text"];
    const auto ids = tokenizer_->encode(text);
    ASSERT_TRUE(ids.has_value()) << ids.error().message;
    EXPECT_EQ(*ids, row["ids"].get<Ids>()) << row["text"].dump();
    EXPECT_EQ(*tokenizer_->encode(text, {.add_special_tokens = false}), row["ids_no_special"].get<Ids>());
  }
}

TEST_P(SentencePieceGolden, ReadsControlPiecesOnlyInTextThatAChatTemplateMade) {
  const std::int32_t begin = rows_.front()["ids"].get<Ids>().front();
  const std::string text = std::string(tokenizer_->piece(begin)) + "a";
  const auto plain = tokenizer_->encode(text, {.add_special_tokens = false});
  ASSERT_TRUE(plain.has_value());
  EXPECT_NE(plain->front(), begin);
  const auto control = tokenizer_->encode(text, {.add_special_tokens = false, .parse_control = true});
  ASSERT_TRUE(control.has_value());
  EXPECT_EQ(control->front(), begin);
  EXPECT_EQ(Ids(control->begin() + 1, control->end()), *tokenizer_->encode("a", {.add_special_tokens = false}));
}

TEST_P(SentencePieceGolden, DecodesEveryRecordedTextAtOnceAndAsAStream) {
  for (const auto& row : rows_) {
    const auto ids = row["ids"].get<Ids>();
    EXPECT_EQ(tokenizer_->decode(ids), row["decoded"].get<std::string>()) << row["text"].dump();
    StreamDecoder stream(*tokenizer_);
    std::string streamed;
    for (const std::int32_t id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), row["decoded"].get<std::string>()) << row["text"].dump();
  }
}

INSTANTIATE_TEST_SUITE_P(Files, SentencePieceGolden, testing::Values("llama2", "minicpm3", "yi"),
                         [](const testing::TestParamInfo<const char*>& file) { return std::string(file.param); });

}  // namespace
}  // namespace corbel
