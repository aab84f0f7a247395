#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/text/jinja_value.h"

/// Python's views of strings: by character, upper and lower case, as source text, as numbers, as JSON.
namespace corbel::jinja {

std::size_t count_characters(std::string_view text) noexcept;
std::vector<std::string> characters(std::string_view text);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
/// First character upper, the others lower.
std::string capitalize(std::string_view text);

/// Without characters of `chars` (white space when null) at the chosen ends.
enum class Side { both, left, right };
std::string_view strip(std::string_view text, const std::string* chars, Side side);

/// Lines without their ends; a last empty line does not count (Python's splitlines).
std::vector<std::string> split_lines(std::string_view text, bool keep_ends = false);

/// Does Python's repr show the character as it is?
bool is_printable(char32_t code);

/// A width that a template asks for; raises beyond what any prompt needs. Negative ones are 0.
std::int64_t checked_width(std::int64_t width);

struct JsonStyle {
  bool ascii = false;  // non-ASCII characters as \uXXXX
  bool sort_keys = false;
  const std::string* indent = nullptr;  // null: one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
/// Python's json.dumps. Raises for what JSON has no form for.
std::string to_json_text(Interpreter& interpreter, const Value& value, const JsonStyle& style);

}  // namespace corbel::jinja
