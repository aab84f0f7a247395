#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "corbel/grammar/regular.h"

/// Sets of characters (Unicode scalar values) and how they are written as bytes.
namespace corbel {

/// Ascending, disjoint, not adjacent ranges of code points, both ends included. Surrogates may be in a range; they are
/// never written.
struct CodePoints {
  std::vector<std::pair<char32_t, char32_t>> ranges;

  static constexpr char32_t kLast = 0x10FFFF;
  static CodePoints of(std::initializer_list<std::pair<char32_t, char32_t>> ranges);
  static CodePoints single(char32_t code) { return of({{code, code}}); }

  void add(char32_t low, char32_t high) { ranges.emplace_back(low, high); }  // then normalize()
  void normalize();
  CodePoints complement() const;
  bool has(char32_t code) const;
  bool empty() const { return ranges.empty(); }
};

CodePoints intersect(const CodePoints& a, const CodePoints& b);

/// The characters that `\d`, `\w`, `\s`, `.` mean in ECMA-262 without flags.
CodePoints ecma_digits();
CodePoints ecma_word();
CodePoints ecma_space();
CodePoints ecma_dot();

/// \p{name} for the names that corbel/text knows: L, N, P, M, Letter, Number, Punctuation, Mark, White_Space.
std::optional<CodePoints> unicode_property(std::string_view name);

/// How characters stand in the text that is matched.
enum class Spelling {
  plain,        // as UTF-8
  json_string,  // as between the quotation marks of a JSON string, each character in one way: short escapes where JSON
                // has one, \u00xx (lower case) for other control characters, UTF-8 for the rest
};

Regular::Id spell(Regular& regular, const CodePoints& points, Spelling spelling);

}  // namespace corbel
