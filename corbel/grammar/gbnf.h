#pragma once
#include <string_view>

#include "corbel/grammar/grammar_builder.h"

namespace corbel {

/// What a grammar in GBNF (gbnf_tree.h) lets be written, from its rule "root" on. Parts without recursion become tables
/// where these stay small; the others call each other. Refuses, by line and column, what parse_gbnf() refuses, and a
/// rule that begins with itself.
Result<GrammarBuilder::Id> compile_gbnf(GrammarBuilder& builder, std::string_view text);

}  // namespace corbel
