#include "corbel/text/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "corbel/base/disk_names.h"
#include "corbel/base/test_gguf_bytes.h"
#include "corbel/text/byte_chars.h"
#include "corbel/text/gguf_splitting.h"

namespace corbel {
namespace {

using namespace gguf_bytes;
using Ids = std::vector<std::int32_t>;
using testing::HasSubstr;

Result<Tokenizer> read(const std::vector<std::string>& fields) {
  std::string bytes = head(0, fields.size());
  for (const std::string& field : fields) bytes += field;
  CORBEL_ASSIGN(const GgufHeader header, GgufHeader::parse(std::as_bytes(std::span(bytes)), "t.gguf"));
  return read_gguf_tokenizer(header);
}
std::string refusal(const std::vector<std::string>& fields) {
  const auto made = read(fields);
  return made.has_value() ? "not refused" : made.error().message;
}

std::string model(std::string_view name) { return string("tokenizer.ggml.model", name); }
std::string tokens(const std::vector<std::string>& list) { return strings("tokenizer.ggml.tokens", list); }
std::string scores(const std::vector<float>& list) { return numbers("tokenizer.ggml.scores", 6, list); }
std::string types(const std::vector<std::int32_t>& list) { return numbers("tokenizer.ggml.token_type", 5, list); }

TEST(GgufTokenizer, PiecesWithSummedScoresEndATextAsTheFileSays) {
  const auto made = read({model(disk_names::kGgufScoredSums),
                          tokens({"<pad>", "</s>", "<unk>", "\xE2\x96\x81", "a", "b", "ab",
                                  "\xE2\x96\x81"
                                  "a"}),
                          scores({0, 0, 0, -2, -3, -3, -4, -4}), types({3, 3, 2, 1, 1, 1, 1, 1}),
                          u32("tokenizer.ggml.eos_token_id", 1), u32("tokenizer.ggml.unknown_token_id", 2)});
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(*made->encode(" ab  a "), (Ids{3, 6, 7, 1}));  // -2 - 4 beats -4 - 3
  EXPECT_EQ(*made->encode("a</s>c"), (Ids{7, 1, 3, 2, 1}));
  EXPECT_EQ(made->decode(Ids{3, 6, 7, 1}), "ab a");
}

TEST(GgufTokenizer, LongestMatchReadsEscapedTokens) {
  std::vector<std::string> list = {"<s>"};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char kHex[] = "0123456789abcdef";
    list.push_back({'\\', 'x', kHex[byte >> 4], kHex[byte & 15]});
  }
  list.push_back("a\\nb");
  std::vector<std::int32_t> kinds(list.size(), 1);
  kinds[0] = 3;
  const auto made = read({model(disk_names::kGgufLongestMatch), tokens(list), types(kinds)});
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(*made->encode("a\nba\n"), (Ids{257, 'a' + 1, '\n' + 1}));
  EXPECT_TRUE(made->is_special(0));
}

TEST(GgufTokenizer, MergedBytesBeginAndCutAsTheNameSays) {
  std::vector<std::string> list;
  for (int byte = 0; byte < 256; ++byte) {
    const char raw_byte = static_cast<char>(byte);
    std::string spelled;
    append_spelled(spelled, {&raw_byte, 1});
    list.push_back(spelled);
  }
  list.insert(list.end(), {"12", "123", "<|b|>", "<tool>"});
  std::vector<std::int32_t> kinds(list.size(), 1);
  kinds[258] = 3;
  kinds[259] = 4;
  const auto fields = [&](std::string_view pre) {
    return std::vector<std::string>{
        model(disk_names::kGgufByteMerges),        string("tokenizer.ggml.pre", pre),      tokens(list), types(kinds),
        strings("tokenizer.ggml.merges", {"1 2"}), u32("tokenizer.ggml.bos_token_id", 258)};
  };
  std::string whole;
  std::string plain;
  for (const disk_names::GgufSplitting& entry : disk_names::kGgufSplittings) {
    EXPECT_TRUE(find_gguf_splitting(entry.name, "t").has_value()) << entry.name;
    EXPECT_EQ(refusal(fields(entry.name)), "not refused") << entry.name;
    if (entry.shape == "three_digits_whole") whole = entry.name;
    if (entry.shape == "words_and_digits") plain = entry.name;
  }
  const auto made = read(fields(whole));
  EXPECT_EQ(*made->encode("1234<tool>"), (Ids{258, 257, '4', 259}));  // "123" is a piece as a whole
  EXPECT_EQ(*read(fields(plain))->encode("12<|b|>"), (Ids{'1', '2', 258}));
  EXPECT_THAT(refusal(fields("nonsense")), HasSubstr("\"tokenizer.ggml.pre\" is \"nonsense\""));
}

TEST(GgufTokenizer, EveryLieIsRefusedNamingTheKey) {
  const std::string name = model(disk_names::kGgufScoredMerges);
  EXPECT_THAT(refusal({}), HasSubstr("\"tokenizer.ggml.model\" is missing"));
  EXPECT_THAT(refusal({model("magic")}), HasSubstr("\"tokenizer.ggml.model\" is \"magic\"; known: "));
  EXPECT_THAT(refusal({name}), HasSubstr("\"tokenizer.ggml.tokens\" has 0 tokens"));
  EXPECT_THAT(refusal({name, tokens({"a"})}), HasSubstr("\"tokenizer.ggml.scores\" is missing"));
  EXPECT_THAT(refusal({name, tokens({"a", "b"}), scores({1})}), HasSubstr("has 1 entries"));
  EXPECT_THAT(refusal({name, tokens({"a"}), types({1, 1})}), HasSubstr("\"tokenizer.ggml.token_type\" has 2 entries"));
  EXPECT_THAT(refusal({name, tokens({"a"}), types({7})}), HasSubstr("is 7 for token 0; types are 1 to 6"));
  EXPECT_THAT(refusal({name, tokens({"\xFF"})}), HasSubstr("token 0 (\"?\") is not valid UTF-8"));
  EXPECT_THAT(refusal({name, tokens({"a", "a"}), scores({0, 0})}), HasSubstr("twice (ids 0 and 1)"));
  EXPECT_THAT(refusal({name, tokens({"a"}), scores({0}), u32("tokenizer.ggml.bos_token_id", 5)}),
              HasSubstr("\"tokenizer.ggml.bos_token_id\" is 5; the last token is 0"));
  EXPECT_THAT(refusal({name, string("tokenizer.ggml.tokens", "a")}), HasSubstr("must be an array of strings"));
  EXPECT_THAT(refusal({model(disk_names::kGgufByteMerges), tokens({"a"})}),
              HasSubstr("\"tokenizer.ggml.pre\" is missing"));
}

}  // namespace
}  // namespace corbel
