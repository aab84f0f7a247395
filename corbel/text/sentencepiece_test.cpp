#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "corbel/text/sentencepiece_file.h"
#include "corbel/text/sentencepiece_tokenizer.h"
#include "corbel/text/test_data.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::HasSubstr;

// ---- models trained by the library, and its answers: tools/golden/text_sentencepiece.py

class TrainedModel : public testing::TestWithParam<const char*> {
 protected:
  static std::filesystem::path path() {
    const auto base = std::filesystem::path(CORBEL_SOURCE_DIR) / "corbel/text/goldens/sentencepiece" / GetParam();
    return std::filesystem::exists(base.string() + ".model") ? base.string() + ".model" : base.string() + ".model.gz";
  }
  static std::vector<nlohmann::ordered_json> rows() {
    const auto folder = std::filesystem::path(CORBEL_SOURCE_DIR) / "corbel/text/goldens/sentencepiece";
    auto rows = test_data::read_lines(folder / (std::string(GetParam()) + ".jsonl"));
    rows.erase(rows.begin());  // who recorded it
    return rows;
  }
};

TEST_P(TrainedModel, EncodesAsTheLibraryDoes) {
  const auto tokenizer = Tokenizer::load(path());
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  std::size_t count = 0;
  for (const auto& row : rows()) {
    if (!row.contains("ids")) continue;
    const auto ids = tokenizer->encode(row["text"].get<std::string>(), {.add_special_tokens = false});
    ASSERT_TRUE(ids.has_value()) << ids.error().message;
    EXPECT_EQ(*ids, row["ids"].get<Ids>()) << row["text"].dump(-1, ' ', true);
    ++count;
  }
  EXPECT_GT(count, 150U);
}

TEST_P(TrainedModel, DecodesAsTheLibraryDoesAtOnceAndAsAStream) {
  const auto tokenizer = Tokenizer::load(path());
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  for (const auto& row : rows()) {
    const auto ids = row[row.contains("ids") ? "ids" : "decode"].get<Ids>();
    EXPECT_EQ(tokenizer->decode(ids), row["decoded"].get<std::string>()) << row.dump(-1, ' ', true);
    StreamDecoder stream(*tokenizer);
    std::string streamed;
    for (const std::int32_t id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), row["decoded"].get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, TrainedModel,
                         testing::Values("unigram_nmt_nfkc", "unigram_bytes", "unigram_symbols", "unigram_suffix",
                                         "bpe_identity_bytes", "bpe_nfkc_cf", "bpe_small_rules", "bpe_symbols", "char"),
                         [](const testing::TestParamInfo<const char*>& model) { return std::string(model.param); });

// ---- hostile files

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}
std::string number(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}
std::string bytes(int field, const std::string& content) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(content.size()) + content;
}
std::string real(int field, float value) {
  std::string raw(4, '\0');
  std::memcpy(raw.data(), &value, 4);
  return varint(static_cast<std::uint64_t>(field) << 3 | 5) + raw;
}
std::string piece(const std::string& text, float score = 0, int type = 1) {
  return bytes(1, bytes(1, text) + real(2, score) + number(3, static_cast<std::uint64_t>(type)));
}

/// BPE over "ab" with the unknown piece 0.
std::string small_file(const std::string& more = {}) {
  return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("\xE2\x96\x81", -3) + piece("a", -4) + piece("b", -5) +
         piece("ab", -1) +
         piece(
             "\xE2\x96\x81"
             "ab",
             -2) +
         more + bytes(2, number(3, 2)) + bytes(3, number(4, 0));
}

Result<Tokenizer> read(const std::string& file) {
  CORBEL_ASSIGN(const SentencePieceSpec spec, read_sentencepiece_file(file, "t.model"));
  return make_sentencepiece_tokenizer(spec, {}, "t.model");
}
std::string refusal(const std::string& file) {
  const auto made = read(file);
  return made.has_value() ? "not refused" : made.error().message;
}

TEST(SentencePieceFile, SkipsFieldsItDoesNotKnow) {
  const std::string unknown =
      number(99, 7) + bytes(98, "xyz") + real(97, 1) + varint(96 << 3 | 1) + std::string(8, 'x');
  const auto made = read(unknown + small_file(bytes(4, "self test")) + unknown);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(*made->encode("ab"), (Ids{6}));
  EXPECT_EQ(*made->encode("aab<s>"), (Ids{2, 3, 5, 0}));
  EXPECT_EQ(made->decode(Ids{1, 6, 0}), "ab \xE2\x81\x87 ");
  EXPECT_TRUE(is_sentencepiece_file(small_file()));
}

TEST(SentencePieceFile, IsRefusedOrStillATokenizerWhereverItIsCutOff) {
  const std::string file = small_file();
  std::size_t refused = 0;
  for (std::size_t size = 0; size < file.size(); ++size) {
    const auto made = read(file.substr(0, size));
    if (made.has_value()) {
      EXPECT_TRUE(made->encode("ab").has_value());  // cut between two fields
      continue;
    }
    ++refused;
    EXPECT_THAT(made.error().message, HasSubstr("t.model: "));
  }
  EXPECT_GT(refused, file.size() / 2);
}

TEST(SentencePieceFile, EveryLieIsRefusedNamingItsPlace) {
  ASSERT_EQ(refusal(small_file()), "not refused");
  EXPECT_THAT(refusal(""), HasSubstr("has no pieces"));
  EXPECT_THAT(refusal(varint(1 << 3 | 2) + varint(1ULL << 60)), HasSubstr("field 1 of 1152921504606846976 bytes"));
  EXPECT_THAT(refusal(varint(1 << 3 | 2) + std::string(11, '\xFF')), HasSubstr("more than 10 bytes"));
  EXPECT_THAT(refusal(varint(1 << 3 | 3)), HasSubstr("wire type 3"));
  EXPECT_THAT(refusal(number(1, 5)), HasSubstr("wire type 0, expected 2"));
  EXPECT_THAT(refusal(bytes(1, number(1, 5))), HasSubstr("\"piece\" with wire type 0"));
  EXPECT_THAT(refusal(bytes(1, bytes(1, "a") + number(3, 9))), HasSubstr("\"type\" 9; known are 1 to 6"));
  EXPECT_THAT(refusal(small_file(bytes(2, number(3, 8)))), HasSubstr("\"model_type\" 8"));
  EXPECT_THAT(refusal(small_file() + bytes(2, number(3, 3))), HasSubstr("WORD, which is not supported"));
  EXPECT_THAT(refusal(small_file(piece("a", -9))), HasSubstr("the token \"a\" twice (ids 3 and 7)"));
  EXPECT_THAT(refusal(small_file(piece("", -9))), HasSubstr("the piece 7 is empty"));
  EXPECT_THAT(refusal(small_file(piece("\xFF", -9))), HasSubstr("the piece 7 (\"?\") is not valid UTF-8"));
  EXPECT_THAT(refusal(small_file(piece("c", NAN))), HasSubstr("no finite number"));
  EXPECT_THAT(refusal(small_file(piece("c", 0, 2))), HasSubstr("0 and 7 are both of type unknown"));
  EXPECT_THAT(refusal(piece("a")), HasSubstr("none of the 1 pieces is of type unknown"));
  EXPECT_THAT(refusal(small_file(piece("<0x41>", 0, 6))), HasSubstr("\"byte_fallback\" is false"));
  EXPECT_THAT(refusal(small_file(piece("<0x4g>", 0, 6)) + bytes(2, number(35, 1))), HasSubstr("not spelled <0x00>"));
  EXPECT_THAT(refusal(small_file(piece("<0x41>", 0, 6)) + bytes(2, number(35, 1))), HasSubstr("256 pieces"));
  EXPECT_THAT(refusal(small_file() + bytes(3, bytes(2, "abc"))), HasSubstr("precompiled charsmap"));
  EXPECT_THAT(refusal(small_file() + bytes(5, bytes(2, "abcdefgh"))), HasSubstr("denormalizing is not supported"));
  EXPECT_THAT(refusal(small_file(piece("aa", 0, 5))), HasSubstr("type unused, but two others merge into it"));
}

}  // namespace
}  // namespace corbel
