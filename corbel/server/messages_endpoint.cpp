#include <nlohmann/json.hpp>
#include <optional>

#include "corbel/chat/message_events.h"
#include "corbel/server/answer_run.h"

namespace corbel {
namespace {

class MessageAnswer final : public AnswerRun {
 public:
  MessageAnswer(const EndpointCall& call, MessageRequest request)
      : AnswerRun(call, request.completion, "msg_"), request_(std::move(request)) {
    if (request_.completion.model.empty()) request_.completion.model = call.model->name;
  }
  void submit() { AnswerRun::submit({request_.completion.request}, "messages"); }

 protected:
  void begin() override {
    stream_.emplace(request_, head());
    if (streams()) begin_events(responder());
    tell(stream_->begin());
  }
  void push(std::size_t, const AnswerPiece& piece) override { tell(stream_->push(piece)); }
  void end_choice(std::size_t, const GenerateResult& result) override { tell(stream_->end(result)); }
  void end() override {
    if (streams()) return responder().end();
    responder().respond(json_response(stream_->message()));
  }
  void fail(const Error& error) override {
    if (!stream_ || !streams()) return AnswerRun::fail(error);
    tell({message_error_json(error)});
    responder().end();
  }

 private:
  bool streams() const { return request_.completion.wants_stream; }
  void tell(const std::vector<Json>& events) {
    if (streams()) tell_typed_events(responder(), events);
  }
  MessageRequest request_;
  std::optional<MessageStream> stream_;
};

}  // namespace

void messages_endpoint(const EndpointCall& call) {
  auto request = read_message_request(*call.body, *call.model->chat, fresh_seed());
  if (!request) return call.responder->respond(error_response(request.error()));
  std::make_shared<MessageAnswer>(call, *std::move(request))->submit();
}

void count_tokens_endpoint(const EndpointCall& call) {
  const auto request = read_message_prompt(*call.body, *call.model->chat);
  if (!request) return call.responder->respond(error_response(request.error()));
  call.responder->respond(json_response({{"input_tokens", request->completion.request.prompt.size()}}));
}

}  // namespace corbel
