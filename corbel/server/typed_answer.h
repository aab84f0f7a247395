#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "corbel/server/answer_run.h"

namespace corbel {

/// An answer whose events have types and add up to the whole object. What an API has of its own stands in `Shape`:
///
///   Request, Stream            what a body becomes, and what tells its answer; the request has a `completion`
///   kIdPrefix, kPromptField    of ids, and the field that errors of the prompt name
///   stream(request, model, head), end(stream, result), fail(stream, error), whole(stream)
template <typename Shape>
class TypedAnswer final : public AnswerRun {
 public:
  using Request = typename Shape::Request;
  TypedAnswer(const EndpointCall& call, Request request)
      : AnswerRun(call, request.completion, Shape::kIdPrefix), request_(std::move(request)) {
    if (request_.completion.model.empty()) request_.completion.model = call.model->name;
  }
  void submit() { AnswerRun::submit({request_.completion.request}, Shape::kPromptField); }

 protected:
  void begin() override {
    stream_.emplace(Shape::stream(request_, chat(), head()));
    if (streams()) begin_events(responder());
    tell(stream_->begin());
  }
  void push(std::size_t, const AnswerPiece& piece) override { tell(stream_->push(piece)); }
  void end_choice(std::size_t, const GenerateResult& result) override { tell(Shape::end(*stream_, result)); }
  void end() override {
    if (streams()) return responder().end();
    responder().respond(json_response(Shape::whole(*stream_)));
  }
  void fail(const Error& error) override {
    if (!stream_ || !streams()) return AnswerRun::fail(error);
    tell(Shape::fail(*stream_, error));
    responder().end();
  }

 private:
  bool streams() const { return request_.completion.wants_stream; }
  void tell(const std::vector<Json>& events) {
    if (streams()) tell_typed_events(responder(), events);
  }
  Request request_;
  std::optional<typename Shape::Stream> stream_;
};

/// Answers `request`, or says why it is none.
template <typename Shape>
void answer_typed(const EndpointCall& call, Result<typename Shape::Request> request) {
  if (!request) return call.responder->respond(error_response(request.error()));
  std::make_shared<TypedAnswer<Shape>>(call, *std::move(request))->submit();
}

}  // namespace corbel
