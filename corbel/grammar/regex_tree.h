#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/grammar/code_points.h"

namespace corbel {

/// A regular expression as it is written; nodes refer to each other by index.
struct RegexTree {
  enum class Kind : std::uint8_t { empty, characters, sequence, choice, repeat, begin, end };
  struct Node {
    Kind kind = Kind::empty;
    bool anchored = false;  // holds ^ or $
    CodePoints characters;
    std::vector<std::uint32_t> children;
    std::uint32_t min = 0;
    std::uint32_t max = 0;  // Regular::kUnbounded
  };
  std::vector<Node> nodes;
  std::uint32_t root = 0;
};

Result<RegexTree> parse_regex_tree(std::string_view pattern);

/// What `\x` after a backslash at `at` means, inside a class and outside; moves `at` behind it.
struct RegexEscape {
  CodePoints characters;
  bool single = false;  // one character, which may begin a range
};
Result<RegexEscape> parse_regex_escape(std::u32string_view pattern, std::size_t& at);

/// [...] from behind its bracket; moves `at` behind the closing one.
Result<CodePoints> parse_regex_class(std::u32string_view pattern, std::size_t& at);

}  // namespace corbel
