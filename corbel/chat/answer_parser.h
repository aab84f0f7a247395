#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/chat/answer_format.h"
#include "corbel/chat/tool_call.h"
#include "corbel/chat/tool_call_schema.h"

/// A model's answer, taken apart as it arrives: what it thinks, what it says, what it wants to have called.
namespace corbel {

/// A piece of an answer. Pieces never take back earlier ones.
struct AnswerDelta {
  enum class Kind { content, reasoning, tool_call };
  Kind kind = Kind::content;
  std::string text;            // content, reasoning
  std::size_t call_index = 0;  // tool_call: its place among the answer's calls
  ToolCall call;               // tool_call: whole

  bool operator==(const AnswerDelta&) const = default;
};

/// An answer as far as it has come; after finish(), all of it.
struct ParsedAnswer {
  std::string content;
  std::string reasoning;
  std::vector<ToolCall> tool_calls;
  std::vector<std::string> notes;  // why text that began like a call stayed content; at most 8

  bool operator==(const ParsedAnswer&) const = default;
};

struct AnswerParserOptions {
  std::string_view prompt;      // the rendered prompt, or its end: tells whether the answer starts inside thoughts
  const Json* tools = nullptr;  // the request's tools: types of parameters, names that bare JSON must have
  bool read_calls = true;       // false: calls stay text
};

class AnswerReader;
class AnswerSink;

/// Takes one answer apart. What it finds depends on the text alone, not on how the text was split into push() calls.
/// Text is withheld while it may be the start of a marker, and a call until it is complete: what is handed out cannot
/// be taken back, and what turns out to be no well-formed call becomes content, byte for byte. Blanks that stand next
/// to calls, and newlines next to the markers of thoughts, belong to the markers. Linear in the text; never fails.
class AnswerParser {
 public:
  explicit AnswerParser(const AnswerFormat& format, const AnswerParserOptions& options = {});
  AnswerParser(AnswerParser&&) noexcept;
  AnswerParser& operator=(AnswerParser&&) noexcept;
  ~AnswerParser();

  /// More of the answer, special tokens that are markers included. Neighbouring pieces of one kind come as one.
  std::vector<AnswerDelta> push(std::string_view text);
  /// The text has ended: what was withheld. Call once; push no more.
  std::vector<AnswerDelta> finish();
  const ParsedAnswer& answer() const noexcept;

 private:
  std::unique_ptr<AnswerSink> sink_;
  std::unique_ptr<AnswerReader> reader_;
};

/// A whole answer at once.
ParsedAnswer parse_answer(std::string_view text, const AnswerFormat& format, const AnswerParserOptions& options = {});

}  // namespace corbel
