#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "corbel/chat/answer_parser.h"

/// For tests: an answer must not depend on how its text came.
namespace corbel::splits {

/// What the pieces add up to that the parser hands out for `parts`; `whole` is what it says itself at the end.
inline ParsedAnswer sum_of_deltas(const std::vector<std::string_view>& parts, const AnswerFormat& format,
                                  const AnswerParserOptions& options, ParsedAnswer& whole) {
  ParsedAnswer sum;
  AnswerParser parser(format, options);
  const auto add = [&](const std::vector<AnswerDelta>& deltas) {
    for (const AnswerDelta& delta : deltas) {
      if (delta.kind == AnswerDelta::Kind::content) sum.content += delta.text;
      if (delta.kind == AnswerDelta::Kind::reasoning) sum.reasoning += delta.text;
      if (delta.kind == AnswerDelta::Kind::tool_call) {
        if (delta.call_index != sum.tool_calls.size()) sum.notes.push_back("an index out of order");
        sum.tool_calls.push_back(delta.call);
      }
    }
  };
  for (const std::string_view part : parts) add(parser.push(part));
  add(parser.finish());
  whole = parser.answer();
  sum.notes.insert(sum.notes.end(), whole.notes.begin(), whole.notes.end());
  return sum;
}

/// Empty when every way to cut the text in two, and byte by byte, gives what the whole text gives; else the first way
/// that does not.
inline std::string differing_split(std::string_view text, const AnswerFormat& format,
                                   const AnswerParserOptions& options) {
  const ParsedAnswer expected = parse_answer(text, format, options);
  const auto differs = [&](const std::vector<std::string_view>& parts) {
    ParsedAnswer whole;
    const ParsedAnswer sum = sum_of_deltas(parts, format, options, whole);
    return sum != expected || whole != expected;
  };
  for (std::size_t at = 0; at <= text.size(); ++at) {
    if (differs({text.substr(0, at), text.substr(at)})) return "cut at " + std::to_string(at);
  }
  std::vector<std::string_view> bytes;
  for (std::size_t at = 0; at < text.size(); ++at) bytes.push_back(text.substr(at, 1));
  return differs(bytes) ? "byte by byte" : "";
}

inline std::string text_of(const ParsedAnswer& answer) {
  std::string text = "content=" + answer.content + "\nreasoning=" + answer.reasoning;
  for (const ToolCall& one : answer.tool_calls) text += "\ncall " + one.id + ' ' + one.name + ' ' + one.arguments;
  return text;
}

}  // namespace corbel::splits
