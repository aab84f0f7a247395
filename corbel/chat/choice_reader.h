#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/chat/answer_parser.h"

namespace corbel {

/// How one answer's text is taken apart: what its request says of it. The format outlives it.
struct AnswerReading {
  const AnswerFormat* format = nullptr;
  std::string prompt_end;    // of the rendered prompt: tells whether the answer starts inside thoughts
  Json tools = nullptr;      // the request's; null: none
  bool reads_calls = false;  // false: what looks like one is content
  bool one_call = false;     // parallel_tool_calls is false: further ones are left out, and a warning says so
  bool needs_call = false;   // a call was demanded
};

/// Takes one choice's text apart as it comes: AnswerParser with what the request says. What comes out does not depend
/// on how the text was split.
class ChoiceReader {
 public:
  explicit ChoiceReader(const AnswerReading& reading);

  std::vector<AnswerDelta> push(std::string_view text) { return kept(parser_.push(text)); }
  std::vector<AnswerDelta> finish() { return kept(parser_.finish()); }

  /// After finish().
  std::string content() const { return parser_.answer().content; }
  const std::string& reasoning() const { return parser_.answer().reasoning; }
  std::vector<ToolCall> calls() const;
  std::vector<std::string> warnings() const;

 private:
  std::vector<AnswerDelta> kept(std::vector<AnswerDelta> deltas) const;

  bool one_call_;
  bool needs_call_;
  AnswerParser parser_;
};

}  // namespace corbel
