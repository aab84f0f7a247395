#include "corbel/text/word_level_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "corbel/text/tokenizer.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::HasSubstr;

std::unique_ptr<WordLevelModel> make(std::int32_t unknown_id) {
  Vocabulary vocabulary;
  EXPECT_TRUE(vocabulary.add("[UNK]", 0, "vocab").has_value());
  EXPECT_TRUE(vocabulary.add("word", 5, "vocab").has_value());
  auto made = WordLevelModel::make(std::move(vocabulary), unknown_id);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return *std::move(made);
}

TEST(WordLevelModel, AWholePieceIsATokenOrUnknown) {
  const auto model = make(0);
  Ids ids;
  for (const std::string_view piece : {"word", "wor", "words", "[UNK]"}) {
    ASSERT_TRUE(model->encode(piece, ids).has_value());
  }
  EXPECT_EQ(ids, (Ids{5, 0, 0, 0}));
}

TEST(WordLevelModel, WithoutAnUnknownTokenRefusesAnUnknownPiece) {
  Ids ids;
  const auto refused = make(kNoToken)->encode("wor", ids);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("the vocabulary has no token \"wor\" and no unknown token"));
  EXPECT_TRUE(ids.empty());
}

TEST(WordLevelModel, RefusesAnUnknownIdWithoutAToken) {
  const auto made = WordLevelModel::make(Vocabulary(), 0);
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().message,
              HasSubstr("the unknown token has the id 0; the vocabulary of 0 ids has no such token"));
}

TEST(WordLevelFile, IsRefusedByTheNameOfTheFieldThatIsWrong) {
  const auto refusal = [](const std::string& fields) {
    const auto made = Tokenizer::from_json(R"({"model": {"type": "WordLevel", )" + fields + "}}", "t.json");
    return made.has_value() ? std::string("not refused") : made.error().message;
  };
  EXPECT_THAT(refusal(R"("unk_token": "a")"), HasSubstr("\"model.vocab\" is missing"));
  EXPECT_THAT(refusal(R"("vocab": [])"), HasSubstr("\"model.vocab\" must be an object, found an array"));
  EXPECT_THAT(refusal(R"("vocab": {})"), HasSubstr("model.unk_token"));
}

}  // namespace
}  // namespace corbel
