#pragma once
#include <string_view>

#include "corbel/grammar/grammar_builder.h"

namespace corbel {

/// What `body` stands for, without texts that begin with `text`, blanks (space, tab, line ends) in front of it or none.
/// Refuses a body whose beginnings of blanks differ without end.
Result<GrammarBuilder::Id> without_beginning(GrammarBuilder& builder, GrammarBuilder::Id body, std::string_view text);

}  // namespace corbel
