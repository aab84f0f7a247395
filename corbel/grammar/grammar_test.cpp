#include "corbel/grammar/grammar.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <random>

#include "corbel/grammar/token_masker.h"

namespace corbel {
namespace {

std::shared_ptr<const TokenVocabulary> byte_vocabulary(const std::vector<std::string>& more = {}) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  tokens.insert(tokens.end(), more.begin(), more.end());
  tokens.emplace_back();
  const auto end = static_cast<std::int32_t>(tokens.size() - 1);
  return *TokenVocabulary::make(std::move(tokens), {end});
}

std::unique_ptr<TokenMasker> masker_of(const GrammarSource& source, const GrammarOptions& options = {},
                                       std::shared_ptr<const TokenVocabulary> vocabulary = byte_vocabulary()) {
  auto grammar = compile_grammar(source, options);
  EXPECT_TRUE(grammar) << (grammar ? "" : grammar.error().message);
  return *TokenMasker::make(std::make_shared<const Grammar>(*std::move(grammar)), std::move(vocabulary));
}

bool accepts(TokenMasker& masker, std::string_view text) {
  GrammarCursor cursor = masker.start();
  for (const char c : text) {
    if (!masker.accept(cursor, static_cast<std::uint8_t>(c))) return false;
  }
  return masker.may_end(cursor);
}

bool allowed(const std::vector<std::uint64_t>& mask, std::int32_t token) {
  return ((mask[static_cast<std::size_t>(token) / 64] >> (token % 64)) & 1) != 0;
}

std::string refusal(const std::string& schema) {
  const auto grammar = compile_grammar(GrammarSource::json_schema(schema));
  return grammar ? "" : grammar.error().message;
}

TEST(Grammar, AcceptsPropertiesInTheOrderOfTheSchemaAlone) {
  const auto masker = masker_of(GrammarSource::json_schema(
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["b"],"additionalProperties":false})"));
  EXPECT_TRUE(accepts(*masker, R"({"a":1,"b":"x"})"));
  EXPECT_TRUE(accepts(*masker, R"({"b":"x"})"));
  EXPECT_FALSE(accepts(*masker, R"({"b":"x","a":1})"));
  EXPECT_FALSE(accepts(*masker, R"({"a":1})"));
  EXPECT_FALSE(accepts(*masker, R"({"b":"x","c":1})"));
}

TEST(Grammar, FlexibleWhitespaceIsBounded) {
  const auto masker = masker_of(GrammarSource::json_object(), {.whitespace = Whitespace::flexible});
  EXPECT_TRUE(accepts(*masker, "{\n  \"a\": [1, 2]\n}"));
  EXPECT_FALSE(accepts(*masker, "{\n\n\"a\":1}"));
  EXPECT_FALSE(accepts(*masker, "{\n" + std::string(41, ' ') + "\"a\":1}"));
}

TEST(Grammar, RecursiveSchemasNestWithoutEnd) {
  const auto masker = masker_of(GrammarSource::json_schema(
      R"({"type":"object","properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["next"],"additionalProperties":false})"));
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "{\"next\":";
  text += "null" + std::string(2000, '}');
  EXPECT_TRUE(accepts(*masker, text));
  EXPECT_FALSE(accepts(*masker, text + "}"));
}

TEST(Grammar, AmbiguousAlternativesShareTheirStack) {
  const auto masker = masker_of(GrammarSource::json_schema(
      R"({"$defs":{"r":{"anyOf":[{"type":"object","properties":{"a":{"$ref":"#/$defs/r"}},"additionalProperties":false},
                                 {"type":"object","properties":{"a":{"$ref":"#/$defs/r"},"b":{"type":"integer"}},"additionalProperties":false}]}},
          "$ref":"#/$defs/r"})"));
  std::string text;
  for (int i = 0; i < 300; ++i) text += "{\"a\":";
  text += "{}";
  for (int i = 0; i < 300; ++i) text += i % 2 == 0 ? "}" : ",\"b\":1}";
  EXPECT_TRUE(accepts(*masker, text));
}

TEST(Grammar, NumbersStayWithinTheirBounds) {
  const auto masker =
      masker_of(GrammarSource::json_schema(R"({"type":"number","minimum":-2.5,"exclusiveMaximum":10})"));
  for (const char* good : {"-2.5", "-2.49", "0", "9.99", "-0.1", "9"}) EXPECT_TRUE(accepts(*masker, good)) << good;
  for (const char* bad : {"-2.51", "-3", "10", "10.0", "-0", "01", "11", "1e1"})
    EXPECT_FALSE(accepts(*masker, bad)) << bad;
}

TEST(Grammar, RefusalsNameThePlaceAndTheKeyword) {
  EXPECT_NE(refusal(R"({"properties":{"a":{"type":"array","uniqueItems":true}}})")
                .find("\"#/properties/a\", keyword \"uniqueItems\""),
            std::string::npos);
  EXPECT_NE(refusal(R"({"pattern":"(?=a)b"})").find("a lookahead is not supported"), std::string::npos);
  EXPECT_NE(refusal(R"({"$ref":"http://elsewhere/x"})").find("$ref"), std::string::npos);
  EXPECT_NE(refusal(R"({"oneOf":[{"type":"integer"},{"type":"number"}]})").find("oneOf"), std::string::npos);
  EXPECT_NE(refusal(R"({"$ref":"#"})").find("refers to itself"), std::string::npos);
  EXPECT_NE(refusal(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})").find("no text satisfies"),
            std::string::npos);
}

TEST(Grammar, OneOfIsTakenWhereOptionsExcludeEachOther) {
  EXPECT_EQ(refusal(R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},
                                 {"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]})"),
            "");
  EXPECT_EQ(refusal(R"({"oneOf":[{"type":"integer","maximum":3},{"type":"number","exclusiveMinimum":3}]})"), "");
}

TEST(Grammar, OptionsWithATagNeedNoProofThatIsLong) {
  const auto one_of = [](const char* tag, const char* type) {
    std::string options;
    for (int i = 0; i < 34; ++i) {
      std::string properties = cat("\"k\":{\"", tag, "\":", i, "}");
      for (int p = 0; p < 60; ++p) properties += cat(",\"p", p, R"(":{"type":"string","pattern":"^[a-z]+)", p, "$\"}");
      options += cat(i == 0 ? "" : ",", R"({"required":["k"],"properties":{)", properties, "}", type, "}");
    }
    return cat(R"({"oneOf":[)", options, "]}");
  };
  EXPECT_EQ(refusal(one_of("const", R"(,"type":"object")")), "");
  EXPECT_NE(refusal(one_of("const", "")), "");  // a number satisfies all of them
  EXPECT_NE(refusal(one_of("minimum", R"(,"type":"object")")), "");
}

TEST(Grammar, HostileCountsEndWithARefusalSoon) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(compile_grammar(GrammarSource::regex("((a{0,1000}){0,1000}b){0,1000}c")));
  EXPECT_FALSE(compile_grammar(GrammarSource::regex("(a|b)*a(a|b){200}")));
  EXPECT_FALSE(compile_grammar(GrammarSource::regex("a{100000}")));
  EXPECT_TRUE(compile_grammar(GrammarSource::json_schema(R"({"type":"string","maxLength":1000000})")));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(20));
}

/// d0 refers twice to d1, and so on: small to write, and 2^levels to walk.
std::string doubling(const std::string& keyword, int levels) {
  std::string schemas = cat("\"d", levels, "\": {\"type\": \"integer\"}");
  for (int i = 0; i < levels; ++i) {
    const std::string next = cat("{\"$ref\": \"#/$defs/d", i + 1, "\"}");
    schemas += cat(", \"d", i, "\": {\"", keyword, "\": [", next, ", ", next, "]}");
  }
  return cat("\"$defs\": {", schemas, "}");
}

TEST(Grammar, SmallSchemasWithEndlessWorkAreRefused) {
  EXPECT_NE(refusal(cat(R"({"$ref": "#/$defs/d0", )", doubling("allOf", 40), "}")).find("units of work"),
            std::string::npos);
  for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
    const std::string schema =
        cat(R"({"enum": [{"a": 1}], "properties": {"a": {"$ref": "#/$defs/d0"}}, )", doubling(keyword, 40), "}");
    EXPECT_NE(refusal(schema).find("units of work"), std::string::npos) << keyword;
  }
  std::string items;
  for (int i = 0; i < 10'000; ++i)
    items += cat(i == 0 ? "" : ",", R"({"type": "integer", "multipleOf": 1999, "minimum": 0, "maximum": )", i, "}");
  EXPECT_NE(refusal(cat(R"({"type": "array", "maxItems": 1, "prefixItems": [)", items, "]}")), "");
  std::string options;
  for (int i = 0; i < 34; ++i) {
    options += cat(i == 0 ? "" : ",", R"({"type": "string", "pattern": "^(a|b)*a(a|b){9})", i, R"($"})");
  }
  EXPECT_NE(refusal(cat(R"({"oneOf": [)", options, "]}")).find("units of work"), std::string::npos);
}

TEST(Grammar, LongListsOfValuesAreCheckedOnceEach) {
  std::string values = "1.0";
  for (int i = 2; i < 20'000; ++i) values += cat(",", i);
  auto masker = masker_of(GrammarSource::json_schema(cat(R"({"enum": [)", values, R"(], "multipleOf": 1999})")));
  EXPECT_TRUE(accepts(*masker, "3998"));
  EXPECT_FALSE(accepts(*masker, "3999"));
  auto both = masker_of(GrammarSource::json_schema(
      cat(R"({"enum": [1, 5, {"b": 2, "a": 1}], "allOf": [{"enum": [{"a": 1.0, "b": 2}, )", values, "]}]}")));
  for (const char* text : {"1", "5", R"({"a":1,"b":2})"}) EXPECT_TRUE(accepts(*both, text)) << text;
  EXPECT_FALSE(accepts(*both, "2"));
}

TEST(Grammar, AToolCallIsItsPrefixItsArgumentsAndItsSuffix) {
  const auto masker = masker_of(GrammarSource::tool_call(
      "<call>{\"name\":\"f\",\"arguments\":", R"({"type":"object","maxProperties":0})", "}</call>"));
  GrammarCursor cursor = masker->start();
  EXPECT_EQ(masker->forced_bytes(cursor), "<call>{\"name\":\"f\",\"arguments\":{}}</call>");
  EXPECT_TRUE(accepts(*masker, "<call>{\"name\":\"f\",\"arguments\":{}}</call>"));
}

TEST(TokenMasker, TokensAcrossBordersAreAllowedByWhatStandsBehind) {
  const auto vocabulary = byte_vocabulary({"\",\"b\":", "\"}", "\",\"c", "1}"});
  const auto masker = masker_of(
      GrammarSource::json_schema(
          R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}},"required":["a","b"],"additionalProperties":false})"),
      {}, vocabulary);
  GrammarCursor cursor = masker->start();
  for (const char c : std::string("{\"a\":\"xy")) ASSERT_TRUE(masker->accept(cursor, static_cast<std::uint8_t>(c)));
  std::vector<std::uint64_t> mask(vocabulary->mask_words());
  masker->fill_mask(cursor, mask);
  EXPECT_TRUE(allowed(mask, 256));
  EXPECT_FALSE(allowed(mask, 257));
  EXPECT_FALSE(allowed(mask, 258));
}

TEST(TokenMasker, RollbackAndCopiesGoBackToTheSameMask) {
  const auto vocabulary = byte_vocabulary();
  const auto masker = masker_of(GrammarSource::json_object(), {}, vocabulary);
  GrammarCursor cursor = masker->start();
  std::vector<std::vector<std::uint64_t>> masks;
  const std::string text = R"({"a":[1,{"b":"c"}]})";
  for (const char c : text) {
    masks.emplace_back(vocabulary->mask_words());
    masker->fill_mask(cursor, masks.back());
    ASSERT_TRUE(masker->accept(cursor, static_cast<std::uint8_t>(c)));
  }
  ASSERT_TRUE(masker->accept(cursor, vocabulary->size() - 1));
  GrammarCursor copy = cursor;
  masker->limit_memory(1);  // all states are forgotten and found again
  masker->rollback(copy, 1);
  for (std::size_t left = text.size(); left-- > 0;) {
    masker->rollback(copy, 1);
    std::vector<std::uint64_t> mask(vocabulary->mask_words());
    masker->fill_mask(copy, mask);
    EXPECT_EQ(mask, masks[left]);
  }
  EXPECT_TRUE(cursor.is_terminated());
}

TEST(TokenMasker, AVocabularyWithoutAByteNeverStopsInFrontOfIt) {
  std::vector<std::string> tokens;
  for (const char c : std::string("abc\"\\/{}[]:,0123456789.-eE+trufalsn")) tokens.emplace_back(1, c);
  tokens.insert(tokens.end(), {"\xC3", "\xC3\xA9", "z\"", ""});
  const auto end = static_cast<std::int32_t>(tokens.size() - 1);
  const auto vocabulary = *TokenVocabulary::make(tokens, {end});
  const GrammarSource source = GrammarSource::json_schema(R"({"enum":["\u00e9","z","ab"]})");
  EXPECT_FALSE(TokenMasker::make(std::make_shared<const Grammar>(*compile_grammar(source)), vocabulary));
  const auto masker = masker_of(source, {.alphabet = vocabulary->single_bytes()}, vocabulary);
  GrammarCursor cursor = masker->start();
  EXPECT_EQ(masker->forced_bytes(cursor), "\"ab\"");
  EXPECT_FALSE(compile_grammar(GrammarSource::literal("z"), {.alphabet = vocabulary->single_bytes()}));
}

TEST(Grammar, ARefusalForWantOfTextsNamesTheSchemaThatHasNone) {
  const auto names = [](const std::string& schema, const std::string& place, const std::string& why) {
    const std::string message = refusal(schema);
    EXPECT_NE(message.find(place), std::string::npos) << message;
    EXPECT_NE(message.find(why), std::string::npos) << message;
  };
  names(R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"array","minItems":1,
            "items":{"type":"integer","minimum":5,"maximum":4}}},"required":["a","b"]})",
        "\"#/properties/b/items\"", "contradict");
  names(R"({"anyOf":[{"enum":[]},{"type":"string","minLength":3,"maxLength":2}]})", "\"#\"", "contradict");
  names(R"({"$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"}},"required":["next"]}},
            "type":"array","items":{"$ref":"#/$defs/n"},"minItems":1})",
        "\"#/$defs/n\"", "needs itself");
}

TEST(Grammar, NumbersNearTheirBoundsAreInsideThemAsDoublesToo) {
  std::mt19937_64 random(11);
  int accepted = 0;
  for (int round = 0; round < 40; ++round) {
    const double unit =
        std::ldexp(1.0 + static_cast<double>(random() >> 11) * 0x1p-53, static_cast<int>(random() % 12));
    const double low = (random() % 2 == 0 ? 1 : -1) * (round % 3 == 0 ? std::floor(unit) : unit);
    double high = low;
    for (std::uint64_t steps = 2 + random() % 4; steps > 0; --steps) high = std::nextafter(high, HUGE_VAL);
    char schema[200];
    std::snprintf(schema, sizeof schema, R"({"type":"number","exclusiveMinimum":%.17g,"exclusiveMaximum":%.17g})", low,
                  high);
    const auto masker = masker_of(GrammarSource::json_schema(schema));
    for (int i = 0; i < 200; ++i) {
      const double share = static_cast<double>(random() >> 11) * 0x1p-53;
      char text[80];
      std::snprintf(text, sizeof text, "%.*Lf", static_cast<int>(10 + random() % 11),
                    static_cast<long double>(low) + share * (static_cast<long double>(high) - low));
      if (!accepts(*masker, text)) continue;
      ++accepted;
      const double read = std::strtod(text, nullptr);
      EXPECT_TRUE(low < read && read < high) << schema << ' ' << text;
    }
  }
  EXPECT_GT(accepted, 200);
}

TEST(Grammar, WholeNumbersThatLoseDigitsWhenReadAreHeldBackOrRefused) {
  const auto masker = masker_of(GrammarSource::json_schema(
      R"({"type":"integer","minimum":1000000000000000000000000000000,"maximum":2000000000000000000000000000000})"));
  EXPECT_TRUE(accepts(*masker, "1500000000000000000000000000000"));
  EXPECT_FALSE(accepts(*masker, "1000000000000000000000000000000"));  // perhaps the bound, perhaps below it
  EXPECT_FALSE(accepts(*masker, "2000000000000000000000000000000"));
  EXPECT_NE(refusal(R"({"const":[1000000000000000000000000000000]})").find("keyword \"const\""), std::string::npos);
  EXPECT_NE(refusal(R"({"enum":[1,18446744073709551617]})").find("keyword \"enum\""), std::string::npos);
  EXPECT_TRUE(
      accepts(*masker_of(GrammarSource::json_schema(R"({"const":18446744073709551615})")), "18446744073709551615"));
}

}  // namespace
}  // namespace corbel
