#include "corbel/grammar/code_points.h"

#include <algorithm>
#include <array>
#include <string>

#include "corbel/grammar/json_text.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

struct Utf8Bytes {
  std::array<std::uint8_t, 4> bytes{};
  int count = 0;
};

Utf8Bytes utf8_of(char32_t code) {
  std::string text;
  append_utf8(text, code);
  Utf8Bytes out;
  for (const char c : text) out.bytes[out.count++] = static_cast<std::uint8_t>(c);
  return out;
}

/// Bytes from `at` on of characters between two of equal length; a bound that no longer holds is all its own extreme.
Regular::Id between(Regular& regular, const Utf8Bytes& low, const Utf8Bytes& high, int at) {
  const std::uint8_t first = low.bytes[at];
  const std::uint8_t last = high.bytes[at];
  if (at + 1 == low.count) return regular.byte_range(first, last);
  if (first == last) return regular.concat(regular.byte_range(first, first), between(regular, low, high, at + 1));
  Utf8Bytes lowest = low;
  Utf8Bytes highest = high;
  for (int i = at + 1; i < low.count; ++i) {
    lowest.bytes[i] = 0x80;
    highest.bytes[i] = 0xBF;
  }
  std::vector<Regular::Id> choices;
  choices.push_back(regular.concat(regular.byte_range(first, first), between(regular, low, highest, at + 1)));
  if (first + 1 < last) {
    choices.push_back(
        regular.concat(regular.byte_range(first + 1U, last - 1U), between(regular, lowest, highest, at + 1)));
  }
  choices.push_back(regular.concat(regular.byte_range(last, last), between(regular, lowest, high, at + 1)));
  return regular.either(std::move(choices));
}

Regular::Id utf8(Regular& regular, const CodePoints& points) {
  constexpr std::array<std::pair<char32_t, char32_t>, 5> kLengths = {
      {{0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, CodePoints::kLast}}};
  std::vector<Regular::Id> choices;
  for (const auto& [low, high] : points.ranges) {
    for (const auto& [first, last] : kLengths) {
      const char32_t from = std::max(low, first);
      const char32_t to = std::min(high, last);
      if (from <= to) choices.push_back(between(regular, utf8_of(from), utf8_of(to), 0));
    }
  }
  return regular.either(std::move(choices));
}

template <typename Test>
CodePoints all_that(Test test) {
  CodePoints points;
  for (char32_t code = 0; code <= CodePoints::kLast; ++code) {
    if (!test(code)) continue;
    if (!points.ranges.empty() && points.ranges.back().second + 1 == code) {
      points.ranges.back().second = code;
    } else {
      points.add(code, code);
    }
  }
  return points;
}

}  // namespace

CodePoints CodePoints::of(std::initializer_list<std::pair<char32_t, char32_t>> ranges) {
  CodePoints points;
  points.ranges = ranges;
  points.normalize();
  return points;
}

void CodePoints::normalize() {
  std::sort(ranges.begin(), ranges.end());
  std::vector<std::pair<char32_t, char32_t>> out;
  for (const auto& range : ranges) {
    if (!out.empty() && range.first <= out.back().second + 1) {
      out.back().second = std::max(out.back().second, range.second);
    } else {
      out.push_back(range);
    }
  }
  ranges = std::move(out);
}

CodePoints CodePoints::complement() const {
  CodePoints out;
  char32_t next = 0;
  for (const auto& [low, high] : ranges) {
    if (next < low) out.add(next, low - 1);
    next = high + 1;
  }
  if (next <= kLast) out.add(next, kLast);
  return out;
}

bool CodePoints::has(char32_t code) const {
  return std::any_of(ranges.begin(), ranges.end(),
                     [code](const auto& r) { return r.first <= code && code <= r.second; });
}

CodePoints intersect(const CodePoints& a, const CodePoints& b) {
  CodePoints outside = a.complement();
  for (const auto& [low, high] : b.complement().ranges) outside.add(low, high);
  outside.normalize();
  return outside.complement();
}

CodePoints ecma_digits() { return CodePoints::of({{'0', '9'}}); }
CodePoints ecma_word() { return CodePoints::of({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}); }
CodePoints ecma_space() {
  return CodePoints::of({{9, 13},
                         {' ', ' '},
                         {0xA0, 0xA0},
                         {0x1680, 0x1680},
                         {0x2000, 0x200A},
                         {0x2028, 0x2029},
                         {0x202F, 0x202F},
                         {0x205F, 0x205F},
                         {0x3000, 0x3000},
                         {0xFEFF, 0xFEFF}});
}
CodePoints ecma_dot() { return CodePoints::of({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}).complement(); }

std::optional<CodePoints> unicode_property(std::string_view name) {
  if (name == "L" || name == "Letter") return all_that([](char32_t c) { return is_letter(c); });
  if (name == "N" || name == "Number") return all_that([](char32_t c) { return is_number(c); });
  if (name == "P" || name == "Punctuation") return all_that([](char32_t c) { return is_punctuation(c); });
  if (name == "M" || name == "Mark") return all_that([](char32_t c) { return (char_traits(c) & 8) != 0; });
  if (name == "White_Space") return all_that([](char32_t c) { return is_space(c); });
  return std::nullopt;
}

Regular::Id spell(Regular& regular, const CodePoints& points, Spelling spelling) {
  if (spelling == Spelling::plain) return utf8(regular, points);
  const CodePoints escaped = CodePoints::of({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}});
  std::vector<Regular::Id> choices{utf8(regular, intersect(points, escaped.complement()))};
  for (const auto& [low, high] : intersect(points, escaped).ranges) {
    for (char32_t code = low; code <= high; ++code) {
      std::string text;
      append_json_character(text, static_cast<char>(code));
      choices.push_back(regular.literal(text));
    }
  }
  return regular.either(std::move(choices));
}

}  // namespace corbel
