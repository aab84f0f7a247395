#include "corbel/text/splitter.h"

#include <gtest/gtest.h>

#include <random>

#include "corbel/text/pattern.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::string_view kRegexes[] = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
};

std::string random_text(std::mt19937& random) {
  // Weighted to what the expressions tell apart; the rest of Unicode now and then.
  constexpr std::string_view kParts[] = {
      "'",      "s",      "S",      "re",     "LL",     " ",      "  ",         "\t",     "\n",     "\r\n",   "\r",
      "a",      "Z",      "7",      "42",     "!",      "-",      "\u00e9",     "\u017f", "\u00bd", "\u2163", "\u4e2d",
      "\u3000", "\u0085", "\u00a0", "\ufeff", "\u180e", "\u0301", "\U0001F600", "_",      "\u200d"};
  std::string text;
  const int length = static_cast<int>(random() % 24);
  for (int i = 0; i < length; ++i) {
    if (random() % 16 != 0) {
      text += kParts[random() % std::size(kParts)];
      continue;
    }
    char32_t code = random() % 0x30000;
    if (code >= 0xD800 && code < 0xE000) code = 'x';
    append_utf8(text, code);
  }
  return text;
}

TEST(Splitter, CutsRandomTextWhereTheCompiledRegexCuts) {
  std::mt19937 random(20260102);
  for (const std::string_view source : kRegexes) {
    const Splitter splitter = find_splitter(source);
    ASSERT_NE(splitter, nullptr);
    const auto regex = Regex::compile(source);
    ASSERT_TRUE(regex.has_value()) << regex.error().message;
    for (int round = 0; round < 20000; ++round) {
      const std::string text = random_text(random);
      std::vector<std::uint32_t> expected;
      ASSERT_TRUE(regex->each_match(text, [&](Span match) { expected.push_back(match.end); }).has_value());
      std::vector<std::uint32_t> found;
      for (const char *at = text.data(), *end = at + text.size(); at < end;) {
        at = splitter(at, end);
        found.push_back(static_cast<std::uint32_t>(at - text.data()));
      }
      ASSERT_EQ(found, expected) << source << "\nround " << round << ": " << testing::PrintToString(text);
    }
  }
}

TEST(Splitter, KnowsNoRegexThatDiffersByACharacter) {
  EXPECT_EQ(find_splitter(R"(\s+)"), nullptr);
  EXPECT_EQ(find_splitter(std::string(kRegexes[1]) + " "), nullptr);
}

TEST(Splitter, CutsEveryCodePointWhereTheCompiledRegexCuts) {
  std::string all;
  for (char32_t code = 0x80; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    all += code % 3 == 0 ? "a" : code % 3 == 1 ? " " : "1";
    append_utf8(all, code);
  }
  for (const std::string_view source : kRegexes) {
    const Splitter splitter = find_splitter(source);
    const auto regex = Regex::compile(source);
    ASSERT_TRUE(regex.has_value());
    const char* at = all.data();
    const char* const end = at + all.size();
    int differences = 0;
    ASSERT_TRUE(regex->each_match(all, [&](Span match) {
      if (differences > 0) return;
      at = splitter(at, end);
      if (at == all.data() + match.end) return;
      ++differences;
      ADD_FAILURE() << source << " near U+" << std::hex << static_cast<unsigned>(utf8_before(at).code);
    }));
    EXPECT_EQ(at, end);
  }
}

TEST(Pattern, SplitsByEveryBehaviorAsHuggingFaceDocumentsIt) {
  // The example of the tokenizers documentation: "the-final--countdown" at "-".
  const struct {
    SplitBehavior behavior;
    std::vector<std::string> pieces;
  } cases[] = {
      {SplitBehavior::removed, {"the", "final", "countdown"}},
      {SplitBehavior::isolated, {"the", "-", "final", "-", "-", "countdown"}},
      {SplitBehavior::merged_with_previous, {"the-", "final-", "-", "countdown"}},
      {SplitBehavior::merged_with_next, {"the", "-final", "-", "-countdown"}},
      {SplitBehavior::contiguous, {"the", "-", "final", "--", "countdown"}},
  };
  const std::string text = "the-final--countdown";
  for (const auto& [behavior, pieces] : cases) {
    std::vector<Span> spans;
    ASSERT_TRUE(Pattern::from_literal("-").split(text, 0, behavior, false, spans));
    std::vector<std::string> found;
    for (const Span span : spans) found.push_back(text.substr(span.begin, span.end - span.begin));
    EXPECT_EQ(found, pieces);
  }
}

TEST(Regex, ThatBacktracksWithoutEndIsRefusedNotFollowed) {
  const auto regex = Regex::compile("(a+)+$");
  ASSERT_TRUE(regex.has_value());
  const auto matched = regex->each_match(std::string(64, 'a') + "b", [](Span) {});
  ASSERT_FALSE(matched.has_value());
  EXPECT_NE(matched.error().message.find("(a+)+$"), std::string::npos) << matched.error().message;
}

TEST(Regex, ThatDoesNotCompileIsNamedWithItsPlace) {
  const auto regex = Regex::compile("a(b");
  ASSERT_FALSE(regex.has_value());
  EXPECT_NE(regex.error().message.find("\"a(b\""), std::string::npos) << regex.error().message;
}

}  // namespace
}  // namespace corbel
