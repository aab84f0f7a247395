#include "corbel/chat/choice_reader.h"

#include "corbel/base/cat.h"

namespace corbel {

ChoiceReader::ChoiceReader(const AnswerReading& reading)
    : one_call_(reading.one_call),
      needs_call_(reading.needs_call),
      parser_(*reading.format, {.prompt = reading.prompt_end,
                                .tools = reading.tools.is_null() ? nullptr : &reading.tools,
                                .read_calls = reading.reads_calls}) {}

std::vector<AnswerDelta> ChoiceReader::kept(std::vector<AnswerDelta> deltas) const {
  if (one_call_) {
    std::erase_if(deltas, [](const AnswerDelta& delta) {
      return delta.kind == AnswerDelta::Kind::tool_call && delta.call_index > 0;
    });
  }
  return deltas;
}

std::vector<ToolCall> ChoiceReader::calls() const {
  std::vector<ToolCall> calls = parser_.answer().tool_calls;
  if (one_call_ && calls.size() > 1) calls.resize(1);
  return calls;
}

std::vector<std::string> ChoiceReader::warnings() const {
  const ParsedAnswer& answer = parser_.answer();
  std::vector<std::string> texts = answer.notes;
  if (one_call_ && answer.tool_calls.size() > 1) {
    texts.push_back(
        cat("\"parallel_tool_calls\" is false: ", answer.tool_calls.size() - 1, " of the model's calls are left out"));
  }
  if (needs_call_ && answer.tool_calls.empty()) texts.emplace_back("the answer ended before the call it was to make");
  return texts;
}

}  // namespace corbel
