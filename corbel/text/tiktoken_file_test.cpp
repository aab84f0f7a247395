#include "corbel/text/tiktoken_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "corbel/text/byte_chars.h"
#include "corbel/text/test_data.h"
#include "corbel/text/tiktoken_kinds.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::HasSubstr;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (i + j < bytes.size() ? static_cast<std::uint8_t>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text.push_back(i + j > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * j) & 63]);
    }
  }
  return text;
}

/// The rank file that a tokenizer.json was made from: its ids are the ranks.
std::string rank_file(const std::filesystem::path& tokenizer_json) {
  const auto file = nlohmann::json::parse(test_data::read_maybe_gzipped(tokenizer_json), nullptr, false);
  if (file.is_discarded()) return {};
  std::map<std::int64_t, std::string> by_rank;
  for (const auto& [token, id] : file["model"]["vocab"].items()) by_rank[id] = token;
  std::string text;
  for (const auto& [rank, token] : by_rank) {
    std::string bytes;
    EXPECT_TRUE(append_unspelled(bytes, token));
    text += base64(bytes) + " " + std::to_string(rank) + "\n";
  }
  return text;
}

/// Ranks for all bytes and for `longer`, padded with tokens that no text has to as many as `ranks`.
std::string small_ranks(const std::vector<std::string>& longer, int ranks) {
  std::string text;
  int rank = 0;
  for (; rank < 256; ++rank)
    text += base64(std::string(1, static_cast<char>(rank))) + " " + std::to_string(rank) + "\n";
  for (const std::string& token : longer) text += base64(token) + " " + std::to_string(rank++) + "\n";
  for (; rank < ranks; ++rank) text += base64("\xFF\xFE" + std::to_string(rank)) + " " + std::to_string(rank) + "\n";
  return text;
}

Result<Tokenizer> read(const std::string& text, const Json& config = Json::object()) {
  return read_rank_file(text, "ranks.txt", JsonFields(config, "tokenizer_config.json"));
}

std::string refusal(const std::string& text, const Json& config = Json::object()) {
  const auto made = read(text, config);
  return made.has_value() ? "not refused" : made.error().message;
}

/// The tokenizer.json of the same ranks was recorded with Hugging Face's library.
class RankFileGolden : public testing::TestWithParam<const char*> {};

TEST_P(RankFileGolden, GivesTheIdsOfTheTokenizerJsonMadeFromIt) {
  const auto folder = test_data::folder() / "tokenizers" / GetParam();
  const std::string text = rank_file(folder / "tokenizer.json");
  if (text.empty()) GTEST_SKIP() << "no " << folder.string() << " (set CORBEL_TEST_DATA)";
  EXPECT_TRUE(is_rank_file(text));
  const auto tokenizer = read(text);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  for (const auto& row : test_data::read_lines(folder / "golden.jsonl")) {
    const auto ids = tokenizer->encode(row["text"].get<std::string>());
    ASSERT_TRUE(ids.has_value()) << ids.error().message;
    EXPECT_EQ(*ids, row["ids"].get<Ids>()) << row["text"].dump();
    EXPECT_EQ(tokenizer->decode(*ids), row["decoded"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Files, RankFileGolden, testing::Values("llama3.1", "qwen2"),
                         [](const testing::TestParamInfo<const char*>& file) {
                           std::string name = file.param;
                           std::erase(name, '.');
                           return name;
                         });

TEST(RankFile, MergesByRankAndTakesWholePiecesFirst) {
  // "abcd" is a piece by itself, though no two tokens make it: only a piece as a whole finds it.
  const auto tokenizer = read(small_ranks({"bc", "ab", "abc", "abcd", " ab"}, 100256));
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  EXPECT_EQ(*tokenizer->encode("abcd"), (Ids{259}));
  EXPECT_EQ(*tokenizer->encode("abcx"), (Ids{258, 'x'}));
  EXPECT_EQ(*tokenizer->encode("abc ab"), (Ids{258, 260}));
  EXPECT_EQ(*tokenizer->encode("a<|endoftext|>"), (Ids{'a', 100257}));
  EXPECT_EQ(*tokenizer->encode("bc<|endofprompt|>"), (Ids{256, 100276}));
  EXPECT_TRUE(tokenizer->is_special(100257));
}

TEST(RankFile, SpecialTokensOfTheConfigReplaceTheTable) {
  const Json config = {{"added_tokens_decoder",
                        {{"151329", {{"content", "[gMASK]"}, {"special", true}}},
                         {"151330", {{"content", "<sop>"}, {"special", true}}}}}};
  const auto tokenizer = read(small_ranks({}, 151329), config);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  EXPECT_EQ(*tokenizer->encode("a<sop>"), (Ids{151329, 151330, 'a', 151330}));
  EXPECT_THAT(refusal(small_ranks({}, 151329)), HasSubstr("[gMASK]"));
}

TEST(RankFile, EveryLieIsRefusedNamingTheLine) {
  const std::string good = small_ranks({}, 256);
  EXPECT_THAT(refusal(good), HasSubstr("has 256 ranks; which regex cuts its text"));
  EXPECT_THAT(refusal(good.substr(good.find('\n') + 1)), HasSubstr("the single byte 0"));
  EXPECT_THAT(refusal(good + "YWI= 0\n"), HasSubstr("ranks.txt:257: \"rank\""));
  EXPECT_THAT(refusal(good + "AA== 256\n"), HasSubstr("twice (ids 0 and 256)"));
  EXPECT_THAT(refusal(good + "YWI= -1\n"), HasSubstr("ids must be between"));
  EXPECT_THAT(refusal(good + "YWI= 99999999999\n"), HasSubstr("ids must be between"));
  for (const char* line :
       {"YWI=", "YWI= ", "YWI= x", "YW=I 300", "YWI 300", "YWJ= 300", "= 300", " 300", "YWI=  300"}) {
    EXPECT_THAT(refusal(good + line + "\n"), HasSubstr("ranks.txt:257: must be a token in base64")) << line;
  }
  EXPECT_FALSE(is_rank_file("{\"a\": 1}"));
  EXPECT_FALSE(is_rank_file(""));
}

}  // namespace
}  // namespace corbel
