#include "corbel/chat/answer_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/chat/answer_parser_splits.h"

namespace corbel {
namespace {

AnswerFormat format_named(std::string_view name, std::string_view reasoning = "think_tags") {
  auto format = AnswerFormat::by_name(name, reasoning);
  EXPECT_TRUE(format.has_value()) << name;
  return format.has_value() ? *format : AnswerFormat::plain();
}

struct Case {
  Json row;
  std::string text() const { return row["text"]; }
  AnswerParserOptions options() const {
    AnswerParserOptions options;
    if (row.contains("prompt")) options.prompt = row["prompt"].get_ref<const std::string&>();
    if (row.contains("tools")) options.tools = &row["tools"];
    if (row.contains("read_calls")) options.read_calls = row["read_calls"];
    return options;
  }
  std::vector<ToolCall> calls() const {
    std::vector<ToolCall> calls;
    for (const Json& one : row["calls"]) calls.push_back({one[0], one[1], one[2]});
    return calls;
  }
};

std::map<std::string, std::vector<Case>> read_cases() {
  std::map<std::string, std::vector<Case>> cases;
  const auto folder = std::filesystem::path(CORBEL_SOURCE_DIR) / "corbel" / "chat" / "tool_call_cases";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      cases[entry.path().stem().string()].push_back({Json::parse(line)});
    }
  }
  return cases;
}

TEST(AnswerParser, ReadsWhatEveryWrittenCaseSaysInEveryNamedFormat) {
  const auto all = read_cases();
  for (const std::string_view name : AnswerFormat::names()) {
    if (name == "none" || name == "generic") continue;
    const auto cases = all.find(std::string(name));
    ASSERT_NE(cases, all.end()) << name << " has no cases (tools/golden/tool_call_cases.py)";
    EXPECT_GE(cases->second.size(), 20U) << name;
    const AnswerFormat format = format_named(name);
    for (const Case& one : cases->second) {
      const ParsedAnswer answer = parse_answer(one.text(), format, one.options());
      const auto context = [&] {
        return cat(name, ": ", one.row["case"].get<std::string>(), '\n', one.text(), "\n-> ", splits::text_of(answer));
      };
      EXPECT_EQ(answer.content, one.row["content"].get<std::string>()) << context();
      EXPECT_EQ(answer.reasoning, one.row["reasoning_text"].get<std::string>()) << context();
      EXPECT_TRUE(answer.tool_calls == one.calls()) << context();
    }
  }
}

TEST(AnswerParser, GivesTheSameForEverySplitOfEveryWrittenCase) {
  for (const auto& [name, cases] : read_cases()) {
    const AnswerFormat format = format_named(name);
    for (const Case& one : cases) {
      EXPECT_EQ(splits::differing_split(one.text(), format, one.options()), "")
          << name << ": " << one.row["case"] << '\n'
          << one.text();
    }
  }
}

TEST(AnswerParser, GivesTheSameForEverySplitOfForeignFormats) {
  const AnswerFormat generic = AnswerFormat::generic();
  for (const auto& [name, cases] : read_cases()) {
    for (const Case& one : cases) {
      if (one.text().size() > 400) continue;
      EXPECT_EQ(splits::differing_split(one.text(), generic, one.options()), "")
          << name << ": " << one.row["case"] << '\n'
          << one.text();
    }
  }
}

TEST(AnswerParser, ReadsTheMarkedFormatsWithoutBeingToldWhich) {
  const AnswerFormat generic = AnswerFormat::generic();
  int read = 0;
  for (const auto& [name, cases] : read_cases()) {
    if (name == "python_calls" || name == "recipient_lines" || name == "channel_markers") continue;
    for (const Case& one : cases) {
      if (one.row["case"] != "one call" && one.row["case"] != "two calls") continue;
      const ParsedAnswer answer = parse_answer(one.text(), generic, one.options());
      EXPECT_TRUE(answer.tool_calls == one.calls()) << name << '\n' << one.text() << "\n-> " << splits::text_of(answer);
      ++read;
    }
  }
  EXPECT_GE(read, 24);
}

TEST(AnswerParser, HandsOutTextAtOnceWhereNoMarkerMayStart) {
  const AnswerFormat format = format_named("json_in_tags");
  AnswerParser parser(format);
  EXPECT_EQ(parser.push("Hello")[0].text, "Hello");
  EXPECT_EQ(parser.push(" you <")[0].text, " you");
  EXPECT_EQ(parser.push("b>")[0].text, " <b>");
  EXPECT_TRUE(parser.push("<tool_cal").empty());
  EXPECT_EQ(parser.push("m")[0].text, "<tool_calm");
}

TEST(AnswerParser, HandsOutACallWithTheByteThatCompletesIt) {
  const AnswerFormat format = format_named("json_in_tags");
  AnswerParser parser(format);
  EXPECT_TRUE(parser.push("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}").empty());
  const auto deltas = parser.push("}");
  ASSERT_EQ(deltas.size(), 1U);
  EXPECT_EQ(deltas[0].kind, AnswerDelta::Kind::tool_call);
  EXPECT_EQ(deltas[0].call, (ToolCall{"", "f", "{\"a\": 1}"}));
}

TEST(AnswerParser, SaysWhyACallStayedContent) {
  const ParsedAnswer answer = parse_answer("<tool_call>{oops", format_named("json_in_tags"));
  EXPECT_EQ(answer.content, "<tool_call>{oops");
  ASSERT_EQ(answer.notes.size(), 1U);
  EXPECT_NE(answer.notes[0].find("\"<tool_call>\""), std::string::npos) << answer.notes[0];
}

// What could start calls, again and again for 128 KiB: quadratic work would take half an hour here.
TEST(AnswerParser, LosesNothingOfALongRowOfBeginnings) {
  for (const std::string_view name : AnswerFormat::names()) {
    const AnswerFormat format = format_named(name);
    std::vector<std::string> units = {"<",   "{",       "[",  "\"", "{\"a\":", "[[", "\n",
                                      " \n", "<think>", "f(", "<|", "[f(a=\"", "`"};
    for (const ToolCallSyntax& syntax : format.parts().calls) {
      units.push_back(syntax.section_open + syntax.open);
      units.push_back(syntax.open + "f" + syntax.name_end);
      units.push_back(syntax.open + "{\"name\": \"");
      units.push_back(syntax.open + "f" + syntax.name_end + syntax.key_open + "k" + syntax.key_end);
    }
    for (const std::string& unit : units) {
      if (unit.empty()) continue;
      std::string text;
      while (text.size() < (1U << 17)) text += unit;
      const ParsedAnswer answer = parse_answer(text, format);
      std::size_t kept = answer.content.size() + answer.reasoning.size();
      for (const ToolCall& call : answer.tool_calls) kept += call.name.size() + call.arguments.size();
      // A tag of thoughts at the very start is markup, and so are newlines beside it.
      if (unit != "<think>" && answer.tool_calls.empty() && !format.parts().channels) {
        EXPECT_EQ(kept, text.size()) << name << " of " << unit;
      }
    }
  }
}

TEST(AnswerParser, TakesAnArgumentOfAMegabyte) {
  const std::string text(1 << 20, 'x');
  const ParsedAnswer answer =
      parse_answer("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"" + text + "\"}}</tool_call>",
                   format_named("json_in_tags"));
  ASSERT_EQ(answer.tool_calls.size(), 1U);
  EXPECT_EQ(answer.tool_calls[0].arguments, "{\"a\": \"" + text + "\"}");
}

TEST(AnswerFormat, RefusesANameItDoesNotKnowAndListsThoseItDoes) {
  const auto calls = AnswerFormat::by_name("xml");
  ASSERT_FALSE(calls.has_value());
  EXPECT_NE(calls.error().message.find("\"json_in_tags\""), std::string::npos);
  const auto reasoning = AnswerFormat::by_name("json_in_tags", "loud");
  ASSERT_FALSE(reasoning.has_value());
  EXPECT_NE(reasoning.error().message.find("\"bracket_think\""), std::string::npos);
}

TEST(AnswerFormat, ReadsThoughtsInEveryNamedPairOfMarkers) {
  const auto names = AnswerFormat::reasoning_names();
  const auto markers = named_reasoning_markers();
  ASSERT_EQ(names.size(), markers.size() + 1);
  for (std::size_t i = 0; i < markers.size(); ++i) {
    const AnswerFormat format = format_named("json_in_tags", names[i + 1]);
    const std::string call = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>";
    const ParsedAnswer answer = parse_answer(markers[i].open + "hm\nhm" + markers[i].close + "\n\nSo: " + call, format);
    EXPECT_EQ(answer.reasoning, "hm\nhm") << names[i + 1];
    EXPECT_EQ(answer.content, "So:") << names[i + 1];
    EXPECT_EQ(answer.tool_calls.size(), 1U) << names[i + 1];
    EXPECT_EQ(parse_answer("hm" + markers[i].close + "ok", format, {"<a>" + markers[i].open}).content, "ok");
  }
}

}  // namespace
}  // namespace corbel
