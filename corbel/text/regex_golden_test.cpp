#include <gtest/gtest.h>

#include "corbel/text/pattern.h"
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

TEST(RegexGolden, ClassesTakeTheCodePointsThatOnigurumasTake) {
  std::string all;
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code < 0xD800 || code >= 0xE000) append_utf8(all, code);
  }
  // Oniguruma here is of Unicode 16, PCRE2 10.42 of 14: what 14 had not assigned is left out.
  std::vector<bool> assigned(0x110000, true);
  ASSERT_TRUE(Regex::compile("\\p{Cn}")->each_match(
      all, [&](Span match) { assigned[utf8_at(all.data() + match.begin).code] = false; }));
  for (const auto& row : golden_rows()) {
    if (!row.contains("class")) continue;
    const std::string name = row["class"];
    std::vector<bool> expected(0x110000, false);
    for (const auto& range : row["ranges"]) {
      for (std::size_t code = range[0]; code <= range[1].get<std::size_t>(); ++code) expected[code] = true;
    }
    const auto regex = Regex::compile(name);
    ASSERT_TRUE(regex.has_value());
    std::vector<bool> found(0x110000, false);
    ASSERT_TRUE(regex->each_match(all, [&](Span match) { found[utf8_at(all.data() + match.begin).code] = true; }));
    int differences = 0;
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (!assigned[code] || found[code] == expected[code] || ++differences > 5) continue;
      ADD_FAILURE() << name << " U+" << std::hex << static_cast<unsigned>(code);
    }
    EXPECT_EQ(differences, 0) << name;
  }
}

TEST(RegexSyntax, WhatCannotBeSpelledIsRefusedNamingTheRegex) {
  for (const std::string source : {"[a[^b]]", "[\\W]", "a[b", "\\Qa\\E", "(*LIMIT_MATCH=1)a", "a\\", "\\u12"}) {
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
  EXPECT_EQ(*to_pcre2("\\[[[:alpha:]]\\u4e2d(?mi:a.)"), "\\[[[:alpha:]]\\x{4e2d}(?si:a.)");
  EXPECT_EQ(*to_pcre2("\\p{Uppercase_Letter}\\P{Han}\\p{^Lu}"), "\\p{Lu}\\P{sc:Han}\\p{^Lu}");
}

}  // namespace
}  // namespace corbel
