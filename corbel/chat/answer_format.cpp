#include "corbel/chat/answer_format.h"

#include <algorithm>
#include <array>
#include <utility>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

struct NamedReasoning {
  std::string_view name;
  std::string_view open;
  std::string_view close;
};

constexpr std::array<NamedReasoning, 9> kReasoning = {{
    {"think_tags", "<think>", "</think>"},
    {"thinking_tags", "<thinking>", "</thinking>"},
    {"reasoning_tags", "<reasoning>", "</reasoning>"},
    {"thought_tags", "<thought>", "</thought>"},
    {"seed_think_tags", "<seed:think>", "</seed:think>"},
    {"bracket_think", "[THINK]", "[/THINK]"},
    {"thinking_markers", "<|START_THINKING|>", "<|END_THINKING|>"},
    {"thought_channel", "<|channel>thought\n", "<channel|>"},
    {"bar_think", "<|think|>", "<|/think|>"},
}};

std::string_view shape_name(ToolCallShape shape) {
  switch (shape) {
    case ToolCallShape::json_object: return "json_object";
    case ToolCallShape::named_json: return "named_json";
    case ToolCallShape::parameters: return "parameters";
    case ToolCallShape::python_calls: return "python_calls";
    case ToolCallShape::loose_object: return "loose_object";
  }
  return "";
}

std::string list(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) text += cat(text.empty() ? "\"" : ", \"", name, "\"");
  return text;
}

}  // namespace

std::vector<ReasoningMarkers> named_reasoning_markers() {
  std::vector<ReasoningMarkers> markers;
  for (const NamedReasoning& entry : kReasoning) markers.push_back({std::string(entry.open), std::string(entry.close)});
  return markers;
}

std::vector<std::string_view> AnswerFormat::names() {
  std::vector<std::string_view> names = {"none", "generic", "channel_markers"};
  for (const NamedToolCallSyntaxes& entry : tool_call_syntaxes()) names.push_back(entry.name);
  return names;
}

std::vector<std::string_view> AnswerFormat::reasoning_names() {
  std::vector<std::string_view> names = {"none"};
  for (const NamedReasoning& entry : kReasoning) names.push_back(entry.name);
  return names;
}

AnswerFormat AnswerFormat::generic() {
  Parts parts;
  for (const NamedToolCallSyntaxes& entry : tool_call_syntaxes()) {
    // Prose has words like "Action:" and ">>>"; a list in brackets at the start is rarely a call.
    if (entry.name == "python_calls" || entry.name == "recipient_lines") continue;
    for (const ToolCallSyntax& syntax : entry.syntaxes) {
      if (syntax.open.find_first_of("<[") != std::string::npos || entry.name == "bare_json")
        parts.calls.push_back(syntax);
    }
  }
  // The other pairs are words that a user may have asked the model to put its answer between.
  parts.reasoning.push_back({std::string(kReasoning.front().open), std::string(kReasoning.front().close)});
  return AnswerFormat(std::move(parts));
}

Result<AnswerFormat> AnswerFormat::by_name(std::string_view calls, std::string_view reasoning) {
  Parts parts;
  bool known = calls == "none";
  if (calls == "generic") parts = generic().parts();
  if (calls == "channel_markers") parts.channels = true;
  known = known || calls == "generic" || parts.channels;
  for (const NamedToolCallSyntaxes& entry : tool_call_syntaxes()) {
    if (entry.name != calls) continue;
    parts.calls = entry.syntaxes;
    known = true;
  }
  if (!known) {
    return fail(Code::bad_request, cat("there is no format of tool calls ", quote(calls), "; known: ", list(names())));
  }
  if (calls == "generic" || reasoning == "none") return AnswerFormat(std::move(parts));
  for (const NamedReasoning& entry : kReasoning) {
    if (entry.name != reasoning) continue;
    parts.reasoning.push_back({std::string(entry.open), std::string(entry.close)});
    return AnswerFormat(std::move(parts));
  }
  return fail(Code::bad_request,
              cat("there are no markers of thoughts ", quote(reasoning), "; known: ", list(reasoning_names())));
}

const ReasoningMarkers* AnswerFormat::open_reasoning(std::string_view prompt) const noexcept {
  while (!prompt.empty() && (prompt.back() == '\n' || prompt.back() == ' ')) prompt.remove_suffix(1);
  for (const ReasoningMarkers& markers : parts_.reasoning) {
    std::string_view open = markers.open;
    while (!open.empty() && (open.back() == '\n' || open.back() == ' ')) open.remove_suffix(1);
    if (!open.empty() && prompt.ends_with(open)) return &markers;
  }
  return nullptr;
}

std::string AnswerFormat::description() const {
  if (parts_.channels) return "calls and thoughts in channels";
  std::string text = parts_.calls.empty() ? "no calls" : "calls";
  for (const ToolCallSyntax& syntax : parts_.calls) {
    text += cat(' ', shape_name(syntax.shape), ' ', quote(syntax.section_open + syntax.open), "..",
                quote(syntax.close + syntax.section_close));
  }
  for (const ReasoningMarkers& markers : parts_.reasoning) {
    text += cat(", thoughts ", quote(markers.open), "..", quote(markers.close));
  }
  return text;
}

}  // namespace corbel
