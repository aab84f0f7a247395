#include "corbel/server/answer_run.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "corbel/chat/chat_completion.h"
#include "corbel/server/responses.h"

namespace corbel {
namespace {

/// Empty: there is room. The last token of an answer is never run.
std::optional<HttpResponse> refuse_context(const EngineRequest& request, std::int64_t context, std::string_view field) {
  const std::int64_t prompt = std::ssize(request.prompt);
  const std::int64_t answer = request.fills_context ? 1 : std::max<std::int64_t>(request.limits.max_tokens, 1);
  if (prompt + answer - 1 <= context) return std::nullopt;
  return error_response(
      {.status = 400,
       .message = cat('"', field, "\" has ", prompt, " tokens; with an answer of ", answer, " the request needs ",
                      prompt + answer - 1, " tokens of context; there are ", context),
       .param = std::string(field),
       .code = "context_length_exceeded"});
}

}  // namespace

std::uint64_t fresh_seed() {
  thread_local std::random_device device;
  return (std::uint64_t{device()} << 32 | device()) >> 11;
}

std::int64_t unix_seconds() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch()).count();
}

AnswerRun::AnswerRun(const EndpointCall& call, const AnswerRequest& wanted, std::string_view id_prefix)
    : state_(call.state), model_(call.model), record_(call.record), responder_(call.responder) {
  head_ = {.id = cat(id_prefix, record_->unique), .fingerprint = model_->profile, .created_unix = unix_seconds()};
  if (!wanted.wants_receipt) return;
  issuer_.corbel = state_.version;
  issuer_.model = model_->name;
  issuer_.context_tokens = model_->context_tokens;
  head_.receipts = &issuer_;
}

void AnswerRun::submit(std::vector<EngineRequest> requests, std::string_view field) {
  for (const EngineRequest& request : requests) {
    results_.emplace_back(static_cast<std::size_t>(request.choices));
    left_ += static_cast<std::size_t>(request.choices);
    if (auto refused = refuse_context(request, model_->context_tokens, field))
      return responder_->respond(*std::move(refused));
  }
  if (head_.receipts != nullptr) {
    auto identity = model_->identify();
    if (!identity) return responder_->respond(error_response(identity.error()));
    issuer_.run = *std::move(identity);
  }
  model_->engine->post([self = shared_from_this(), wanted = std::move(requests)](Engine& engine) mutable {
    self->start(engine, std::move(wanted));
  });
}

void AnswerRun::start(Engine& engine, std::vector<EngineRequest> requests) {
  if (engine.figures().waiting >= state_.most_waiting) {
    HttpResponse busy = http_error(429, "too many requests are waiting; come back later", "queue_full");
    busy.headers.emplace_back("retry-after", "1");
    return responder_->respond(std::move(busy));
  }
  for (std::size_t prompt = 0; prompt < requests.size(); ++prompt) {
    EngineRequest& request = requests[prompt];
    request.on_text = [self = shared_from_this(), prompt](const AnswerPiece& piece) {
      if (!self->failed_) self->push(prompt, piece);
    };
    request.on_end = [self = shared_from_this(), prompt](GenerateResult result) {
      self->take(prompt, std::move(result));
    };
    request.on_error = [self = shared_from_this()](const Error& error) { self->fail_all(error); };
    const auto admitted = record_->admit(request, state_.metrics.of(model_->name, model_->context_tokens));
    if (!admitted) return fail_all(admitted.error());
    const auto id = engine.submit(std::move(request));
    if (!id) return fail_all(id.error());
    ids_.push_back(*id);
  }
  begin();
  // The engine's thread cancels between its steps. Not with the run itself: the responder must not keep the answer that
  // keeps it.
  responder_->on_gone([model = model_, ids = ids_] {
    model->engine->post([ids, model](Engine& running) {
      for (const std::uint64_t id : ids) running.cancel(id);
    });
  });
}

void AnswerRun::take(std::size_t prompt, GenerateResult result) {
  if (failed_) return;
  // Two cancel: a client's departure, after which nobody listens, and the server's end.
  if (result.finish == FinishReason::cancelled) return fail_all({Code::cancelled, "the server is shutting down"});
  end_choice(prompt, result);
  results_[prompt][result.choice] = std::move(result);
  if (--left_ == 0) end();
}

/// The first failure is the answer's; what runs beside it is cancelled.
void AnswerRun::fail_all(const Error& error) {
  if (failed_) return;
  failed_ = true;
  model_->engine->post([ids = ids_, model = model_](Engine& running) {
    for (const std::uint64_t id : ids) running.cancel(id);
  });
  fail(error);
}

void begin_events(Responder& responder) {
  responder.begin(
      {.content_type = "text/event-stream", .headers = {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}}});
}

void tell_events(Responder& responder, const std::vector<Json>& objects) {
  std::string text;
  for (const Json& object : objects) text += cat("data: ", wire_text(object), "\n\n");
  responder.write(std::move(text));
}

void tell_typed_events(Responder& responder, const std::vector<Json>& objects) {
  std::string text;
  for (const Json& object : objects)
    text += cat("event: ", object["type"].get_ref<const std::string&>(), "\ndata: ", wire_text(object), "\n\n");
  responder.write(std::move(text));
}

void end_events(Responder& responder) {
  responder.write("data: [DONE]\n\n");
  responder.end();
}

void fail_events(Responder& responder, const Error& error) {
  responder.write(cat("data: ", wire_text(chat_error_json(error)), "\n\n"));
  responder.end();
}

}  // namespace corbel
