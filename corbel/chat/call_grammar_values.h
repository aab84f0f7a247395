#pragma once
#include "corbel/chat/tool_call_syntax.h"
#include "corbel/chat/tool_spec.h"
#include "corbel/grammar/grammar.h"

namespace corbel {

/// One call of a tool in a shape that writes its arguments one by one: parameters, python_calls, loose_object; for
/// python_calls without the list around it.
Result<GrammarSource> call_arguments(const ToolCallSyntax& syntax, const ToolSpec& tool);

}  // namespace corbel
