#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/result.h"
#include "corbel/chat/tool_call_syntax.h"
#include "corbel/text/chat_template.h"

namespace corbel {

/// Texts around what a model thinks before it answers.
struct ReasoningMarkers {
  std::string open;
  std::string close;

  bool operator==(const ReasoningMarkers&) const = default;
};

/// Every pair that has a name.
std::vector<ReasoningMarkers> named_reasoning_markers();

/// What a model's answers look like: where its thoughts stand and how it writes tool calls. Immutable.
///
/// Most formats are markers around parts of one text. In the other kind, `channels`, an answer is a row of messages,
/// each with a header: <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>commentary
/// to=functions.f<|message|>{...}<|call|>.
class AnswerFormat {
 public:
  struct Parts {
    std::vector<ToolCallSyntax> calls;  // tried side by side; empty: every answer is text
    std::vector<ReasoningMarkers> reasoning;
    std::string content_open;   // around the answer proper, where a model marks it
    std::string content_close;  //
    bool channels = false;
  };

  explicit AnswerFormat(Parts parts) : parts_(std::move(parts)) {}

  /// Text alone: no calls, no thoughts.
  static AnswerFormat plain() { return AnswerFormat(Parts{}); }
  /// What models write that say nothing of their format: tags and markers that no prose has, <think> and relatives.
  static AnswerFormat generic();
  /// By the names of tool_call_syntaxes(), or "channel_markers", "generic", "none"; thoughts in `reasoning`'s markers:
  /// "think_tags", "bracket_think", ... or "none". Refuses other names, listing these.
  static Result<AnswerFormat> by_name(std::string_view calls, std::string_view reasoning = "think_tags");
  static std::vector<std::string_view> names();
  static std::vector<std::string_view> reasoning_names();

  /// What `chat_template` makes of calls and thoughts, found by rendering small conversations and comparing them.
  /// `variables`: what the template needs beside messages (bos_token, ...). A template that renders no calls gives the
  /// formats whose markers its text mentions, or else generic(). Cannot fail: a template that refuses everything is one
  /// that says nothing.
  static AnswerFormat from_template(const ChatTemplate& chat_template, const Json& variables);

  const Parts& parts() const noexcept { return parts_; }
  /// The markers that the end of a prompt has opened and not closed: the answer goes on inside them. Null: none.
  const ReasoningMarkers* open_reasoning(std::string_view prompt) const noexcept;
  /// One line for a log: shapes and markers.
  std::string description() const;

 private:
  Parts parts_;
};

}  // namespace corbel
