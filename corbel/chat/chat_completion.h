#pragma once
#include <string>
#include <vector>

#include "corbel/chat/chat_format.h"
#include "corbel/engine/engine.h"
#include "corbel/model/loader.h"

/// OpenAI's chat completions: the body of a request to an engine's request, and the answer back.
namespace corbel {

struct ChatCompletion {
  std::string model;      // as the request names it
  EngineRequest request;  // without callbacks
};

/// Reads the body of a request. Honoured: messages, temperature, top_p, top_k, min_p, repetition_penalty, seed,
/// max_tokens, max_completion_tokens, stop, priority; of n, stream, logprobs, the penalties, response_format and tools
/// what asks for nothing. Anything else is refused by name, nothing is ignored. What a request leaves open comes from
/// `defaults`, as for `corbel run`; `seed` where it samples and names none.
///
/// body    an object; errors name its fields
/// format  makes the prompt
Result<ChatCompletion> read_chat_completion(const Json& body, const ChatFormat& format,
                                            const GenerationDefaults& defaults, std::uint64_t seed);

/// The object "chat.completion". Of the request and the model alone: "created" is 0, so that the same request gives the
/// same bytes.
Json chat_completion_json(const ChatCompletion& completion, const GenerateResult& result, const std::string& id,
                          const std::string& fingerprint);

/// {"error": {"message", "type", "param", "code"}}
Json chat_error_json(const Error& error);

}  // namespace corbel
