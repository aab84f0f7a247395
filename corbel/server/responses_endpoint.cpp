#include <nlohmann/json.hpp>
#include <optional>

#include "corbel/chat/response_events.h"
#include "corbel/server/answer_run.h"

namespace corbel {
namespace {

class ResponseAnswer final : public AnswerRun {
 public:
  ResponseAnswer(const EndpointCall& call, ResponseRequest request)
      : AnswerRun(call, request.completion, "resp_"), request_(std::move(request)) {
    if (request_.completion.model.empty()) request_.completion.model = call.model->name;
  }
  void submit() { AnswerRun::submit({request_.completion.request}, "input"); }

 protected:
  void begin() override {
    stream_.emplace(request_, chat(), head());
    if (streams()) begin_events(responder());
    tell(stream_->begin());
  }
  void push(std::size_t, const AnswerPiece& piece) override { tell(stream_->push(piece)); }
  void end_choice(std::size_t, const GenerateResult& result) override { tell(stream_->end(result, unix_seconds())); }
  void end() override {
    if (streams()) return responder().end();
    responder().respond(json_response(stream_->response()));
  }
  void fail(const Error& error) override {
    if (!stream_ || !streams()) return AnswerRun::fail(error);
    tell(stream_->fail(error));
    responder().end();
  }

 private:
  bool streams() const { return request_.completion.wants_stream; }
  void tell(const std::vector<Json>& events) {
    if (streams()) tell_typed_events(responder(), events);
  }
  ResponseRequest request_;
  std::optional<ResponseStream> stream_;
};

}  // namespace

void responses_endpoint(const EndpointCall& call) {
  auto request = read_response_request(*call.body, *call.model->chat, fresh_seed());
  if (!request) return call.responder->respond(error_response(request.error()));
  std::make_shared<ResponseAnswer>(call, *std::move(request))->submit();
}

void input_tokens_endpoint(const EndpointCall& call) {
  const auto request = read_response_prompt(*call.body, *call.model->chat);
  if (!request) return call.responder->respond(error_response(request.error()));
  call.responder->respond(json_response(
      {{"object", "response.input_tokens"}, {"input_tokens", request->completion.request.prompt.size()}}));
}

}  // namespace corbel
