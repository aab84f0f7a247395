#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "corbel/text/byte_chars.h"
#include "corbel/text/tokenizer.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using nlohmann::ordered_json;

/// Every byte as `spell` writes it, then words; ids in that order. A special token "[S]" is the last one.
template <typename Spell>
Tokenizer with_decoder(const char* decoder, const Spell& spell, const std::vector<std::string>& words) {
  ordered_json vocab = ordered_json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[spell(static_cast<std::uint8_t>(byte))] = byte;
  int next = 256;
  for (const std::string& word : words) vocab[word] = next++;
  const ordered_json special = {{"id", vocab.size()}, {"content", "[S]"}, {"special", true}, {"normalized", false}};
  const ordered_json file = {
      {"added_tokens", ordered_json::array({special})},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "first"}}},
      {"post_processor", nullptr},
      {"decoder", ordered_json::parse(decoder)},
      {"model", {{"type", "WordLevel"}, {"vocab", vocab}, {"unk_token", words.back()}}}};
  auto made = Tokenizer::from_json(file.dump(), "small.json");
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return *std::move(made);
}

std::string visible(std::uint8_t byte) {
  std::string out;
  append_utf8(out, byte_to_char(byte));
  return out;
}

std::string fallback(std::uint8_t byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + '>';
}

const std::vector<std::string> kWords = {"\u2581", "\u2581a", "a", "ab", "\u2581\u2581b", "\u4f60", " ", "."};

/// Streams random ids and compares with decode(); half of them are made to be characters in bytes.
void expect_streams_equal_decode(const Tokenizer& tokenizer) {
  std::mt19937 random(11);
  const std::string characters = "\u00e9\u4f60\u597d\U0001f600x\u0430";
  for (int round = 0; round < 4000; ++round) {
    Ids ids;
    while (ids.size() < random() % 30) {
      if (random() % 2 == 0) {
        const std::size_t from = random() % characters.size();
        for (std::size_t i = 0; i < random() % 6 && from + i < characters.size(); ++i) {
          ids.push_back(static_cast<std::uint8_t>(characters[from + i]));
        }
      } else {
        ids.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(tokenizer.vocab_size() + 2)));
      }
    }
    for (const bool skip : {true, false}) {
      StreamDecoder stream(tokenizer, {.skip_special = skip});
      std::string text;
      for (const std::int32_t id : ids) {
        const std::string part = stream.push(id);
        ASSERT_EQ(valid_utf8_prefix(part), part.size());
        text += part;
      }
      text += stream.finish();
      ASSERT_EQ(text, tokenizer.decode(ids, {.skip_special = skip})) << "round " << round;
    }
  }
}

TEST(StreamDecoder, EqualsDecodeForByteLevelTokens) {
  const Tokenizer tokenizer = with_decoder(R"({"type": "ByteLevel"})", visible, {"\u0120ab", "\u0120a"});
  expect_streams_equal_decode(tokenizer);
  EXPECT_EQ(tokenizer.decode(Ids{0xE4, 0xBD, 0xA0, 0xE4, 256}), "\u4f60\uFFFD ab");
}

TEST(StreamDecoder, EqualsDecodeForByteFallback) {
  const Tokenizer tokenizer = with_decoder(
      R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
          {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})",
      fallback, kWords);
  expect_streams_equal_decode(tokenizer);
  // A run of bytes that is not UTF-8 as a whole is one U+FFFD per byte, its whole characters too.
  EXPECT_EQ(tokenizer.decode(Ids{257, 0xE4, 0xBD, 0xA0, 0xE4, 258}), "a\uFFFD\uFFFD\uFFFD\uFFFDa");
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(257), "a");
  for (const int byte : {0xE4, 0xBD, 0xA0}) EXPECT_EQ(stream.push(byte), "");
  EXPECT_EQ(stream.push(258), "\u4f60a");
}

TEST(StreamDecoder, EqualsDecodeForMetaspaceWordPiecesAndTheRest) {
  for (const char* decoder :
       {R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"})",
        R"({"type": "WordPiece", "prefix": "a", "cleanup": true})", R"({"type": "BPEDecoder", "suffix": "a"})",
        R"({"type": "CTC", "pad_token": "a", "word_delimiter_token": ".", "cleanup": true})", R"({"type": "Fuse"})",
        R"({"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Replace", "pattern": {"String": "aab"}, "content": "\u2581"},
            {"type": "Strip", "content": "\u2581", "start": 2, "stop": 3}]})"}) {
    expect_streams_equal_decode(with_decoder(decoder, fallback, kWords));
  }
}

TEST(Tokenizer, TheFirstPieceIsMarkedOnlyAtTheVeryStartOfTheText) {
  const Tokenizer tokenizer = with_decoder(R"({"type": "Fuse"})", fallback, kWords);
  const std::int32_t special = tokenizer.id_of("[S]");
  EXPECT_EQ(*tokenizer.encode("a"), (Ids{257}));
  EXPECT_EQ(*tokenizer.encode("a a"), (Ids{257, 257}));
  EXPECT_EQ(*tokenizer.encode("[S]a"), (Ids{special, 258}));
  EXPECT_EQ(*tokenizer.encode("a[S]a a"), (Ids{257, special, 258, 257}));
}

}  // namespace
}  // namespace corbel
