#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// How tool calls stand in a model's answer: a shape, and the marker texts around its parts.
namespace corbel {

enum class ToolCallShape {
  json_object,   // {"name": "f", "arguments": {...}}, or an array of such
  named_json,    // f MARK {...}
  parameters,    // f MARK key MARK value MARK ...
  python_calls,  // [f(a=1), g(b="x")]
  loose_object,  // f{key:MARKtextMARK,other:[1,2]}: keys without quotes, texts between marks
};

/// One way to write calls. Texts of two or more markers match with any blanks, or none, where a blank stands or where
/// '>' meets '<'. Every marker may be empty where its part is absent; an answer may leave out `section_open`, and
/// `close` and `section_close` after a complete call.
///
///   json_object   [section_open] open JSON [close] ... [section_close]
///   named_json    [section_open] open NAME [id_open ID] name_end JSON [close] ... [section_close]
///   parameters    [section_open] open NAME name_end (key_open KEY key_end VALUE value_end)* close ... [section_close]
///   python_calls  [section_open] open [CALL, CALL] [close]
///   loose_object  [section_open] open NAME {...} [close]
struct ToolCallSyntax {
  ToolCallShape shape = ToolCallShape::json_object;
  std::string section_open;
  std::string open;  // empty: calls stand bare, and only where an answer starts or after another call
  std::string id_open;
  std::string name_end;
  std::string key_open;
  std::string key_end;
  std::string value_end;
  std::string close;
  std::string section_close;
  std::string name_prefix;  // stands before names and is no part of them: "functions."
  std::string text_name;    // named_json: what stands for a name where no call but text follows: "all"
  std::string string_mark;  // loose_object: opens and closes texts
  bool newlines_in_values =
      false;  // parameters: a newline after key_end and one before value_end belong to the markers

  bool operator==(const ToolCallSyntax&) const = default;
};

/// A syntax, or several that models of one kind mix, under a name of its own.
struct NamedToolCallSyntaxes {
  std::string_view name;
  std::vector<ToolCallSyntax> syntaxes;
};

/// Every named one, in the order of the documentation.
std::span<const NamedToolCallSyntaxes> tool_call_syntaxes();

/// Shapes that need a marker or the start of an answer to be told from prose.
inline bool stands_bare(const ToolCallSyntax& syntax) noexcept { return syntax.open.empty(); }

}  // namespace corbel
