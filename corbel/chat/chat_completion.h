#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corbel/chat/chat_model.h"
#include "corbel/chat/choice_reader.h"
#include "corbel/chat/request_options.h"

/// OpenAI's chat completions: the body of a request to an engine's request, and the answers back.
namespace corbel {

/// A request that was read: what the engine gets, and how its answers are told. Immutable then; any number of answers
/// are told from it.
struct ChatCompletion : AnswerRequest {
  AnswerReading reading;
  bool wants_logprobs = false;
};

/// Reads the body of a request. Each field is honoured, refused, or named in the warnings: docs/api_fields.md. What a
/// request leaves open comes from the model's defaults, as for `corbel run`; `seed` where it samples and names none.
/// Constraints are compiled here, on the caller's thread. `model` outlives what is read.
///
/// Messages of refusals begin with the field's path in quotation marks.
Result<ChatCompletion> read_chat_completion(const Json& body, const ChatModel& model, std::uint64_t seed);

/// {"error": {"message", "type", "param", "code"}}; "param" is the path with which the message begins.
Json chat_error_json(const Error& error);

}  // namespace corbel
