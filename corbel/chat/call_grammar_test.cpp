#include "corbel/chat/call_grammar.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "corbel/chat/answer_parser.h"
#include "corbel/grammar/machine.h"

namespace corbel {
namespace {

Json tools() {
  return Json::parse(R"([
    {"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{
       "city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":14},
       "unit":{"$ref":"#/$defs/unit"},"note":{"type":["string","null"]}},
       "required":["days","city"],"additionalProperties":false,"$defs":{"unit":{"enum":["C","F","K\nelvin"],"type":"string"}}}}},
    {"type":"function","function":{"name":"store-it","parameters":{"type":"object","properties":{
       "id":{"type":"string","pattern":"^[a-z]{2}<?[0-9]{1,4}$"},"tags":{"type":"array","items":{"type":"string","maxLength":5},"maxItems":3},
       "deep":{"type":"object","properties":{"on":{"type":"boolean"},"level":{"type":"number","minimum":0,"maximum":1}},
               "required":["on"],"additionalProperties":false},
       "either":{"anyOf":[{"type":"string"},{"type":"integer","minimum":5}]},
       "maybe":{"anyOf":[{"type":"string","maxLength":3},{"type":"null"}]}},"required":["id"],"additionalProperties":false}}},
    {"type":"function","function":{"name":"ping"}}])");
}

struct Wanted {
  std::vector<ToolSpec> specs = *read_tools(tools());
  std::vector<const ToolSpec*> pointers() const {
    std::vector<const ToolSpec*> all;
    for (const ToolSpec& spec : specs) all.push_back(&spec);
    return all;
  }
};

/// A random text of the grammar that soon ends: closing bytes are preferred as it grows. Special marks aside.
std::optional<std::string> random_text(Machine& machine, std::mt19937_64& random) {
  std::string text;
  Machine::Id state = machine.start();
  while (text.size() < 3000) {
    std::vector<std::uint8_t> open;
    std::vector<std::uint8_t> closing;
    for (unsigned byte = 1; byte < 0xF5; ++byte) {
      if (byte > 0x7E && open.size() > 2) break;  // only where a marker has wide characters
      if (machine.step(state, static_cast<std::uint8_t>(byte)) == Machine::kNothing) continue;
      open.push_back(static_cast<std::uint8_t>(byte));
      if (std::string_view("\"}])</").find(static_cast<char>(byte)) != std::string_view::npos)
        closing.push_back(open.back());
    }
    if (open.empty() || (machine.may_end(state) && random() % 4 == 0)) {
      return machine.may_end(state) ? std::optional(text) : std::nullopt;
    }
    const bool close = !closing.empty() && random() % 100 < 20 + text.size() / 4;
    const auto& from = close ? closing : open;
    const std::uint8_t byte = from[random() % from.size()];
    state = machine.step(state, byte);
    text += static_cast<char>(byte);
  }
  return std::nullopt;
}

/// Does the tool's own schema allow the arguments? Members are brought into the schema's order first.
bool allows(const ToolSpec& tool, const std::string& arguments) {
  const Json given = Json::parse(arguments);
  Json ordered = Json::object();
  for (const auto& [name, schema] : tool.parameters["properties"].items()) {
    if (given.contains(name)) ordered[name] = given[name];
  }
  if (ordered.size() != given.size()) return false;
  Machine machine(std::make_shared<const Grammar>(*compile_grammar(GrammarSource::json_schema(tool.schema_text()))));
  Machine::Id state = machine.start();
  for (const char c : ordered.dump()) state = machine.step(state, static_cast<std::uint8_t>(c));
  return machine.may_end(state);
}

TEST(CallGrammar, WhateverIsWrittenBehindThoughtsIsReadAsTheContentThatWasAskedFor) {
  const auto format = AnswerFormat::by_name("json_in_tags", "think_tags");
  ASSERT_TRUE(format);
  ASSERT_FALSE(format->parts().reasoning.empty());
  int thought = 0;
  int finished = 0;
  for (const GrammarSource& body :
       {GrammarSource::regex("[^ \\n].{0,30}[^ \\n]"), GrammarSource::regex("(<think>|</think>|a|<th)+x"),
        GrammarSource::choice({"<think>", "<think", "yes", "</think>no"}),
        GrammarSource::gbnf("root ::= \"<\" [a-z/]+ \">\" root? \"!\"")}) {
    const auto plain = compile_grammar(body);
    ASSERT_TRUE(plain);
    for (const std::string prompt : {"<|assistant|>\n", "<|assistant|>\n<think>\n", "<think>\n\n</think>\n\n"}) {
      for (const bool thinks : {true, false}) {
        const auto grammar = compile_grammar(answer_grammar(*format, {.prompt = prompt, .thinks = thinks}, body));
        ASSERT_TRUE(grammar) << grammar.error().message;
        Machine machine(std::make_shared<const Grammar>(*grammar));
        std::mt19937_64 random(5);
        for (int round = 0; round < 150; ++round) {
          // Markers are as likely as anything else.
          std::string text;
          Machine::Id state = machine.start();
          while (text.size() < 400 && !(machine.may_end(state) && random() % 6 == 0)) {
            const char* const parts[] = {"<think>", "</think>", "<", "a", "x", "\n", "yes", "!", ">"};
            const std::string part =
                random() % 2 == 0 ? parts[random() % 9] : std::string(1, static_cast<char>(32 + random() % 95));
            Machine::Id next = state;
            for (const char c : part) next = machine.step(next, static_cast<std::uint8_t>(c));
            if (next == Machine::kNothing) {
              if (machine.must_end(state)) break;
              continue;
            }
            state = next;
            text += part;
          }
          if (!machine.may_end(state)) continue;
          ++finished;
          const ParsedAnswer answer = parse_answer(text, *format, {.prompt = prompt});
          thought += answer.reasoning.empty() ? 0 : 1;
          Machine judge(std::make_shared<const Grammar>(*plain));
          Machine::Id judged = judge.start();
          for (const char c : answer.content) judged = judge.step(judged, static_cast<std::uint8_t>(c));
          ASSERT_TRUE(judge.may_end(judged))
              << "prompt " << prompt << "\nanswer " << text << "\ncontent " << answer.content;
        }
      }
    }
  }
  EXPECT_GT(finished, 1000);
  EXPECT_GT(thought, 200);
}

class EveryFormat : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryFormat, ReadsWhatItsGrammarWritesAsCallsThatTheSchemasAllow) {
  const AnswerFormat format = *AnswerFormat::by_name(GetParam());
  const Wanted wanted;
  const Json listed = tools();
  for (const CallCount count : {CallCount::one, CallCount::one_or_more}) {
    const auto source = calls_grammar(format, wanted.pointers(), count);
    ASSERT_TRUE(source) << source.error().message;
    const auto grammar =
        compile_grammar(answer_grammar(format, {.prompt = "", .thinks = false, .is_calls = true}, *source),
                        {.whitespace = Whitespace::flexible});
    ASSERT_TRUE(grammar) << grammar.error().message;
    Machine machine(std::make_shared<const Grammar>(*grammar));
    std::mt19937_64 random(7);
    int finished = 0;
    std::size_t most = 0;
    for (int round = 0; round < 60; ++round) {
      const auto text = random_text(machine, random);
      if (!text) continue;
      ++finished;
      const ParsedAnswer answer = parse_answer(*text, format, {.prompt = "", .tools = &listed});
      ASSERT_EQ(answer.content, "") << *text;
      ASSERT_FALSE(answer.tool_calls.empty()) << *text;
      most = std::max(most, answer.tool_calls.size());
      for (const ToolCall& call : answer.tool_calls) {
        const auto tool = std::ranges::find(wanted.specs, call.name, &ToolSpec::name);
        ASSERT_NE(tool, wanted.specs.end()) << *text;
        ASSERT_TRUE(allows(*tool, call.arguments)) << *text << "\n" << call.arguments;
      }
    }
    EXPECT_GT(finished, 12) << GetParam();
    EXPECT_EQ(most > 1, count == CallCount::one_or_more && !format.parts().channels) << GetParam();
  }
}

std::vector<std::string_view> formats_with_calls() {
  std::vector<std::string_view> names = AnswerFormat::names();
  std::erase(names, "none");
  return names;
}

INSTANTIATE_TEST_SUITE_P(CallGrammar, EveryFormat, testing::ValuesIn(formats_with_calls()),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(CallGrammar, AModelThatSaysNothingOfCallsIsRefusedByTheField) {
  const Wanted wanted;
  const auto refused = calls_grammar(AnswerFormat::plain(), wanted.pointers(), CallCount::one);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("\"tool_choice\""), std::string::npos);
}

bool accepts(const GrammarSource& source, std::string_view text) {
  Machine machine(std::make_shared<const Grammar>(*compile_grammar(source)));
  Machine::Id state = machine.start();
  for (const char c : text) state = machine.step(state, static_cast<std::uint8_t>(c));
  return machine.may_end(state);
}

TEST(AnswerGrammar, TheConstraintBeginsBehindTheThoughts) {
  const AnswerFormat format = *AnswerFormat::by_name("json_in_tags", "think_tags");
  const GrammarSource body = GrammarSource::choice({"yes", "no"});
  const GrammarSource free = answer_grammar(format, {.prompt = "<|assistant|>\n", .thinks = true}, body);
  EXPECT_TRUE(accepts(free, "yes"));
  EXPECT_TRUE(accepts(free, "<think>\n{\"hm\" </thin\n</think>\n\nno"));
  EXPECT_FALSE(accepts(free, "<think>yes"));
  EXPECT_FALSE(accepts(free, "well, yes"));
  const GrammarSource open = answer_grammar(format, {.prompt = "<|assistant|>\n<think>\n", .thinks = true}, body);
  EXPECT_TRUE(accepts(open, "hm</think>yes"));
  EXPECT_FALSE(accepts(open, "yes"));
  const GrammarSource closed = answer_grammar(format, {.prompt = "<think>\n\n</think>\n\n", .thinks = true}, body);
  EXPECT_TRUE(accepts(closed, "no"));
  EXPECT_FALSE(accepts(closed, "<think></think>no"));
  const GrammarSource channels =
      answer_grammar(*AnswerFormat::by_name("channel_markers", "none"), {.prompt = "<|start|>assistant"}, body);
  EXPECT_TRUE(
      accepts(channels, "<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>yes"));
}

}  // namespace
}  // namespace corbel
