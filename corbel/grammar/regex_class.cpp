#include <string>

#include "corbel/base/quote.h"
#include "corbel/grammar/regex_tree.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using Pattern32 = std::u32string_view;

int hex_value(char32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A' + 10);
  return -1;
}

/// Exactly `count` hexadecimal digits; negative when there are fewer.
std::int32_t hex_digits(Pattern32 pattern, std::size_t& at, std::size_t count) {
  std::int32_t value = 0;
  if (at + count > pattern.size()) return -1;
  for (std::size_t i = 0; i < count; ++i) {
    const int digit = hex_value(pattern[at + i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  at += count;
  return value;
}

Failure wrong(std::size_t at, std::string_view what) {
  return fail(Code::bad_request, cat(what, " at character ", at));
}

Result<RegexEscape> single(char32_t code, std::size_t at) {
  if (code > CodePoints::kLast || (code >= 0xD800 && code < 0xE000)) return wrong(at, "a surrogate or no character");
  return RegexEscape{CodePoints::single(code), true};
}

Result<RegexEscape> unicode_escape(Pattern32 pattern, std::size_t& at) {
  const std::size_t start = at;
  if (at < pattern.size() && pattern[at] == '{') {
    std::int64_t value = 0;
    std::size_t stop = at + 1;
    for (; stop < pattern.size() && hex_value(pattern[stop]) >= 0 && value <= CodePoints::kLast; ++stop) {
      value = value * 16 + hex_value(pattern[stop]);
    }
    if (stop == at + 1 || stop >= pattern.size() || pattern[stop] != '}') return wrong(start, "\\u{ without }");
    at = stop + 1;
    return single(static_cast<char32_t>(value), start);
  }
  const std::int32_t unit = hex_digits(pattern, at, 4);
  if (unit < 0) return wrong(start, "\\u without four hexadecimal digits");
  if (unit >= 0xD800 && unit < 0xDC00 && at + 1 < pattern.size() && pattern[at] == '\\' && pattern[at + 1] == 'u') {
    std::size_t after = at + 2;
    const std::int32_t low = hex_digits(pattern, after, 4);
    if (low >= 0xDC00 && low < 0xE000) {
      at = after;
      return single(0x10000U + ((static_cast<char32_t>(unit) - 0xD800U) << 10) + (static_cast<char32_t>(low) - 0xDC00U),
                    start);
    }
  }
  return single(static_cast<char32_t>(unit), start);
}

Result<RegexEscape> property_escape(Pattern32 pattern, std::size_t& at, char32_t letter) {
  const std::size_t start = at;
  if (at >= pattern.size() || pattern[at] != '{') return wrong(start, "\\p without {name}");
  std::string name;
  for (++at; at < pattern.size() && pattern[at] != '}' && name.size() < 40; ++at) append_utf8(name, pattern[at]);
  if (at >= pattern.size() || pattern[at] != '}') return wrong(start, "\\p{ without }");
  ++at;
  const std::optional<CodePoints> points = unicode_property(name);
  if (!points) {
    return wrong(start, cat("the character property ", quote(name),
                            " is not known (known: L, N, P, M, White_Space and their long names)"));
  }
  return RegexEscape{letter == 'p' ? *points : points->complement(), false};
}

Result<RegexEscape> letter_escape(Pattern32 pattern, std::size_t& at, char32_t letter) {
  switch (letter) {
    case 'd': return RegexEscape{ecma_digits(), false};
    case 'D': return RegexEscape{ecma_digits().complement(), false};
    case 'w': return RegexEscape{ecma_word(), false};
    case 'W': return RegexEscape{ecma_word().complement(), false};
    case 's': return RegexEscape{ecma_space(), false};
    case 'S': return RegexEscape{ecma_space().complement(), false};
    case 'p':
    case 'P': return property_escape(pattern, at, letter);
    case 'n': return single('\n', at);
    case 'r': return single('\r', at);
    case 't': return single('\t', at);
    case 'f': return single('\f', at);
    case 'v': return single('\v', at);
    case 'a': return single('\a', at);
    case 'u': return unicode_escape(pattern, at);
    case 'x': {
      const std::size_t start = at;
      const std::int32_t value = hex_digits(pattern, at, 2);
      if (value < 0) return wrong(start, "\\x without two hexadecimal digits");
      return single(static_cast<char32_t>(value), start);
    }
    case 'c': {
      if (at >= pattern.size() || !((pattern[at] | 32) >= 'a' && (pattern[at] | 32) <= 'z'))
        return wrong(at, "\\c without a letter");
      ++at;
      return single(pattern[at - 1] & 31, at);
    }
    case 'b':
    case 'B': return wrong(at - 2, "a word boundary (\\b or \\B) is not supported");
    case 'k': return wrong(at - 2, "a backreference (\\k) is not supported");
    default: return wrong(at - 2, "an unknown escape");
  }
}

}  // namespace

Result<RegexEscape> parse_regex_escape(Pattern32 pattern, std::size_t& at) {
  if (at >= pattern.size()) return wrong(at, "a backslash ends the expression");
  const char32_t c = pattern[at++];
  if (c >= '1' && c <= '9') return wrong(at - 2, "a backreference is not supported");
  if (c == '0') {
    if (at < pattern.size() && pattern[at] >= '0' && pattern[at] <= '9')
      return wrong(at - 2, "an octal escape is not supported");
    return single(0, at);
  }
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return letter_escape(pattern, at, c);
  return single(c, at);
}

Result<CodePoints> parse_regex_class(Pattern32 pattern, std::size_t& at) {
  const std::size_t start = at;
  CodePoints points;
  const bool inverted = at < pattern.size() && pattern[at] == '^';
  if (inverted) ++at;
  const auto item = [&]() -> Result<RegexEscape> {
    const char32_t c = pattern[at++];
    if (c == '[' && at < pattern.size() && pattern[at] == ':') return wrong(at, "a class [:name:] is not supported");
    if (c != '\\') return single(c, at);
    if (at < pattern.size() && pattern[at] == 'b') {
      ++at;
      return single('\b', at);
    }
    return parse_regex_escape(pattern, at);
  };
  while (at < pattern.size() && pattern[at] != ']') {
    CORBEL_ASSIGN(const RegexEscape low, item());
    const bool range = at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']';
    if (!range) {
      points.ranges.insert(points.ranges.end(), low.characters.ranges.begin(), low.characters.ranges.end());
      continue;
    }
    ++at;
    CORBEL_ASSIGN(const RegexEscape high, item());
    if (!low.single || !high.single) return wrong(at, "a range of a class that has no two characters as its ends");
    const char32_t from = low.characters.ranges[0].first;
    const char32_t to = high.characters.ranges[0].first;
    if (from > to) return wrong(at, "a range of a class that runs backwards");
    points.add(from, to);
  }
  if (at >= pattern.size()) return wrong(start, "a class without ]");
  ++at;
  points.normalize();
  return inverted ? points.complement() : points;
}

}  // namespace corbel
