#pragma once
#include "corbel/chat/made_request.h"

namespace corbel {

/// "system" and "messages" of a request for a message, as a chat completion's: blocks of text, of calls, of their
/// results, of thoughts. Neighbours of one role become one. A last message of the assistant is one to go on with.
/// Refused: blocks of other kinds.
Result<void> read_message_turns(const RequestFields& fields, MadeRequest& made);

}  // namespace corbel
