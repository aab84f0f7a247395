#pragma once
#include "corbel/chat/made_request.h"

/// OpenAI's responses (POST /v1/responses), without what a server would have to store.
namespace corbel {

/// A request that was read. Immutable then.
struct ResponseRequest {
  ChatCompletion completion;
  Json told;  // what a response repeats of its request
};

/// Each field is honoured, refused, or named in the warnings: docs/api_fields.md. As read_chat_completion(), which
/// reads what is made of it.
Result<ResponseRequest> read_response_request(const Json& body, const ChatModel& model, std::uint64_t seed);

/// POST /v1/responses/input_tokens: the prompt that a request makes.
Result<ResponseRequest> read_response_prompt(const Json& body, const ChatModel& model);

}  // namespace corbel
