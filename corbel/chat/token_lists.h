#pragma once
#include <string>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// A text as tokens.
struct TokenList {
  std::vector<std::int32_t> ids;
  std::string text;  // as it was given; decoded where ids were
};

struct TokenListRules {
  std::size_t most = 1;            // lists
  bool add_special_tokens = true;  // around texts
  std::string_view prefix = {};    // in front of texts
};

/// Reads what OpenAI's API takes as "prompt" or "input": a text, a list of texts, the ids of one text's tokens, or a
/// list of such lists. Refusals begin with the path: "prompt[1][0]".
Result<std::vector<TokenList>> read_token_lists(const Json& value, const std::string& field, const Tokenizer& tokenizer,
                                                const TokenListRules& rules);

}  // namespace corbel
