#pragma once
#include <memory>
#include <vector>

#include "corbel/chat/answer_receipt.h"
#include "corbel/chat/completion_parts.h"
#include "corbel/server/endpoints.h"

namespace corbel {

/// One answer to a client from its requests to the engine (one for each prompt) to its last byte. Lives as long as the
/// engine's callbacks; made on a thread of the server's, then only the engine's thread touches it. When the client goes
/// away, its requests are cancelled.
class AnswerRun : public std::enable_shared_from_this<AnswerRun> {
 public:
  AnswerRun(const EndpointCall& call, const AnswerRequest& wanted, std::string_view id_prefix);
  virtual ~AnswerRun() = default;
  AnswerRun(const AnswerRun&) = delete;
  AnswerRun& operator=(const AnswerRun&) = delete;

  /// Refuses what the context has no room for; else all goes to the engine. `field` names the prompt in messages.
  void submit(std::vector<EngineRequest> requests, std::string_view field);

 protected:
  /// How the answers are told: begin() before anything, then pieces and ends of choices, then end() or fail().
  virtual void begin() {}
  virtual void push(std::size_t /*prompt*/, const AnswerPiece&) {}
  virtual void end_choice(std::size_t /*prompt*/, const GenerateResult&) {}
  virtual void end() = 0;
  virtual void fail(const Error& error) { responder_->respond(error_response(error)); }

  const ChatModel& chat() const noexcept { return *model_->chat; }
  const CompletionHead& head() const noexcept { return head_; }
  Responder& responder() const noexcept { return *responder_; }
  /// Of each prompt, those of its choices.
  const std::vector<std::vector<GenerateResult>>& results() const noexcept { return results_; }

 private:
  void start(Engine& engine, std::vector<EngineRequest> requests);
  void take(std::size_t prompt, GenerateResult result);
  void fail_all(const Error& error);

  ServerState& state_;
  ModelLease model_;
  std::shared_ptr<RequestRecord> record_;
  std::shared_ptr<Responder> responder_;
  CompletionHead head_;
  ReceiptIssuer issuer_;
  std::vector<std::vector<GenerateResult>> results_;
  std::vector<std::uint64_t> ids_;
  std::size_t left_ = 0;  // choices that have not ended
  bool failed_ = false;
};

/// Server-sent events: "data: {...}" for each object, "data: [DONE]" when all went well, else an event with the error
/// and no [DONE].
void begin_events(Responder& responder);
void tell_events(Responder& responder, const std::vector<Json>& objects);
void end_events(Responder& responder);
void fail_events(Responder& responder, const Error& error);

/// The same with each object's "type" as the event's: how other APIs have it.
void tell_typed_events(Responder& responder, const std::vector<Json>& objects);

/// For requests that sample and name no seed.
std::uint64_t fresh_seed();
std::int64_t unix_seconds();

}  // namespace corbel
