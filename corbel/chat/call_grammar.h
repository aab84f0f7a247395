#pragma once
#include <span>
#include <string_view>

#include "corbel/chat/answer_format.h"
#include "corbel/chat/tool_spec.h"
#include "corbel/grammar/grammar.h"

/// What a model may write, so that AnswerParser finds in it what was asked for.
namespace corbel {

enum class CallCount { one, one_or_more };

/// Calls of some of `tools`, their arguments by their schemas, as `format` writes calls: in its first syntax. Every
/// text of it is read as such calls.
///
/// Formats that write arguments one by one, and not as JSON, take a schema that is an object with properties; a value
/// that may be a text or something else is then written as something else (a text or null as either).
///
/// Refuses, naming the tool's field, what the format cannot write, and formats without calls.
Result<GrammarSource> calls_grammar(const AnswerFormat& format, std::span<const ToolSpec* const> tools,
                                    CallCount count);

/// `body` as an answer's content or calls: behind the thoughts that `format` writes ahead, for a model that `thinks`.
/// `prompt` is the end of the rendered prompt: where it has opened thoughts already, they go on; where it has closed
/// them, there are none. Content never begins with a marker of thoughts: it would be read as one.
struct AnswerFrame {
  std::string_view prompt;
  bool thinks = false;
  bool is_calls = false;  // `body` is calls_grammar()'s
};
GrammarSource answer_grammar(const AnswerFormat& format, const AnswerFrame& frame, GrammarSource body);

}  // namespace corbel
