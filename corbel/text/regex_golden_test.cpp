#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "corbel/text/pattern.h"
#include "corbel/text/regex_additions.h"
#include "corbel/text/regex_syntax.h"
#include "corbel/text/test_data.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

/// Made by tools/golden/text_regexes.py from the Oniguruma inside Hugging Face tokenizers.
std::vector<nlohmann::ordered_json> golden_rows() {
  return test_data::read_lines(std::filesystem::path(CORBEL_SOURCE_DIR) / "corbel" / "text" / "goldens" /
                               "regexes.jsonl");
}

TEST(RegexGolden, RegexesOfRealFilesCutWhereOnigurumaCuts) {
  const auto rows = golden_rows();
  ASSERT_GT(rows.size(), 20U);
  const auto texts = rows[1]["texts"].get<std::vector<std::string>>();
  for (const auto& row : rows) {
    if (!row.contains("regex")) continue;
    const std::string source = row["regex"];
    const auto compiled = Pattern::from_regex(source);
    ASSERT_TRUE(compiled.has_value()) << compiled.error().message;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::vector<Span> pieces;
      ASSERT_TRUE(compiled->split(texts[i], 0, SplitBehavior::isolated, false, pieces).has_value());
      std::vector<std::uint32_t> ends;
      for (const Span piece : pieces) ends.push_back(piece.end);
      EXPECT_EQ(ends, row["cuts"][i].get<std::vector<std::uint32_t>>()) << source << "\n"
                                                                        << testing::PrintToString(texts[i]);
    }
  }
}

class Classes : public testing::Test {
 protected:
  Classes() {
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (is_scalar(code)) append_utf8(all_, code);
    }
    for (const auto& row : golden_rows()) {
      if (row.contains("class")) rows_.push_back(row);
    }
  }
  static bool is_scalar(char32_t code) { return code < 0xD800 || code >= 0xE000; }

  static std::vector<bool> expected(const nlohmann::ordered_json& row) {
    std::vector<bool> holds;
    std::istringstream lengths(row["lengths"].get<std::string>());
    lengths >> std::hex;
    bool inside = false;
    for (std::size_t length = 0; lengths >> length; inside = !inside) holds.insert(holds.end(), length, inside);
    holds.resize(0x110000, inside);
    return holds;
  }

  /// What the regex matches, or with a leading ^ what it does not.
  std::vector<bool> found(std::string_view name) const {
    const bool inverted = name.starts_with('^');
    const auto regex = Regex::compile(name.substr(inverted ? 1 : 0));
    std::vector<bool> holds(0x110000, inverted);
    EXPECT_TRUE(regex.has_value()) << regex.error().message;
    if (!regex) return holds;
    const auto each = [&](Span match) { holds[utf8_at(all_.data() + match.begin).code] = !inverted; };
    EXPECT_TRUE(regex->each_match(all_, each).has_value());
    return holds;
  }

  static void expect_same(const std::vector<bool>& found, const std::vector<bool>& expected, std::string_view name) {
    int differences = 0;
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (!is_scalar(code) || found[code] == expected[code] || ++differences > 5) continue;
      ADD_FAILURE() << name << " U+" << std::hex << static_cast<unsigned>(code);
    }
    EXPECT_EQ(differences, 0) << name;
  }

  std::string all_;
  std::vector<nlohmann::ordered_json> rows_;
};

TEST_F(Classes, OfRegexesTakeTheCodePointsThatOnigurumasTake) {
  ASSERT_GT(rows_.size(), 20U);
  for (const auto& row : rows_) {
    std::vector<bool> wanted = expected(row);
    auto names = row["same"].get<std::vector<std::string>>();
    names.push_back(row["class"]);
    if (names.back() == "\\p{Mn}") wanted[0x1171E] = true;  // a spacing mark since Unicode 15; PCRE2 10.42 says Mn
    for (const std::string& name : names) expect_same(found(name), wanted, name);
  }
}

TEST_F(Classes, OfRegexesTakeNothingElseInTextsWithoutLaterCharacters) {
  // Texts of what PCRE2 10.42 knows are matched by a shorter spelling, which must mean the same.
  std::vector<bool> known(0x110000, true);
  for (const auto& row : regex_additions::kRows) {
    for (char32_t code = row.first; code <= row.last; ++code) known[code] = false;
  }
  std::string text;
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (known[code] && is_scalar(code)) append_utf8(text, code);
  }
  ASSERT_FALSE(regex_additions::found_in(text));
  ASSERT_TRUE(regex_additions::found_in(text + "\U0001E030"));
  all_ = text;
  for (const auto& row : rows_) {
    const std::string name = row["class"];
    std::vector<bool> wanted = expected(row);
    for (std::size_t code = 0; code < wanted.size(); ++code) wanted[code] = wanted[code] && known[code];
    expect_same(found(name), wanted, name);
  }
}

TEST_F(Classes, OfOurTablesAreOnigurumas) {
  const std::map<std::string, bool (*)(char32_t) noexcept> ours = {
      {"\\p{L}", is_letter}, {"\\p{N}", is_number},
      {"\\s", is_space},     {"\\p{P}", is_punctuation},
      {"[\\w]", is_word},    {"\\p{M}", [](char32_t code) noexcept {
                                                       return char_class(code) == CharClass::mark; }}};
  std::size_t compared = 0;
  for (const auto& row : rows_) {
    const auto test = ours.find(row["class"].get<std::string>());
    if (test == ours.end()) continue;
    ++compared;
    std::vector<bool> wanted = expected(row);
    std::vector<bool> held(0x110000);
    for (char32_t code = 0; code < 0x110000; ++code) held[code] = test->second(code);
    if (test->first == "[\\w]") wanted[0x200C] = wanted[0x200D] = true;  // the stages' \w has the joiners
    expect_same(held, wanted, test->first);
  }
  EXPECT_EQ(compared, ours.size());
}

TEST(RegexSyntax, WhatCannotBeSpelledIsRefusedNamingTheRegex) {
  for (const std::string source : {"[a[^b]]", "a[b", "\\Qa\\E", "(*LIMIT_MATCH=1)a", "a\\", "\\u12"}) {
    const auto spelled = to_pcre2(source);
    ASSERT_FALSE(spelled.has_value()) << source;
    EXPECT_NE(spelled.error().message.find(source), std::string::npos) << spelled.error().message;
  }
  EXPECT_FALSE(to_pcre2(std::string(100, '[')).has_value());
}

TEST(RegexSyntax, UnfoldsClassesWithinClasses) {
  EXPECT_EQ(*to_pcre2("[a[bc]d]"), "[abcd]");
  EXPECT_EQ(*to_pcre2("[ab&&[^b]]"), "(?:(?=[ab])[^b])");
  EXPECT_EQ(*to_pcre2("[]a]"), "[]a]");
  EXPECT_EQ(*to_pcre2("[^]a]"), "[^]a]");
  EXPECT_EQ(*to_pcre2("\\[[[:alpha:]]\\u4e2d(?mi:a.)"), "\\[[\\p{Alphabetic}]\\x{4e2d}(?si:a.)");
  EXPECT_EQ(*to_pcre2("\\p{Uppercase_Letter}\\P{Han}\\p{^Lu}"), "\\p{Lu}\\P{sc:Han}\\P{Lu}");
  EXPECT_EQ(*to_pcre2("[a\\P{L}\\H]"), "(?:[a\\P{L}]|[^0-9A-Fa-f])");
  EXPECT_EQ(*to_pcre2("\\p{Sm}", true), "[\\p{Sm}\\x{10d8e}-\\x{10d8f}]");
}

}  // namespace
}  // namespace corbel
