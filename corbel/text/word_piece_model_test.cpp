#include "corbel/text/word_piece_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "corbel/text/tokenizer.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::HasSubstr;

Vocabulary vocabulary_of(const std::vector<std::string>& tokens) {
  Vocabulary vocabulary;
  for (const std::string& token : tokens) {
    EXPECT_TRUE(vocabulary.add(token, vocabulary.limit(), "vocab").has_value());
  }
  return vocabulary;
}

TEST(WordPieceModel, TakesTheLongestTokenAtEachPlace) {
  const auto model =
      WordPieceModel::make(vocabulary_of({"[UNK]", "un", "una", "##ff", "##ffable", "##aff"}), {.unknown_id = 0});
  Ids ids;
  ASSERT_TRUE((*model)->encode("unaffable", ids).has_value());
  EXPECT_EQ(ids, (Ids{2, 4}));
  ids.clear();
  ASSERT_TRUE((*model)->encode("unaff", ids).has_value());
  EXPECT_EQ(ids, (Ids{2, 3}));  // not "un", "##aff": a choice is never taken back
}

TEST(WordPieceModel, AWordThatEndsBadlyLeavesNothingButTheUnknownToken) {
  const auto model = WordPieceModel::make(vocabulary_of({"[UNK]", "a", "##a"}), {.unknown_id = 0});
  Ids ids = {7};
  ASSERT_TRUE((*model)->encode("aaaab", ids).has_value());
  EXPECT_EQ(ids, (Ids{7, 0}));
}

TEST(WordPieceModel, ARefusalLeavesTheIdsAsTheyWere) {
  const auto model = WordPieceModel::make(vocabulary_of({"a", "##a"}), {});
  Ids ids = {7};
  const auto refused = (*model)->encode("aab", ids);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message,
              HasSubstr("the vocabulary has no tokens for the word \"aab\" and no unknown token"));
  EXPECT_EQ(ids, Ids{7});
}

TEST(WordPieceModel, RefusesAnUnknownIdWithoutAToken) {
  const auto made = WordPieceModel::make(vocabulary_of({"a"}), {.unknown_id = 4});
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().message,
              HasSubstr("the unknown token has the id 4; the vocabulary of 1 ids has no such token"));
}

TEST(WordPieceFile, IsRefusedByTheNameOfTheFieldThatIsWrong) {
  const auto refusal = [](const std::string& fields) {
    const auto made = Tokenizer::from_json(R"({"model": {"type": "WordPiece", )" + fields + "}}", "t.json");
    return made.has_value() ? std::string("not refused") : made.error().message;
  };
  const std::string vocab = R"("vocab": {"a": 0})";
  const std::string unknown = R"(, "unk_token": "a")";
  const std::string prefix = R"(, "continuing_subword_prefix": "##")";
  const std::string most = R"(, "max_input_chars_per_word": 9)";
  EXPECT_EQ(refusal(vocab + unknown + prefix + most), "not refused");
  EXPECT_THAT(refusal(R"("unk_token": "a")" + prefix + most),
              HasSubstr("t.json: \"model.vocab\" is missing; it must be an object"));
  EXPECT_THAT(refusal(vocab + prefix + most), HasSubstr("model.unk_token"));
  EXPECT_THAT(refusal(vocab + unknown + most), HasSubstr("model.continuing_subword_prefix"));
  EXPECT_THAT(refusal(vocab + unknown + prefix), HasSubstr("model.max_input_chars_per_word"));
  EXPECT_THAT(refusal(vocab + unknown + prefix + R"(, "max_input_chars_per_word": -1)"),
              HasSubstr("model.max_input_chars_per_word"));
  EXPECT_THAT(refusal(R"("vocab": {"a": "0"})" + unknown + prefix + most),
              HasSubstr("\"model.vocab.a\" must be an integer id, found a string"));
}

}  // namespace
}  // namespace corbel
