#include "corbel/text/replacer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/text/unicode.h"

namespace corbel {

Result<PatternField> read_pattern(const JsonFields& fields) {
  if (!fields.has("pattern")) {
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name("pattern"), "\" is missing"));
  }
  CORBEL_ASSIGN(const JsonFields pattern, fields.object("pattern"));
  if (pattern.has("Regex") == pattern.has("String")) {
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name("pattern"),
                                    "\" must have either \"Regex\" or \"String\""));
  }
  PatternField field;
  field.is_regex = pattern.has("Regex");
  CORBEL_ASSIGN(field.text, pattern.require_string(field.is_regex ? "Regex" : "String"));
  return field;
}

Result<std::string> read_char(const JsonFields& fields, std::string_view key, std::string fallback) {
  CORBEL_ASSIGN(std::string text, fields.get_string(key, std::move(fallback)));
  if (text.empty() || utf8_step(text).state != Utf8State::complete || utf8_step(text).bytes != text.size()) {
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name(key),
                                    "\" must be one character, found \"", text.substr(0, 80), "\""));
  }
  return text;
}

Result<Replacer> Replacer::make(const JsonFields& fields) {
  CORBEL_ASSIGN(PatternField pattern, read_pattern(fields));
  Replacer made;
  CORBEL_ASSIGN(made.content_, fields.require_string("content"));
  if (!pattern.is_regex && !pattern.text.empty()) {
    made.literal_ = std::move(pattern.text);
    return made;
  }
  auto regex = Regex::compile(pattern.text);
  if (!regex) return forward_failure(regex, cat(fields.source(), ": ", fields.field_name("pattern")));
  made.regex_ = *std::move(regex);
  return made;
}

Result<std::size_t> Replacer::front_match_chars(std::string_view text) const {
  std::size_t bytes = 0;
  if (!regex_.has_value()) {
    bytes = text.starts_with(literal_) ? literal_.size() : 0;
  } else if (!text.empty()) {
    CORBEL_TRY(regex_->each_match(text, [&](Span match) { bytes = match.begin == 0 ? match.end : bytes; }));
  }
  return static_cast<std::size_t>(std::count_if(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(bytes),
                                                [](char byte) { return (byte & 0xC0) != 0x80; }));
}

Result<bool> Replacer::replace(std::string_view text, std::string& out) const {
  std::size_t done = 0;
  if (text.empty()) return false;  // as in the library, not even where nothing matches
  if (!regex_.has_value()) {
    if (text.find(literal_) == std::string_view::npos) return false;
    std::string replaced;
    replaced.reserve(text.size());
    append_replaced(replaced, text, literal_, content_);
    out = std::move(replaced);
    return true;
  }
  std::string replaced;
  bool any = false;
  CORBEL_TRY(regex_->each_match(text, [&](Span match) {
    replaced.append(text, done, match.begin - done);
    replaced.append(content_);
    done = match.end;
    any = true;
  }));
  if (!any) return false;
  replaced.append(text, done, text.size() - done);
  out = std::move(replaced);
  return true;
}

void append_replaced(std::string& out, std::string_view text, std::string_view from, std::string_view to) {
  std::size_t done = 0;
  if (from.empty()) {
    out.append(to);
    while (done < text.size()) {
      const std::size_t bytes = utf8_step(text.substr(done)).bytes;
      out.append(text, done, bytes);
      out.append(to);
      done += bytes;
    }
    return;
  }
  for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, done)) {
    out.append(text, done, at - done);
    out.append(to);
    done = at + from.size();
  }
  out.append(text, done, text.size() - done);
}

}  // namespace corbel
