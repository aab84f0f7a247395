#include "corbel/chat/tool_call_syntax.h"

namespace corbel {
namespace {

ToolCallSyntax json(std::string open, std::string close) {
  ToolCallSyntax syntax;
  syntax.open = std::move(open);
  syntax.close = std::move(close);
  return syntax;
}

ToolCallSyntax named(std::string open, std::string name_end, std::string close) {
  ToolCallSyntax syntax;
  syntax.shape = ToolCallShape::named_json;
  syntax.open = std::move(open);
  syntax.name_end = std::move(name_end);
  syntax.close = std::move(close);
  return syntax;
}

ToolCallSyntax python(std::string open, std::string close) {
  ToolCallSyntax syntax;
  syntax.shape = ToolCallShape::python_calls;
  syntax.open = std::move(open);
  syntax.close = std::move(close);
  return syntax;
}

ToolCallSyntax in_section(std::string section_open, ToolCallSyntax syntax, std::string section_close) {
  syntax.section_open = std::move(section_open);
  syntax.section_close = std::move(section_close);
  return syntax;
}

ToolCallSyntax named_with_id(ToolCallSyntax syntax, std::string id_open) {
  syntax.id_open = std::move(id_open);
  return syntax;
}

ToolCallSyntax named_with_prefix(ToolCallSyntax syntax, std::string prefix) {
  syntax.name_prefix = std::move(prefix);
  return syntax;
}

/// <function=f><parameter=key>value</parameter></function>
ToolCallSyntax xml_function() {
  ToolCallSyntax syntax;
  syntax.shape = ToolCallShape::parameters;
  syntax.open = "<function=";
  syntax.name_end = ">";
  syntax.key_open = "<parameter=";
  syntax.key_end = ">";
  syntax.value_end = "</parameter>";
  syntax.close = "</function>";
  syntax.newlines_in_values = true;
  return syntax;
}

/// <invoke name="f"><parameter name="key">value</parameter></invoke>
ToolCallSyntax xml_invoke() {
  ToolCallSyntax syntax = xml_function();
  syntax.open = "<invoke name=\"";
  syntax.name_end = "\">";
  syntax.key_open = "<parameter name=\"";
  syntax.key_end = "\">";
  syntax.close = "</invoke>";
  return syntax;
}

/// <tool_call>f<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>
ToolCallSyntax key_value_tags() {
  ToolCallSyntax syntax;
  syntax.shape = ToolCallShape::parameters;
  syntax.open = "<tool_call>";
  syntax.key_open = "<arg_key>";
  syntax.key_end = "</arg_key><arg_value>";
  syntax.value_end = "</arg_value>";
  syntax.close = "</tool_call>";
  return syntax;
}

/// <|tool_call>call:f{key:<|"|>text<|"|>}<tool_call|>
ToolCallSyntax loose_object() {
  ToolCallSyntax syntax;
  syntax.shape = ToolCallShape::loose_object;
  syntax.open = "<|tool_call>";
  syntax.name_prefix = "call:";
  syntax.string_mark = "<|\"|>";
  syntax.close = "<tool_call|>";
  return syntax;
}

// The full-width bar U+FF5C and the low line U+2581 of some markers.
#define CORBEL_BAR "\xef\xbd\x9c"
#define CORBEL_LOW "\xe2\x96\x81"
constexpr const char* kWideCallsBegin = "<" CORBEL_BAR "tool" CORBEL_LOW "calls" CORBEL_LOW "begin" CORBEL_BAR ">";
constexpr const char* kWideCallsEnd = "<" CORBEL_BAR "tool" CORBEL_LOW "calls" CORBEL_LOW "end" CORBEL_BAR ">";
constexpr const char* kWideBegin = "<" CORBEL_BAR "tool" CORBEL_LOW "call" CORBEL_LOW "begin" CORBEL_BAR ">";
constexpr const char* kWideEnd = "<" CORBEL_BAR "tool" CORBEL_LOW "call" CORBEL_LOW "end" CORBEL_BAR ">";
constexpr const char* kWideSeparator = "<" CORBEL_BAR "tool" CORBEL_LOW "sep" CORBEL_BAR ">";
#undef CORBEL_BAR
#undef CORBEL_LOW

ToolCallSyntax recipient_lines() {
  ToolCallSyntax syntax = named(">>>", "\n", "");
  syntax.text_name = "all";
  return syntax;
}

std::vector<NamedToolCallSyntaxes> make_table() {
  const ToolCallSyntax fenced =
      named(std::string(kWideBegin) + "function" + kWideSeparator, "\n```json", std::string("``` ") + kWideEnd);
  return {
      {"json_in_tags", {json("<tool_call>", "</tool_call>"), json("<tool_calls>", "</tool_calls>")}},
      {"json_after_marker", {json("[TOOL_CALLS]", ""), json("<|tool_call|>", "<|/tool_call|>"), json("functools", "")}},
      {"name_after_marker", {named_with_id(named("[TOOL_CALLS]", "[ARGS]", ""), "[CALL_ID]")}},
      {"bare_json", {json("", ""), json("<|python_tag|>", "")}},
      {"python_calls", {python("", ""), python("<|python_tag|>", "")}},
      {"python_calls_in_tags", {python("<|tool_call_start|>", "<|tool_call_end|>")}},
      {"xml_function",
       {in_section("<tool_call>", xml_function(), "</tool_call>"),
        in_section("<seed:tool_call>", xml_function(), "</seed:tool_call>")}},
      {"xml_invoke", {in_section("<tool_calls>", xml_invoke(), "</tool_calls>")}},
      {"key_value_tags", {key_value_tags()}},
      {"function_tags", {named("<function=", ">", "</function>")}},
      {"marked_sections",
       {in_section("<|tool_calls_section_begin|>",
                   named_with_prefix(named("<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"),
                                     "functions."),
                   "<|tool_calls_section_end|>")}},
      {"fenced_sections",
       {in_section(kWideCallsBegin, fenced, kWideCallsEnd),
        in_section(kWideCallsBegin, named(kWideBegin, kWideSeparator, kWideEnd), kWideCallsEnd)}},
      {"action_list", {json("<|START_ACTION|>", "<|END_ACTION|>"), json("Action:\n```json", "```")}},
      {"loose_object", {loose_object()}},
      {"recipient_lines", {recipient_lines()}},
  };
}

}  // namespace

std::span<const NamedToolCallSyntaxes> tool_call_syntaxes() {
  static const std::vector<NamedToolCallSyntaxes> kTable = make_table();
  return kTable;
}

}  // namespace corbel
