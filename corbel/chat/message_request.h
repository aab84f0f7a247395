#pragma once
#include "corbel/chat/made_request.h"

/// Anthropic's messages (POST /v1/messages).
namespace corbel {

/// A request that was read. Immutable then.
struct MessageRequest {
  ChatCompletion completion;
  std::vector<std::string> stop_sequences;  // the client's; the model may have more
};

/// Each field is honoured, refused, or named in the warnings: docs/api_fields.md. As read_chat_completion(), which
/// reads what is made of it.
Result<MessageRequest> read_message_request(const Json& body, const ChatModel& model, std::uint64_t seed);

/// POST /v1/messages/count_tokens: the prompt that a request makes.
Result<MessageRequest> read_message_prompt(const Json& body, const ChatModel& model);

}  // namespace corbel
