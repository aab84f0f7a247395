#include "corbel/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace corbel {
namespace {

using testing::HasSubstr;

std::string refusal(std::string_view text) {
  const Result<Json> parsed = parse_json(text, "config.json");
  return parsed ? "accepted: " + parsed->dump() : parsed.error().message;
}

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, KeepsTheOrderOfKeysAndTheTypesOfValues) {
  const std::string text = R"({"z":1,"a":[true,null,-2,1.5,"x"],"m":{"k":{},"b":18446744073709551615}})";
  const Result<Json> parsed = parse_json(text, "t");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->dump(), text);
}

TEST(ParseJson, AcceptsAnyValueAtTheTop) {
  EXPECT_EQ(parse_json(" 7 ", "t")->dump(), "7");
  EXPECT_EQ(parse_json("\"s\"", "t")->dump(), "\"s\"");
  EXPECT_EQ(parse_json("[]", "t")->dump(), "[]");
}

TEST(ParseJson, NamesFileLineAndColumnOfASyntaxError) {
  EXPECT_THAT(refusal("{\n  \"a\": 1,\n  \"b\" 2}"), testing::StartsWith("config.json:3:7: syntax error"));
  EXPECT_THAT(refusal(""), testing::StartsWith("config.json:1:1: "));
  EXPECT_THAT(refusal("{\"a\":1"), HasSubstr("unexpected end of input"));
  EXPECT_THAT(refusal("{} x"), testing::StartsWith("config.json:1:4: "));
}

TEST(ParseJson, RefusesTheSameKeyTwiceInOneObjectAndNamesTheSecond) {
  EXPECT_EQ(refusal("{\"a\": 1,\n \"b\": 2, \"a\": 3}"), "config.json:2:12: the key \"a\" appears twice in one object");
  EXPECT_EQ(refusal(R"({"x":{"a":1,"\u0061":2}})"), "config.json:1:20: the key \"a\" appears twice in one object");
  EXPECT_TRUE(parse_json(R"({"a":{"a":1},"b":{"a":1}})", "t"));
}

TEST(ParseJson, FindsTheDuplicateAmongAHundredThousandKeysAtOnce) {
  std::string text = "{";
  for (int i = 0; i < 100000; ++i) text += cat("\"key", i, "\":", i, ",");
  EXPECT_THAT(refusal(text + "\"key777\":0}"), HasSubstr("the key \"key777\" appears twice"));
  EXPECT_TRUE(parse_json(text + "\"last\":0}", "t"));
}

TEST(ParseJson, RefusesNestingDeeperThan64) {
  EXPECT_TRUE(parse_json(nested(64), "t"));
  EXPECT_EQ(refusal(nested(65)), "config.json:1:65: nested deeper than 64 levels");
  EXPECT_EQ(refusal(std::string(1000000, '[')), "config.json:1:65: nested deeper than 64 levels");
}

TEST(ParseJson, NamesPythonsNanAndInfinity) {
  EXPECT_EQ(refusal("{\"a\": NaN}"), "config.json:1:7: NaN is Python's spelling, not JSON; write a number or null");
  EXPECT_EQ(refusal("[-Infinity]"), "config.json:1:3: Infinity is Python's spelling, not JSON; write a number or null");
}

TEST(ParseJson, RefusesInvalidUtf8NumbersBeyondDoubleAndControlCharacters) {
  EXPECT_THAT(refusal("[\"\xff\"]"), HasSubstr("ill-formed UTF-8"));
  EXPECT_THAT(refusal("[\"\xed\xa0\x80\"]"), HasSubstr("ill-formed UTF-8"));  // a surrogate
  EXPECT_THAT(refusal("[1e999]"), HasSubstr(": number overflow"));
  EXPECT_THAT(refusal("[\"a\nb\"]"), HasSubstr("control character"));
}

TEST(ParseJson, RepeatsOnlyAShortPrintablePieceOfAHostileFile) {
  const std::string message = refusal("[\"" + std::string(1000000, 'x') + "\x01");
  EXPECT_LT(message.size(), 200u);
  for (const char c : refusal("[\x1b[31m]")) EXPECT_TRUE(c >= ' ' && c <= '~') << static_cast<int>(c);
}

TEST(ReadJsonFile, NamesAnEmptyFileAndAGitLfsPointer) {
  const auto path = std::filesystem::path(testing::TempDir()) / "corbel_json_test.json";
  std::ofstream(path).close();
  EXPECT_EQ(read_json_file(path).error().message, cat(path.string(), " is empty (0 bytes), expected JSON"));
  std::ofstream(path) << "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n";
  EXPECT_EQ(read_json_file(path).error().message,
            cat(path.string(), " is a Git LFS pointer, not the file itself; run `git lfs pull` there"));
  std::ofstream(path) << "{\"a\":1}";
  EXPECT_EQ(read_json_file(path)->dump(), "{\"a\":1}");
  EXPECT_THAT(read_json_file(path, 6).error().message, HasSubstr("has 7 bytes, more than the 6"));
  std::filesystem::remove(path);
}

class Fields : public testing::Test {
 protected:
  Json document_ = *parse_json(R"({
    "int": 32, "text": "silu", "flag": true, "real": 0.5, "none": null, "whole": 4096.0,
    "huge": 9223372036854775808, "beyond": 99999999999999999999, "ints": [1, 2], "mixed": [1, "x"], "eos": 7,
    "names": ["a", "b"], "rope": {"factor": 8, "deep": {"x": "y"}}})",
                               "config.json");
  JsonFields fields_{document_, "config.json"};
};

TEST_F(Fields, ReadWhatIsThereAndFallBackForAbsentAndNull) {
  EXPECT_EQ(*fields_.get_int("int", 1, 0, 100), 32);
  EXPECT_EQ(*fields_.get_int("absent", 1, 5, 100), 1);
  EXPECT_EQ(*fields_.get_int("none", 2, 0, 100), 2);
  EXPECT_EQ(*fields_.get_number("real", 0), 0.5);
  EXPECT_EQ(*fields_.get_number("int", 0), 32.0);
  EXPECT_EQ(*fields_.get_bool("flag", false), true);
  EXPECT_EQ(*fields_.get_string("text", ""), "silu");
  EXPECT_EQ(*fields_.get_string("none", "d"), "d");
  EXPECT_EQ(*fields_.get_ints("ints"), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(*fields_.get_ints("eos"), (std::vector<std::int64_t>{7}));
  EXPECT_EQ(*fields_.get_numbers("ints"), (std::vector<double>{1, 2}));
  EXPECT_EQ(*fields_.get_strings("names"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*fields_.get_strings("text"), (std::vector<std::string>{"silu"}));
  EXPECT_TRUE(fields_.get_strings("absent")->empty());
  EXPECT_TRUE(fields_.has("int"));
  EXPECT_FALSE(fields_.has("none"));
  EXPECT_FALSE(fields_.has("absent"));
}

TEST_F(Fields, RefuseWrongTypesNamingFileFieldExpectedAndFound) {
  EXPECT_EQ(fields_.get_int("text", 0, 0, 9).error().message,
            "config.json: \"text\" is \"silu\", expected a whole number from 0 to 9");
  EXPECT_EQ(fields_.get_int("int", 0, 1, 16).error().message,
            "config.json: \"int\" is 32, expected a whole number from 1 to 16");
  EXPECT_EQ(fields_.require_string("absent").error().message, "config.json: \"absent\" is missing, expected a string");
  EXPECT_EQ(fields_.get_bool("int", false).error().message, "config.json: \"int\" is 32, expected true or false");
  EXPECT_EQ(fields_.get_number("rope", 0).error().message, "config.json: \"rope\" is an object, expected a number");
  EXPECT_EQ(fields_.get_ints("mixed").error().message, "config.json: \"mixed[1]\" is \"x\", expected a whole number");
  EXPECT_EQ(fields_.get_strings("mixed").error().message, "config.json: \"mixed[0]\" is 1, expected a string");
  EXPECT_EQ(fields_.get_ints("text").error().message,
            "config.json: \"text\" is \"silu\", expected a whole number or a list of them");
  EXPECT_EQ(fields_.object("ints").error().message, "config.json: \"ints\" is a list of 2, expected an object");
  EXPECT_EQ(fields_.object("absent").error().message, "config.json: \"absent\" is missing, expected an object");
}

TEST_F(Fields, NeverTurnAFractionOrAnOversizedNumberIntoAnInteger) {
  for (const char* key : {"real", "whole", "huge", "beyond"})
    EXPECT_FALSE(fields_.get_int(key, 0, INT64_MIN, INT64_MAX)) << key;
  EXPECT_FALSE(fields_.get_ints("huge"));
}

TEST_F(Fields, NameNestedFieldsWithTheirPath) {
  const JsonFields rope = *fields_.object("rope");
  EXPECT_EQ(*rope.require_int("factor", 1, 64), 8);
  EXPECT_EQ(rope.object("deep")->get_int("x", 0, 0, 1).error().message,
            "config.json: \"rope.deep.x\" is \"y\", expected a whole number from 0 to 1");
}

TEST(JsonFields, RefusesADocumentThatIsNoObjectInsteadOfGivingFallbacks) {
  const Json list = *parse_json("[1]", "t");
  const JsonFields fields(list, "config.json");
  EXPECT_EQ(fields.get_int("hidden", 1, 0, 9).error().message,
            "config.json: the document is a list of 1, expected an object with \"hidden\"");
  EXPECT_FALSE(fields.get_string("a", "b"));
  EXPECT_FALSE(fields.get_strings("a"));
  EXPECT_FALSE(fields.has("a"));
}

}  // namespace
}  // namespace corbel
