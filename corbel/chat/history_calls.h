#pragma once
#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// Refuses tool calls in a client's own history that are none, by their place: a template would fail on them with words
/// of its own, or show the model something else than was meant. Arguments are an object, the text of one, or left out.
/// Messages that are no messages at all are left to who renders them.
Result<void> check_history_calls(const Json& messages);

}  // namespace corbel
