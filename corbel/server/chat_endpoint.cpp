#include <nlohmann/json.hpp>

#include "corbel/chat/chat_completion.h"
#include "corbel/chat/completion_json.h"
#include "corbel/server/completion_answer.h"
#include "corbel/server/responses.h"

namespace corbel {
namespace {

class ChatAnswer : public CompletionAnswer<ChatCompletion> {
 public:
  ChatAnswer(const EndpointCall& call, ChatCompletion completion)
      : CompletionAnswer(call, std::move(completion), "chatcmpl-") {}
  void submit() { AnswerRun::submit({completion().request}, "messages"); }
};

class WholeChat final : public ChatAnswer {
 public:
  using ChatAnswer::ChatAnswer;
  void end() override {
    responder().respond(json_response(chat_completion_json(completion(), chat(), results().front(), head())));
  }
};

class StreamedChat final : public StreamedAnswer<ChatAnswer, CompletionStream> {
 public:
  using StreamedAnswer::StreamedAnswer;
  void push(std::size_t, const AnswerPiece& piece) override {
    const std::span<const AnswerLogprobs> logprobs(piece.logprobs, piece.logprobs != nullptr ? 1 : 0);
    tell(stream().push(piece.choice, piece.text, logprobs));
  }
  void end_choice(std::size_t, const GenerateResult& result) override { tell(stream().end(result)); }
};

/// {"response", "tokens", "tokens_per_second"}
class SimpleAnswer final : public ChatAnswer {
 public:
  using ChatAnswer::ChatAnswer;
  void end() override {
    const GenerateResult& result = results().front().front();
    responder().respond(json_response({{"response", result.text},
                                       {"tokens", result.figures.generated_tokens},
                                       {"tokens_per_second", result.figures.decode_tokens_per_second()}}));
  }
};

}  // namespace

void chat_completions_endpoint(const EndpointCall& call) {
  auto completion = read_chat_completion(*call.body, *call.model->chat, fresh_seed());
  if (!completion) return call.responder->respond(error_response(completion.error()));
  if (completion->wants_stream) return std::make_shared<StreamedChat>(call, *std::move(completion))->submit();
  std::make_shared<WholeChat>(call, *std::move(completion))->submit();
}

void simple_chat_endpoint(const EndpointCall& call) {
  const auto fields = RequestFields::make(*call.body, Api::simple_chat);
  if (!fields) return call.responder->respond(error_response(fields.error()));
  if (!fields->has("prompt"))
    return call.responder->respond(error_response(refuse_field("prompt", "is missing; it must be a string").error));
  Json chat = *call.body;
  chat["messages"] = Json::array({{{"role", "user"}, {"content", chat["prompt"]}}});
  chat.erase("prompt");
  auto completion = read_chat_completion(chat, *call.model->chat, fresh_seed());
  if (!completion) return call.responder->respond(error_response(completion.error()));
  std::make_shared<SimpleAnswer>(call, *std::move(completion))->submit();
}

}  // namespace corbel
