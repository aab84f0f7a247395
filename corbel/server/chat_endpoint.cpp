#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>

#include "corbel/base/json.h"
#include "corbel/chat/completion_json.h"
#include "corbel/server/endpoints.h"

namespace corbel {
namespace {

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::int64_t unix_seconds() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch()).count();
}

/// For requests that sample and name no seed.
std::uint64_t fresh_seed() {
  thread_local std::random_device device;
  return (std::uint64_t{device()} << 32 | device()) >> 11;
}

/// One chat completion from its request to its last byte. Lives as long as the engine's callbacks; made on a thread of
/// the server's, then only the engine's thread touches it.
class ChatAnswer : public std::enable_shared_from_this<ChatAnswer> {
 public:
  ChatAnswer(const EndpointCall& call, ChatCompletion completion)
      : state_(call.state),
        model_(call.model),
        record_(call.record),
        responder_(call.responder),
        completion_(std::move(completion)) {
    head_ = {.id = cat("chatcmpl-", record_->unique), .fingerprint = model_.profile, .created_unix = unix_seconds()};
    if (completion_.model.empty()) completion_.model = model_.name;
    results_.resize(static_cast<std::size_t>(completion_.request.choices));
  }
  virtual ~ChatAnswer() = default;

  void submit() {
    model_.engine->post([self = shared_from_this()](Engine& engine) { self->start(engine); });
  }

 protected:
  /// How the answers are told.
  virtual void begin() {}
  virtual void push(const AnswerPiece&) {}
  virtual void end_choice(const GenerateResult&) {}
  virtual void end() = 0;
  virtual void fail(const Error& error) { responder_->respond(error_response(error)); }

  ServerState& state_;
  const ServedModel& model_;
  std::shared_ptr<RequestRecord> record_;
  std::shared_ptr<Responder> responder_;
  ChatCompletion completion_;
  CompletionHead head_;
  std::vector<GenerateResult> results_;

 private:
  void start(Engine& engine) {
    if (engine.figures().waiting >= state_.most_waiting) {
      HttpResponse busy = error_response(429, "too many requests are waiting; come back later", "rate_limit_error");
      busy.headers.emplace_back("retry-after", "1");
      return responder_->respond(std::move(busy));
    }
    EngineRequest request = completion_.request;
    request.on_text = [self = shared_from_this()](const AnswerPiece& piece) { self->push(piece); };
    request.on_end = [self = shared_from_this()](GenerateResult result) { self->take(std::move(result)); };
    request.on_error = [self = shared_from_this()](const Error& error) { self->fail(error); };
    if (const auto admitted = record_->admit(request, state_.metrics.of(model_.name)); !admitted)
      return fail(admitted.error());
    const auto id = engine.submit(std::move(request));
    if (!id) return fail(id.error());
    begin();
    // The engine's thread cancels between its steps. Weakly: the responder must not keep the answer that keeps it.
    responder_->on_gone(
        [thread = model_.engine, id = *id] { thread->post([id](Engine& running) { running.cancel(id); }); });
  }
  void take(GenerateResult result) {
    end_choice(result);
    results_[result.choice] = std::move(result);
    if (++left_ == results_.size()) end();
  }
  std::size_t left_ = 0;  // choices that have ended
};

class WholeAnswer final : public ChatAnswer {
 public:
  using ChatAnswer::ChatAnswer;
  void end() override {
    responder_->respond({.body = dump(chat_completion_json(completion_, *model_.chat, results_, head_))});
  }
};

/// Server-sent events: "data: {...}" for each piece, "data: [DONE]" when all went well.
class StreamedAnswer final : public ChatAnswer {
 public:
  using ChatAnswer::ChatAnswer;
  void begin() override {
    stream_.emplace(completion_, *model_.chat, head_);
    responder_->begin(
        {.content_type = "text/event-stream", .headers = {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}}});
    begun_ = true;
  }
  void push(const AnswerPiece& piece) override {
    const std::span<const AnswerLogprobs> logprobs(piece.logprobs, piece.logprobs != nullptr ? 1 : 0);
    tell(stream_->push(piece.choice, piece.text, logprobs));
  }
  void end_choice(const GenerateResult& result) override { tell(stream_->end(result)); }
  void end() override {
    tell(stream_->finish());
    responder_->write("data: [DONE]\n\n");
    responder_->end();
  }
  void fail(const Error& error) override {
    if (!begun_) return ChatAnswer::fail(error);
    responder_->write(cat("data: ", dump(chat_error_json(error)), "\n\n"));
    responder_->end();
  }

 private:
  void tell(const std::vector<Json>& chunks) {
    std::string text;
    for (const Json& chunk : chunks) text += cat("data: ", dump(chunk), "\n\n");
    responder_->write(std::move(text));
  }
  std::optional<CompletionStream> stream_;
  bool begun_ = false;
};

/// {"response", "tokens", "tokens_per_second"}
class SimpleAnswer final : public ChatAnswer {
 public:
  using ChatAnswer::ChatAnswer;
  void end() override {
    const GenerateResult& result = results_.front();
    responder_->respond({.body = dump({{"response", result.text},
                                       {"tokens", result.figures.generated_tokens},
                                       {"tokens_per_second", result.figures.decode_tokens_per_second()}})});
  }
};

}  // namespace

void chat_completions_endpoint(const EndpointCall& call) {
  const auto body = parse_json(call.request.body, "the body");
  if (!body) return call.responder->respond(error_response(400, body.error().message));
  if (!body->is_object()) return call.responder->respond(error_response(400, "the body is no JSON object"));
  auto completion = read_chat_completion(*body, *call.model.chat, fresh_seed());
  if (!completion) return call.responder->respond(error_response(completion.error()));
  if (!completion->model.empty() && completion->model != call.model.name)
    return call.responder->respond(
        error_response(404, cat("there is no model \"", completion->model, "\" here; GET /v1/models lists them")));
  if (completion->wants_stream) return std::make_shared<StreamedAnswer>(call, *std::move(completion))->submit();
  std::make_shared<WholeAnswer>(call, *std::move(completion))->submit();
}

void simple_chat_endpoint(const EndpointCall& call) {
  const auto body = parse_json(call.request.body, "the body");
  if (!body) return call.responder->respond(error_response(400, body.error().message));
  const JsonFields fields(*body, "body");
  const auto prompt = fields.require_string("prompt");
  if (!prompt) return call.responder->respond(error_response(400, prompt.error().message));
  Json chat = {{"messages", Json::array({{{"role", "user"}, {"content", *prompt}}})}};
  for (const auto& [key, value] : body->items()) {
    if (key == "prompt") continue;
    if (key != "max_tokens" && key != "temperature")
      return call.responder->respond(
          error_response(400, cat("\"", key, "\" is not known here; known: prompt, max_tokens, temperature")));
    chat[key] = value;
  }
  auto completion = read_chat_completion(chat, *call.model.chat, fresh_seed());
  if (!completion) return call.responder->respond(error_response(completion.error()));
  std::make_shared<SimpleAnswer>(call, *std::move(completion))->submit();
}

}  // namespace corbel
