#include "corbel/chat/message_events.h"
#include "corbel/server/typed_answer.h"

namespace corbel {
namespace {

struct Messages {
  using Request = MessageRequest;
  using Stream = MessageStream;
  static constexpr std::string_view kIdPrefix = "msg_", kPromptField = "messages";
  static Stream stream(const Request& request, const ChatModel&, const CompletionHead& head) { return {request, head}; }
  static std::vector<Json> end(Stream& stream, const GenerateResult& result) { return stream.end(result); }
  static std::vector<Json> fail(Stream&, const Error& error) { return {message_error_json(error)}; }
  static Json whole(const Stream& stream) { return stream.message(); }
};

}  // namespace

void messages_endpoint(const EndpointCall& call) {
  answer_typed<Messages>(call, read_message_request(*call.body, *call.model->chat, fresh_seed()));
}

void count_tokens_endpoint(const EndpointCall& call) {
  const auto request = read_message_prompt(*call.body, *call.model->chat);
  if (!request) return call.responder->respond(error_response(request.error()));
  call.responder->respond(json_response({{"input_tokens", request->completion.request.prompt.size()}}));
}

}  // namespace corbel
