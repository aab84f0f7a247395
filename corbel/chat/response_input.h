#pragma once
#include "corbel/chat/made_request.h"

namespace corbel {

/// "instructions" and "input" of a request for a response, as messages: texts, messages, calls and their outputs,
/// thoughts. What follows each other of one turn of the model becomes one message. Refused: items of other kinds,
/// which only a server that stores or searches could make sense of.
Result<void> read_response_input(const RequestFields& fields, MadeRequest& made);

}  // namespace corbel
