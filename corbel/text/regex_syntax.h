#pragma once
#include <string>
#include <string_view>

#include "corbel/base/result.h"

namespace corbel {

/// Spells a regex of a tokenizer file (Oniguruma's Ruby syntax) so that PCRE2 means the same by it: \s, \w, \b and \h
/// by their characters, classes within classes and && unfolded, (?m) as dot-all, \u4E2D as \x{4E2D}. Refuses what it
/// cannot spell, naming the expression and the place. `with_additions`: sets also hold what PCRE2's Unicode lacks
/// (regex_additions.h), which makes them about half as fast.
Result<std::string> to_pcre2(std::string_view source, bool with_additions = false);

}  // namespace corbel
