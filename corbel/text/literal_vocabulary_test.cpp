#include "corbel/text/literal_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::HasSubstr;

constexpr char kHex[] = "0123456789abcdef";

/// As Python's repr() of bytes writes them, every byte escaped.
std::string escaped(std::string_view bytes) {
  std::string text = "b'";
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
  }
  return text + "'";
}

std::string line(int id, const std::string& bytes) {
  return std::to_string(id) + " " + escaped(bytes) + " " + std::to_string(bytes.size()) + "\n";
}

std::string all_bytes() {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) text += line(byte + 1, std::string(1, static_cast<char>(byte)));
  return text;
}

std::string refusal(const std::string& text) {
  const auto made = read_literal_vocabulary(text, "v.txt");
  return made.has_value() ? "not refused" : made.error().message;
}

TEST(PythonLiteral, ReadsWhatReprWrites) {
  EXPECT_EQ(*read_python_literal("'a'"), "a");
  EXPECT_EQ(*read_python_literal("\"it's\""), "it's");
  EXPECT_EQ(*read_python_literal(R"('\'"')"), "'\"");
  EXPECT_EQ(*read_python_literal(R"('\n\t\r\\ \x00\x7f')"), std::string("\n\t\r\\ \0\x7F", 7));
  EXPECT_EQ(*read_python_literal(R"('\xe9')"), "\xC3\xA9");  // a character
  EXPECT_EQ(*read_python_literal(R"(b'\xe9')"), "\xE9");     // a byte
  EXPECT_EQ(*read_python_literal(R"('\u4e2d\U0001f600')"), "\xE4\xB8\xAD\xF0\x9F\x98\x80");
  EXPECT_EQ(*read_python_literal("'\xE4\xB8\xAD'"), "\xE4\xB8\xAD");
  EXPECT_EQ(*read_python_literal(R"(b'\101\0')"), std::string("A\0", 2));
  EXPECT_EQ(*read_python_literal("''"), "");
}

TEST(PythonLiteral, RefusesWhatReprNeverWrites) {
  for (const char* literal : {"",
                              "a",
                              "'",
                              "'a",
                              "'a\"",
                              "'a'b",
                              "b",
                              "b'",
                              R"('\x4')",
                              R"('\xg0')",
                              R"('\u12')",
                              R"('\ud800')",
                              R"('\U00110000')",
                              R"('\N{DASH}')",
                              R"(b'\u0041')",
                              R"('\)",
                              R"('\q')",
                              R"(b'\777')",
                              "b'\xE9'",
                              "'\xE9'",
                              "u'a'"}) {
    EXPECT_FALSE(read_python_literal(literal).has_value()) << literal;
  }
}

TEST(LiteralVocabulary, MatchesTheLongestTokenAsATryOfAllLengthsDoes) {
  std::mt19937 random(11);
  std::vector<std::string> tokens;
  std::string text = all_bytes();
  for (int id = 257; id < 400; ++id) {
    std::string token(2 + random() % 5, 'a');
    for (char& c : token) c = "ab\xC3\xA9"[random() % 4];
    if (std::find(tokens.begin(), tokens.end(), token) != tokens.end()) continue;
    tokens.push_back(token);
    text += line(id, token);
  }
  const auto made = read_literal_vocabulary(text, "v.txt");
  ASSERT_TRUE(made.has_value()) << made.error().message;
  for (int round = 0; round < 2000; ++round) {
    std::string sample;
    for (std::size_t i = random() % 30; i > 0; --i) sample += std::array{"a", "b", "\xC3\xA9"}[random() % 3];
    const auto ids = made->encode(sample);
    ASSERT_TRUE(ids.has_value());
    EXPECT_EQ(made->decode(*ids), sample);
    std::string rest = sample;
    for (const std::int32_t id : *ids) {
      std::size_t longest = 1;
      for (const std::string& token : tokens) {
        if (rest.starts_with(token)) longest = std::max(longest, token.size());
      }
      std::string bytes;
      for (std::size_t i = 0; i < longest; ++i) bytes.push_back(rest[i]);
      ASSERT_EQ(made->id_of(made->piece(id)), id);
      std::string last = rest.substr(longest);
      rest = last;
    }
    ASSERT_EQ(rest, "") << "each id takes the longest token";
  }
}

TEST(LiteralVocabulary, IdZeroEndsATextAndIsSpelledByNone) {
  const auto made = read_literal_vocabulary(all_bytes() + line(257, "hello") + "300 ' world' 6\n", "v.txt");
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(*made->encode("hello worlds"), (Ids{257, 300, 's' + 1}));
  EXPECT_TRUE(made->is_special(0));
  EXPECT_EQ(made->vocab_size(), 301);
  EXPECT_EQ(made->decode(Ids{257, 0, 300}), "hello world");
  EXPECT_EQ(made->encode("<|endoftext|>")->size(), 13U);
  EXPECT_EQ(made->decode(Ids{0xE4 + 1, 0xB8 + 1, 0xAD + 1, 0xFF + 1}), "\xE4\xB8\xAD\xEF\xBF\xBD");
}

TEST(LiteralVocabulary, EveryLieIsRefusedNamingTheLine) {
  const std::string good = all_bytes();
  EXPECT_EQ(refusal(good), "not refused");
  EXPECT_TRUE(is_literal_vocabulary(good));
  EXPECT_FALSE(is_literal_vocabulary("AA== 0\n"));
  EXPECT_THAT(refusal(good + "300 'ab' 3\n"),
              HasSubstr("v.txt:257: the literal \"'ab'\" has 2 bytes, the line says 3"));
  EXPECT_THAT(refusal(good + "300 'ab\n"), HasSubstr("v.txt:257: must be an id"));
  EXPECT_THAT(refusal(good + "300 ab 2\n"), HasSubstr("Python string or bytes literal"));
  EXPECT_THAT(refusal(good + "0 'ab' 2\n"), HasSubstr("0 ends a text"));
  EXPECT_THAT(refusal(good + "-4 'ab' 2\n"), HasSubstr("ids must be between"));
  EXPECT_THAT(refusal(good + "5 'ab' 2\n"), HasSubstr("has already"));
  EXPECT_THAT(refusal(good + "300 'a' 1\n"), HasSubstr("twice"));
  EXPECT_THAT(refusal(good + "300 '' 0\n"), HasSubstr("the token 300 is empty"));
  EXPECT_THAT(refusal(good.substr(good.find('\n') + 1)), HasSubstr("the single byte 0"));
}

}  // namespace
}  // namespace corbel
