#include <gtest/gtest.h>

#include <chrono>

#include "corbel/grammar/gbnf_tree.h"
#include "corbel/grammar/machine.h"
#include "corbel/grammar/token_masker.h"

namespace corbel {
namespace {

/// As llama.cpp's users have it, written anew.
constexpr std::string_view kJson = R"(root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws

# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
)";

std::string refusal(std::string_view text) {
  const auto grammar = compile_grammar(GrammarSource::gbnf(std::string(text)));
  return grammar ? "" : grammar.error().message;
}

bool accepts(const Grammar& grammar, std::string_view text) {
  Machine machine(std::make_shared<const Grammar>(grammar));
  Machine::Id state = machine.start();
  for (const char c : text) state = machine.step(state, static_cast<std::uint8_t>(c));
  return machine.may_end(state);
}

bool accepts(std::string_view grammar, std::string_view text) {
  const auto compiled = compile_grammar(GrammarSource::gbnf(std::string(grammar)));
  EXPECT_TRUE(compiled) << grammar.substr(0, 200) << ": " << (compiled ? "" : compiled.error().message);
  return compiled && accepts(*compiled, text);
}

TEST(Gbnf, WritesJsonByTheGrammarThatUsersSend) {
  const auto json = compile_grammar(GrammarSource::gbnf(std::string(kJson)));
  ASSERT_TRUE(json) << json.error().message;
  for (const char* good : {"{}", "{ }", R"({"a": [1, -2.5e3, "x\n\u00e9", {"b": null}], "": true})", "{\n\t\"k\":0}\n"})
    EXPECT_TRUE(accepts(*json, good)) << good;
  for (const char* bad : {"", "[]", "{", R"({"a"})", R"({"a": 01x})", "{\"a\": \"\x01\"}", R"({"a": "\q"})", "{}  "})
    EXPECT_FALSE(accepts(*json, bad)) << bad;
  std::string deep;
  for (int i = 0; i < 3000; ++i) deep += "{\"a\":[";
  for (int i = 0; i < 3000; ++i) deep += "]}";
  EXPECT_TRUE(accepts(*json, deep));
}

TEST(Gbnf, KnowsEveryFormOfTheNotation) {
  EXPECT_TRUE(accepts("root ::= \"a\\n\\\"\\\\\\x41\\u00e9\\U0001F600\"", "a\n\"\\A\xC3\xA9\xF0\x9F\x98\x80"));
  EXPECT_TRUE(accepts("root ::= [^a-c\\]] .", "dx"));
  EXPECT_TRUE(accepts("root ::= [^a-c\\]] .", "\xE2\x82\xAC\n"));
  EXPECT_FALSE(accepts("root ::= [^a-c\\]] .", "]x"));
  EXPECT_TRUE(accepts("root ::= [a-]+", "a--a"));
  EXPECT_TRUE(accepts("root ::= x{2} y{1,} z{0,2}\nx ::= \"x\"\ny ::= \"y\"\nz ::= \"z\"", "xxyyyzz"));
  EXPECT_FALSE(accepts("root ::= \"z\"{0,2}", "zzz"));
  EXPECT_TRUE(accepts("root ::= (\"a\" |\n \"b\" # here\n | \"c\")* \"\"", "abcba"));
  EXPECT_TRUE(accepts("# first\n\nroot\t::=\n  my-rule_2 |\n  \"b\"\r\nmy-rule_2 ::= \"a\"", "a"));
  EXPECT_TRUE(accepts("root ::= ", ""));
  EXPECT_TRUE(accepts("root ::= \"a\"?+", "aaa"));
}

TEST(Gbnf, RulesThatMayBeEmptyStandAnywhere) {
  const std::string_view nested =
      "root ::= opt opt list\nopt ::= \"b\"? | opt2\nopt2 ::= \"c\"*\nlist ::= (\"(\" root \")\" opt)*";
  for (const char* good : {"", "b", "bb", "ccb", "()", "(b)b(())", "cc((cc)b)"})
    EXPECT_TRUE(accepts(nested, good)) << good;
  for (const char* bad : {"bbb", "(", ")(", "bcb"}) EXPECT_FALSE(accepts(nested, bad)) << bad;
}

TEST(Gbnf, WhatStandsBehindPartsThatMayBeEmptyMayBeAsDeepAsTheTextIsLong) {
  const auto grammar =
      compile_grammar(GrammarSource::gbnf("root ::= \"a\" root? tail\ntail ::= [bc]? | \"(\" root \")\""));
  ASSERT_TRUE(grammar);
  const std::string deep(100'000, 'a');
  EXPECT_TRUE(accepts(*grammar, deep));
  EXPECT_TRUE(accepts(*grammar, deep + "bcb"));
  EXPECT_FALSE(accepts(*grammar, deep + "d"));
}

TEST(Gbnf, MistakesAreNamedByLineAndColumn) {
  const auto names = [](std::string_view text, std::string_view what) {
    EXPECT_NE(refusal(text).find(what), std::string::npos) << refusal(text);
  };
  names("root ::= a b\nb ::= \"x\"", "line 1, column 10: the rule \"a\" is used and not defined");
  names("root ::= \"a\n", "line 1, column 10: a text without its closing \"");
  names("root ::= \"x\"\nr2 := \"a\"", "line 2, column 5: \"::=\" is expected behind a rule's name, found \"=\"");
  names("root ::= (\"a\"\n | [b-a])", "line 2, column 4: a range of a class that runs backwards");
  names("root ::= \"\xC3\xA9\" \"\\q\"", "line 1, column 15: an unknown escape");
  names("root ::= \"a\" )", "line 1, column 14: the rule's end or a further item is expected, found \")\"");
  names("root ::= (\"a\" ]", "the ) of the ( at line 1, column 10 is expected, found \"]\"");
  names("root ::= * \"a\"", "line 1, column 10: \"*\" without anything before it");
  names("root ::= \"a\"{2,1}", "line 1, column 13: a count whose least is above its most");
  names("root ::= \"a\"{x}", "a { without a count");
  names("root ::= <think>", "line 1, column 10: tokens by name or number");
  names("a ::= \"x\"", "it has no rule \"root\"");
  names("", "it has no rule \"root\"");
  names("root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: the rule \"root\" was defined at line 1, column 1");
  names("root ::= \"x\" | b\nb ::= \"y\"? root \"z\"", "the rule \"root\" may begin with itself");
  names("root ::= e e2 root\ne ::= \"\"\ne2 ::= e*", "line 1, column 1: the rule \"root\" may begin with itself");
  names("root ::= \"a\" root", "no text satisfies it");
  names("root ::= []", "line 1, column 10: a class of no characters");
  names("root ::= \"a", "without its closing");
  names("root ::= [a", "without its closing ]");
  names("root ::= \"\\uD800\"", "a surrogate");
  names(std::string(300'000, ' '), "at most 262144 are compiled");
  names("root ::= " + std::string(70, '(') + "\"a\"" + std::string(70, ')'), "more than 64 groups");
}

// Each would take for ever without its limit: then the program runs into its time.
TEST(Gbnf, HostileGrammarsEndOneWayOrTheOther) {
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 1900; ++i) chain += cat("r", i, " ::= \"a\"? r", i + 1, "\n");
  EXPECT_TRUE(accepts(chain + "r1900 ::= \"b\"", "aab"));
  std::string doubling = "root ::= r0\n";
  for (int i = 0; i < 60; ++i) doubling += cat("r", i, " ::= r", i + 1, " r", i + 1, "\n");
  EXPECT_FALSE(accepts(doubling + "r60 ::= \"b\"", "bb"));
  EXPECT_TRUE(accepts(doubling + "r60 ::= \"b\"?", "bb"));
  std::string many = "root ::= ";
  for (int i = 0; i < 20'000; ++i) many += "\"a\"? ";
  EXPECT_EQ(refusal(many).substr(0, 30), refusal(many).empty() ? "" : "cannot compile the grammar: li");
  EXPECT_TRUE(accepts(many.substr(0, 9 + 5 * 1000), std::string(500, 'a')));
  EXPECT_TRUE(accepts("root ::= [ab]* \"a\" [ab]{300}", std::string(400, 'a')));
}

TEST(Gbnf, AMaskOfAGrammarWithVeryManyReadingsIsCutAndNeverEmpty) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (int i = 0; i < 20'000; ++i) tokens.push_back(cat("t", i, "x", i * 7 % 1000));
  tokens.emplace_back();
  const auto end = static_cast<std::int32_t>(tokens.size() - 1);
  const auto vocabulary = *TokenVocabulary::make(std::move(tokens), {end});
  const auto grammar = compile_grammar(GrammarSource::gbnf(
      "root ::= [^x] root [a-z0-9]? | [a-z0-9] [^y] root tail | [a-z0-9]\ntail ::= [t0-9]* | root [0-9]?"));
  ASSERT_TRUE(grammar) << grammar.error().message;
  const auto before = std::chrono::steady_clock::now();
  std::vector<std::vector<std::uint64_t>> masks[2];
  for (auto& all : masks) {
    const auto masker = *TokenMasker::make(std::make_shared<const Grammar>(*grammar), vocabulary);
    masker->limit_memory(std::size_t{16} << 20);
    GrammarCursor cursor = masker->start();
    if (&all == &masks[1]) {  // somebody else was here before
      GrammarCursor other = masker->start();
      std::vector<std::uint64_t> mask(vocabulary->mask_words());
      for (const char c : std::string("t1x7q")) {
        masker->fill_mask(other, mask);
        masker->accept(other, static_cast<std::uint8_t>(c));
      }
    }
    for (int step = 0; step < 8; ++step) {
      all.emplace_back(vocabulary->mask_words());
      masker->fill_mask(cursor, all.back());
      ASSERT_NE(std::ranges::count_if(all.back(), [](std::uint64_t word) { return word != 0; }), 0);
      ASSERT_TRUE(masker->accept(cursor, step % 2 == 0 ? 't' : '1'));
    }
  }
  EXPECT_EQ(masks[0], masks[1]) << "what is allowed depends on who came before";
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(60));
}

}  // namespace
}  // namespace corbel
