#pragma once
#include <optional>

#include "corbel/chat/request_fields.h"
#include "corbel/grammar/grammar.h"

namespace corbel {

/// What a request says of its answer's content: response_format, structured_outputs, guided_json, guided_regex,
/// guided_choice, grammar, guided_grammar. Nothing: any text. Refuses, naming the field, what is none of these and two
/// of them at once. Schemas and patterns are checked when they are compiled: `path` names the field that they come
/// from.
struct StructuredContent {
  GrammarSource source;
  std::string path;
};
Result<std::optional<StructuredContent>> read_structured_content(const RequestFields& fields);

}  // namespace corbel
