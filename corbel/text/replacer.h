#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "corbel/base/json.h"
#include "corbel/base/result.h"
#include "corbel/text/pattern.h"

namespace corbel {

/// The field "pattern" of a stage: {"String": literal} or {"Regex": expression}.
struct PatternField {
  std::string text;
  bool is_regex = false;
};
Result<PatternField> read_pattern(const JsonFields& fields);

/// A field that must be one character, as its UTF-8 bytes.
Result<std::string> read_char(const JsonFields& fields, std::string_view key, std::string fallback);

/// Replaces every match of a pattern by fixed text (nothing in it refers to groups). Immutable; any thread may call.
class Replacer {
 public:
  /// From the fields "pattern" and "content".
  static Result<Replacer> make(const JsonFields& fields);

  /// False, and `out` untouched, without a match; else `out` is the new text. Fails where a regex passes its limits.
  Result<bool> replace(std::string_view text, std::string& out) const;

  /// Characters of the match that starts the text; 0: the text starts otherwise, or with an empty match.
  Result<std::size_t> front_match_chars(std::string_view text) const;

  /// The literal to look for; empty where it is a regex (an empty literal counts as one: it matches everywhere).
  const std::string& literal() const noexcept { return literal_; }
  const std::string& content() const noexcept { return content_; }

 private:
  std::string literal_;
  std::optional<Regex> regex_;
  std::string content_;
};

/// Appends `text` with every `from` replaced by `to`. An empty `from` stands at every border of a character.
void append_replaced(std::string& out, std::string_view text, std::string_view from, std::string_view to);

}  // namespace corbel
