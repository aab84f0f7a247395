#include "corbel/chat/response_events.h"
#include "corbel/server/typed_answer.h"

namespace corbel {
namespace {

struct Responses {
  using Request = ResponseRequest;
  using Stream = ResponseStream;
  static constexpr std::string_view kIdPrefix = "resp_", kPromptField = "input";
  static Stream stream(const Request& request, const ChatModel& model, const CompletionHead& head) {
    return {request, model, head};
  }
  static std::vector<Json> end(Stream& stream, const GenerateResult& result) {
    return stream.end(result, unix_seconds());
  }
  static std::vector<Json> fail(Stream& stream, const Error& error) { return stream.fail(error); }
  static Json whole(const Stream& stream) { return stream.response(); }
};

}  // namespace

void responses_endpoint(const EndpointCall& call) {
  answer_typed<Responses>(call, read_response_request(*call.body, *call.model->chat, fresh_seed()));
}

void input_tokens_endpoint(const EndpointCall& call) {
  const auto request = read_response_prompt(*call.body, *call.model->chat);
  if (!request) return call.responder->respond(error_response(request.error()));
  call.responder->respond(json_response(
      {{"object", "response.input_tokens"}, {"input_tokens", request->completion.request.prompt.size()}}));
}

}  // namespace corbel
