#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/grammar/code_points.h"

namespace corbel {

/// A grammar in GBNF, the notation of llama.cpp, as it is written; nodes and rules refer to each other by index.
struct GbnfTree {
  enum class Kind : std::uint8_t { characters, text, sequence, choice, repeat, rule };
  struct Place {
    std::uint32_t line = 1;
    std::uint32_t column = 1;  // in characters
  };
  struct Node {
    Kind kind = Kind::sequence;
    CodePoints characters;                // one of them
    std::string text;                     // UTF-8
    std::vector<std::uint32_t> children;  // a sequence without any is the empty text
    std::uint32_t min = 0;                // repeat
    std::uint32_t max = 0;                // Regular::kUnbounded
    std::uint32_t rule = 0;
    Place place;
  };
  struct Rule {
    std::string name;
    std::uint32_t body = 0;
    bool defined = false;
    Place place;  // of its definition; of its first use before that
  };
  std::vector<Node> nodes;
  std::vector<Rule> rules;
  std::uint32_t root = 0;  // the rule "root"
};

/// `name ::= alternatives` a rule, `#` comments; "texts" and [classes] with \n \r \t \\ \" \[ \] \xHH \uHHHH
/// \UHHHHHHHH, `.` any character, names, ( ), |, and behind an item * + ? {m} {m,} {m,n}. A rule ends with its line,
/// unless a group is open or | or ::= stands at the line's end. Refuses what it is not, by line and column: names
/// without a rule or with two, no rule "root", tokens (<...>), more than kMostRules rules, groups too deep.
/// Source: llama.cpp grammars/README.md and src/llama-grammar.cpp.
Result<GbnfTree> parse_gbnf(std::string_view text);

/// "line 3, column 7"
std::string place_text(const GbnfTree::Place& place);

}  // namespace corbel
