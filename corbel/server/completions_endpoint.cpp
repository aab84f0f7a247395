#include <nlohmann/json.hpp>

#include "corbel/chat/text_completion.h"
#include "corbel/server/completion_answer.h"
#include "corbel/server/responses.h"

namespace corbel {
namespace {

class TextAnswer : public CompletionAnswer<TextCompletion> {
 public:
  TextAnswer(const EndpointCall& call, TextCompletion completion)
      : CompletionAnswer(call, std::move(completion), "cmpl-") {}
  void submit() {
    std::vector<EngineRequest> requests;
    for (std::size_t prompt = 0; prompt < completion().prompts.size(); ++prompt)
      requests.push_back(completion().request_of(prompt));
    AnswerRun::submit(std::move(requests), "prompt");
  }
};

class WholeText final : public TextAnswer {
 public:
  using TextAnswer::TextAnswer;
  void end() override {
    responder().respond(json_response(text_completion_json(completion(), chat(), results(), head())));
  }
};

class StreamedText final : public StreamedAnswer<TextAnswer, TextCompletionStream> {
 public:
  using StreamedAnswer::StreamedAnswer;
  void push(std::size_t prompt, const AnswerPiece& piece) override { tell(stream().push(prompt, piece)); }
  void end_choice(std::size_t prompt, const GenerateResult& result) override { tell(stream().end(prompt, result)); }
};

}  // namespace

void completions_endpoint(const EndpointCall& call) {
  auto completion = read_text_completion(*call.body, *call.model->chat, fresh_seed());
  if (!completion) return call.responder->respond(error_response(completion.error()));
  if (completion->wants_stream) return std::make_shared<StreamedText>(call, *std::move(completion))->submit();
  std::make_shared<WholeText>(call, *std::move(completion))->submit();
}

}  // namespace corbel
