#include "corbel/chat/tool_call_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "corbel/chat/tool_call_literal.h"
#include "corbel/chat/tool_call_scanner.h"

namespace corbel {
namespace {

/// True when the scanner says done at the last byte and not before.
bool scans(std::string_view text) {
  JsonScanner scanner;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const ScanStep step = scanner.feed(text[at]);
    if (step == ScanStep::fail) return false;
    if (step == ScanStep::done) return at + 1 == text.size();
  }
  return false;
}

constexpr std::string_view kDocument =
    R"({"a": [1, -0.5e+3, 0, 12.25E-2, true, false, null, "x\"\\\/\b\u00e9"], "": {}, "b": [[], {"c": {"d": [0]}}], "e": "}]"})";

TEST(JsonScanner, AcceptsADocumentOnceItIsWholeAndNotBefore) {
  EXPECT_TRUE(scans(kDocument));
  for (std::size_t size = 0; size < kDocument.size(); ++size) EXPECT_FALSE(scans(kDocument.substr(0, size))) << size;
}

// nlohmann's parser is the judge; what it takes beside objects and arrays, and blanks around, is left out.
TEST(JsonScanner, AgreesWithAnotherParserOnChangedDocuments) {
  constexpr std::string_view kBytes = "{}[],:\"\\0123456789.eE+-truefalsn u /x\t";
  std::mt19937 random(7);
  int accepted = 0;
  for (int round = 0; round < 40000; ++round) {
    std::string text(kDocument);
    for (int change = 0; change <= round % 2; ++change) {
      const std::size_t at = random() % text.size();
      const char byte = kBytes[random() % kBytes.size()];
      if (random() % 3 == 0)
        text.erase(at, 1);
      else if (random() % 2 == 0)
        text.insert(at, 1, byte);
      else
        text[at] = byte;
    }
    if (text.empty() || (text.front() != '{' && text.front() != '[') || (text.back() != '}' && text.back() != ']'))
      continue;
    std::string judged = text;  // raw tabs inside texts are taken and escaped, on purpose
    bool inside = false;
    for (std::size_t at = 0; at < judged.size(); ++at) {
      if (judged[at] == '\\')
        ++at;
      else if (judged[at] == '"')
        inside = !inside;
      else if (inside && judged[at] == '\t')
        judged[at] = ' ';
    }
    const bool expected = nlohmann::json::accept(judged);
    EXPECT_EQ(scans(text), expected) << text;
    accepted += expected ? 1 : 0;
  }
  EXPECT_GT(accepted, 1000);
}

TEST(JsonScanner, EscapesRawControlCharactersInTexts) {
  JsonScanner scanner;
  for (const char byte : std::string_view("{\"a\":\n\"x\ny\x01\"}")) scanner.feed(byte);
  EXPECT_EQ(scanner.text(), "{\"a\":\n\"x\\ny\\u0001\"}");
}

TEST(JsonScanner, RefusesNestingBeyondItsBound) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(scans(nested(JsonScanner::kMaxDepth)));
  EXPECT_FALSE(scans(nested(JsonScanner::kMaxDepth + 1)));
}

TEST(JsonMembers, GiveKeysWithoutEscapesAndValuesAsWritten) {
  const auto members = json_members(R"({ "a\u00e9" : [1, {"b": "]"}] ,"c":-1.50,"d":"\""})");
  ASSERT_EQ(members.size(), 3U);
  EXPECT_EQ(members[0].first, "a\u00e9");
  EXPECT_EQ(members[0].second, R"([1, {"b": "]"}])");
  EXPECT_EQ(members[1].second, "-1.50");
  EXPECT_EQ(members[2].second, R"("\"")");
}

TEST(JsonStrings, ComeBackAsAnotherParserReadsThem) {
  for (const char* quoted : {R"("")", R"("a\n\t\r\b\f\/\\\"")", R"("\u00e9\u4e2d\ud83d\ude00")"}) {
    EXPECT_EQ(json_string_value(quoted), nlohmann::json::parse(quoted).get<std::string>()) << quoted;
  }
  const std::string odd = "\"\\\n\x01\x1f\u4e2d/";
  EXPECT_EQ(nlohmann::json::parse(json_quoted(odd)).get<std::string>(), odd);
}

TEST(Literals, OfPythonBecomeJson) {
  const LiteralSyntax plain;
  const auto read = [&](std::string_view text) { return literal_to_json(text, plain).value_or("refused"); };
  EXPECT_EQ(read("{'a': True, \"b\": None, 'c': (1, -2.5e3,)}"), R"({"a": true, "b": null, "c": [1, -2.5e3]})");
  EXPECT_EQ(read(R"('it\'s \x41\u00e9\U0001F600\q')"), "\"it's A\u00e9\U0001f600\\\\q\"");
  EXPECT_EQ(read("'''a'b'''"), "\"a'b\"");
  EXPECT_EQ(read("[1., .5, 0]"), "[1.0, 0.5, 0]");
  for (const char* text : {"", "x", "1+2", "'a", "[1", "{1: 2}", "007", "1e", "--1", "{'a' 1}", "[1] 2", "0x10"}) {
    EXPECT_EQ(read(text), "refused") << text;
  }
}

TEST(MarkerMatcher, LetsBlanksStandWhereTagsMeet) {
  const auto matches = [](std::string_view marker, std::string_view text) {
    MarkerMatcher matcher(marker);
    ScanStep step = ScanStep::more;
    for (const char byte : text) {
      if (step != ScanStep::more) return false;
      step = matcher.feed(byte);
    }
    return step == ScanStep::done;
  };
  EXPECT_TRUE(matches("</a><b>", "</a>\n <b>"));
  EXPECT_TRUE(matches("</a><b>", "</a><b>"));
  EXPECT_TRUE(matches("\n```json\n", "```json"));
  EXPECT_TRUE(matches("a b", " a\n\nb"));
  EXPECT_FALSE(matches("</a>", "</ a>"));
  EXPECT_FALSE(matches("ab", "a b"));
}

}  // namespace
}  // namespace corbel
