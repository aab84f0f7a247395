#pragma once
#include <cstdint>
#include <string_view>

#include "corbel/grammar/code_points.h"
#include "corbel/grammar/regular.h"

/// Regular expressions as ECMA-262 writes them (the dialect of JSON schema's `pattern`), without what is not regular.
namespace corbel {

enum class RegexAnchoring {
  whole,   // the whole text matches; ^ and $ at the ends are allowed and change nothing
  search,  // some part of the text matches, unless ^ and $ bind it to the ends
};

/// Understood: characters, escapes (\n \t \xHH \uHHHH \u{H} \cX ...), classes with ranges and negation, \d \D \w \W \s
/// \S, \p{L} and the like, `.`, groups (also named and non-capturing), |, * + ? {n} {n,} {n,m} (a lazy `?` changes
/// nothing), ^ and $ at the ends. Refused by name, with the offset: lookaround, backreferences, \b and \B, inline
/// flags, possessive quantifiers, atomic groups, anchors in the middle, counts above 10,000.
Result<Regular::Id> parse_regex(Regular& regular, std::string_view pattern, RegexAnchoring anchoring,
                                Spelling spelling);

}  // namespace corbel
