#include "corbel/text/unigram_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "corbel/text/tokenizer.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using Role = UnigramModel::Role;
using testing::HasSubstr;

struct Scored {
  std::string token;
  double score;
  Role role = Role::normal;
};

std::unique_ptr<UnigramModel> make(const std::vector<Scored>& tokens, UnigramModel::Options options) {
  Vocabulary vocabulary;
  std::vector<double> scores;
  std::vector<Role> roles;
  for (const Scored& scored : tokens) {
    EXPECT_TRUE(vocabulary.add(scored.token, vocabulary.limit(), "vocab").has_value());
    scores.push_back(scored.score);
    roles.push_back(scored.role);
  }
  auto made = UnigramModel::make(std::move(vocabulary), std::move(scores), std::move(roles), options);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return *std::move(made);
}

Ids encode(const UnigramModel& model, std::string_view text) {
  Ids ids;
  const auto done = model.encode(text, ids);
  EXPECT_TRUE(done.has_value()) << done.error().message;
  return ids;
}

constexpr UnigramModel::Options kFloats = {.unknown_id = 0, .arithmetic = UnigramModel::Arithmetic::float_sums};

TEST(UnigramModel, FindsTheBestSumOfAllSegmentations) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::map<std::string, double> score_of = {{"a", -9}, {"b", -8}};
    while (score_of.size() < 9) {
      std::string token;
      for (unsigned size = 2 + random() % 4; size > 0; --size) token += static_cast<char>('a' + random() % 2);
      score_of[token] = -1.0 - static_cast<double>(random() % 1000) / 64;  // exact in double
    }
    std::vector<Scored> tokens;
    for (const auto& [token, score] : score_of) tokens.push_back({token, score});
    const auto model = make(tokens, {});
    std::string text;
    for (int i = 0; i < 11; ++i) text += static_cast<char>('a' + random() % 2);
    double best = -1e9;
    for (unsigned cuts = 0; cuts < 1U << 10; ++cuts) {  // bit i: a cut behind character i
      double sum = 0;
      std::size_t begin = 0;
      for (std::size_t end = 1; end <= text.size(); ++end) {
        if (end < text.size() && (cuts >> (end - 1) & 1) == 0) continue;
        const auto at = score_of.find(text.substr(begin, end - begin));
        sum += at == score_of.end() ? -1e6 : at->second;
        begin = end;
      }
      best = std::max(best, sum);
    }
    double found = 0;
    std::string joined;
    for (const std::int32_t id : encode(*model, text)) {
      joined += model->vocabulary().text(id);
      found += score_of[std::string(model->vocabulary().text(id))];
    }
    EXPECT_EQ(joined, text);
    EXPECT_EQ(found, best) << "round " << round << ": " << text;
  }
}

TEST(UnigramModel, ALongPieceGivesTheIdsOfItsPartsWhereNothingReachesOver) {
  const auto model =
      make({{"<unk>", 0}, {"ab", -1.5}, {"a", -1}, {"b", -1}, {"abab", -2}, {" ", -1}}, {.unknown_id = 0});
  const Ids part = encode(*model, "ababab ");
  std::string text;
  Ids expected;
  for (int i = 0; i < 3000; ++i) {
    text += "ababab ";
    expected.insert(expected.end(), part.begin(), part.end());
  }
  EXPECT_EQ(encode(*model, text), expected);
}

TEST(UnigramModel, TheSumOfALongPieceGoesOnWhereItsFrontIsWrittenOut) {
  // "ab" costs 2^-40 more than "a" and "b": too little to be seen beside a million, where the first one found stays.
  const auto model = make({{"x", -2000}, {"a", -1}, {"b", -1}, {"ab", -2 - 0x1p-40}}, {});
  EXPECT_EQ(encode(*model, "xab"), (Ids{0, 1, 2}));
  for (const std::size_t far : {512U, 513U, 600U, 1025U}) {
    Ids expected(far, 0);
    expected.push_back(3);
    EXPECT_EQ(encode(*model, std::string(far, 'x') + "ab"), expected) << far;
  }
}

TEST(UnigramModel, AnUnknownRunLongerThanAnyBufferIsOneToken) {
  const auto model = make({{"<unk>", 0}, {"a", -1}}, {.unknown_id = 0});
  EXPECT_EQ(encode(*model, "a" + std::string(100000, 'x') + "a"), (Ids{1, 0, 1}));
}

TEST(UnigramModel, FollowsATokenThatIsLongerThanAnyBuffer) {
  const std::string word(5000, 'w');
  const auto model = make({{"w", -1}, {word, -2}}, {});
  EXPECT_EQ(encode(*model, word), Ids{1});
  EXPECT_EQ(encode(*model, word + word), (Ids{1, 1}));
  EXPECT_EQ(encode(*model, word.substr(1)), Ids(4999, 0));
}

TEST(UnigramModel, KeepsUnknownsApartWhenToldSo) {
  const auto model = make({{"<unk>", 0}, {"a", -1}}, {.unknown_id = 0, .fuse_unknown = false});
  EXPECT_EQ(encode(*model, "xya\u00e9\u00e9"), (Ids{0, 0, 1, 0, 0}));
}

TEST(UnigramModel, ControlTokensAreNotFoundInTextInTheFloatArithmetic) {
  const auto model =
      make({{"<unk>", 0, Role::unmatched}, {"</s>", 0, Role::unmatched}, {"<", -1}, {"/", -1}, {"s", -1}, {">", -1}},
           kFloats);
  EXPECT_EQ(encode(*model, "</s>"), (Ids{2, 3, 4, 5}));
  EXPECT_EQ(encode(*model, "<unk>"), (Ids{2, 0, 5}));
}

TEST(UnigramModel, UserDefinedTokensWinWhateverTheirScore) {
  // Their score is 8 x the smallest positive float - 0.1, more than any sum of what stands below.
  const auto model = make({{"<unk>", 0, Role::unmatched},
                           {"ab", -1},
                           {"abcd", -50, Role::user_defined},
                           {"cd", -1},
                           {"abcde", -1.5},
                           {"e", -2}},
                          kFloats);
  EXPECT_EQ(encode(*model, "abcd"), Ids{2});
  EXPECT_EQ(encode(*model, "abcde"), Ids{4});  // -1.5 against -0.1 - 2
}

TEST(UnigramModel, FloatSumsAreRoundedAndDoubleSumsAreNot) {
  // Behind -2^24 a float counts in steps of 2: -2^24 - 1 is rounded to -2^24 (ties to even), so that "a" and then "b"
  // cost nothing, one after the other, while "ab" costs 1.5, which is more than half a step.
  const std::vector<Scored> tokens = {{"<unk>", 0}, {"x", -16777216}, {"a", -1}, {"b", -1}, {"ab", -1.5}};
  EXPECT_EQ(encode(*make(tokens, {.unknown_id = 0}), "xab"), (Ids{1, 4}));
  EXPECT_EQ(encode(*make(tokens, kFloats), "xab"), (Ids{1, 2, 3}));
}

TEST(UnigramModel, RefusesWhatDoesNotFitTogether) {
  const auto refusal = [](std::vector<double> scores, std::vector<Role> roles, UnigramModel::Options options) {
    Vocabulary vocabulary;
    EXPECT_TRUE(vocabulary.add("a", 0, "vocab").has_value());
    const auto made = UnigramModel::make(std::move(vocabulary), std::move(scores), std::move(roles), options);
    return made.has_value() ? std::string("not refused") : made.error().message;
  };
  EXPECT_THAT(refusal({}, {}, {}), HasSubstr("a vocabulary of 1 ids needs as many scores and roles, found 0 and 0"));
  EXPECT_THAT(refusal({0}, {Role::normal, Role::normal}, {}), HasSubstr("found 1 and 2"));
  EXPECT_THAT(refusal({0}, {}, {.unknown_id = 1}),
              HasSubstr("the unknown token has the id 1; the vocabulary of 1 ids"));
  EXPECT_THAT(refusal({-1e39}, {}, kFloats),
              HasSubstr("the score of \"a\" (id 0) is -inf; it must be a finite number"));
}

std::string refusal_of_file(const std::string& model) {
  const auto made = Tokenizer::from_json(R"({"model": )" + model + "}", "t.json");
  return made.has_value() ? std::string("not refused") : made.error().message;
}

TEST(UnigramFile, IsRefusedByTheNameOfTheFieldThatIsWrong) {
  const auto refusal = [](const std::string& fields) {
    return refusal_of_file(R"({"type": "Unigram", )" + fields + "}");
  };
  EXPECT_THAT(refusal(R"("unk_id": 0)"), HasSubstr("t.json: \"model.vocab\" is missing"));
  EXPECT_THAT(refusal(R"("vocab": {"a": 1})"), HasSubstr("\"model.vocab\" must be an array, found an object"));
  EXPECT_THAT(refusal(R"("vocab": [["a", 1], 3])"),
              HasSubstr("\"model.vocab[1]\" must be an array of a token and its score, found a number"));
  EXPECT_THAT(refusal(R"("vocab": [["a", 1, 2]])"),
              HasSubstr("\"model.vocab[0]\" must be an array of a token and its score, found 3 values"));
  EXPECT_THAT(refusal(R"("vocab": [["a"]])"), HasSubstr("found 1 values"));
  EXPECT_THAT(refusal(R"("vocab": [[1, "a"]])"),
              HasSubstr("\"model.vocab[0][0]\" must be a string, the token, found a number"));
  EXPECT_THAT(refusal(R"("vocab": [["a", "1"]])"),
              HasSubstr("\"model.vocab[0][1]\" must be a number, the token's score, found a string"));
  EXPECT_THAT(refusal(R"("vocab": [["a", 0]], "unk_id": 1)"), HasSubstr("model.unk_id"));
  EXPECT_THAT(refusal(R"("vocab": [["a", 0]], "unk_id": -1)"), HasSubstr("model.unk_id"));
  EXPECT_THAT(refusal(R"("vocab": [["a", 0]], "unk_id": "a")"), HasSubstr("model.unk_id"));
  EXPECT_THAT(refusal(R"("vocab": [], "unk_id": 0)"), HasSubstr("\"model.unk_id\" is 0, but \"model.vocab\" is empty"));
  EXPECT_THAT(refusal(R"("vocab": [["a", 0]], "byte_fallback": 1)"), HasSubstr("model.byte_fallback"));
}

TEST(UnigramFile, AnUnknownKindOfModelIsRefusedWithTheKnownOnes) {
  EXPECT_THAT(refusal_of_file(R"({"type": "Trigram", "vocab": []})"),
              HasSubstr("\"model.type\" is \"Trigram\", which is not supported; known: \"BPE\", \"WordPiece\", "
                        "\"WordLevel\", \"Unigram\""));
  EXPECT_THAT(refusal_of_file(R"({"type": 3, "vocab": []})"),
              HasSubstr("\"model.type\" must be a string, found a number"));
  EXPECT_THAT(refusal_of_file("{}"), HasSubstr("\"model.vocab\" is missing, and so is \"model.type\""));
}

}  // namespace
}  // namespace corbel
