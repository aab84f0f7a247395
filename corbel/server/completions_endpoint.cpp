#include <nlohmann/json.hpp>
#include <optional>

#include "corbel/chat/text_completion.h"
#include "corbel/server/answer_run.h"
#include "corbel/server/responses.h"

namespace corbel {
namespace {

class TextAnswer : public AnswerRun {
 public:
  TextAnswer(const EndpointCall& call, TextCompletion completion)
      : AnswerRun(call, completion, "cmpl-"), completion_(std::move(completion)) {
    if (completion_.model.empty()) completion_.model = call.model->name;
  }
  void submit() {
    std::vector<EngineRequest> requests;
    for (std::size_t prompt = 0; prompt < completion_.prompts.size(); ++prompt)
      requests.push_back(completion_.request_of(prompt));
    AnswerRun::submit(std::move(requests), "prompt");
  }

 protected:
  const TextCompletion& completion() const noexcept { return completion_; }

 private:
  TextCompletion completion_;
};

class WholeText final : public TextAnswer {
 public:
  using TextAnswer::TextAnswer;
  void end() override {
    responder().respond(json_response(text_completion_json(completion(), chat(), results(), head())));
  }
};

class StreamedText final : public TextAnswer {
 public:
  using TextAnswer::TextAnswer;
  void begin() override {
    stream_.emplace(completion(), chat(), head());
    begin_events(responder());
  }
  void push(std::size_t prompt, const AnswerPiece& piece) override {
    tell_events(responder(), stream_->push(prompt, piece));
  }
  void end_choice(std::size_t prompt, const GenerateResult& result) override {
    tell_events(responder(), stream_->end(prompt, result));
  }
  void end() override {
    tell_events(responder(), stream_->finish());
    end_events(responder());
  }
  void fail(const Error& error) override {
    if (!stream_) return TextAnswer::fail(error);
    fail_events(responder(), error);
  }

 private:
  std::optional<TextCompletionStream> stream_;
};

}  // namespace

void completions_endpoint(const EndpointCall& call) {
  auto completion = read_text_completion(*call.body, *call.model->chat, fresh_seed());
  if (!completion) return call.responder->respond(error_response(completion.error()));
  if (completion->wants_stream) return std::make_shared<StreamedText>(call, *std::move(completion))->submit();
  std::make_shared<WholeText>(call, *std::move(completion))->submit();
}

}  // namespace corbel
