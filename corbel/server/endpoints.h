#pragma once
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corbel/chat/chat_model.h"
#include "corbel/server/engine_thread.h"
#include "corbel/server/gate.h"
#include "corbel/server/http_message.h"

namespace corbel {

/// A model that answers. Everything outlives the server.
struct ServedModel {
  std::string name;     // as requests name it
  std::string profile;  // numerics: the fingerprint of answers
  std::int64_t context_tokens = 0;
  std::int64_t created_unix = 0;
  const Tokenizer* tokenizer = nullptr;
  const ChatModel* chat = nullptr;
  EngineThread* engine = nullptr;
};

/// What endpoints know. The model appears when it is loaded.
struct ServerState {
  std::string version;
  Gate gate;
  ServerMetrics metrics;
  std::int64_t most_waiting = 256;  // requests that wait for a place; more are told to come back
  std::atomic<const ServedModel*> model = nullptr;
  std::atomic<bool> draining = false;
};

/// Answers one request: finds its endpoint, checks state. Never throws.
void handle_request(ServerState& state, HttpRequest request, std::shared_ptr<Responder> responder);

/// A request on its way to an endpoint. `responder` outlives the call; an endpoint may keep it.
struct EndpointCall {
  ServerState& state;
  const ServedModel& model;  // not of endpoints that need none
  const HttpRequest& request;
  std::shared_ptr<RequestRecord> record;  // the request's numbers; admit() before anything goes to the engine
  std::shared_ptr<Responder> responder;
};

/// {"error": {...}} with the status that the error's kind has.
HttpResponse error_response(const Error& error);
HttpResponse error_response(int status, std::string_view message, std::string_view type = "invalid_request_error");

// chat_endpoint.cpp
void chat_completions_endpoint(const EndpointCall& call);
void simple_chat_endpoint(const EndpointCall& call);
// text_endpoints.cpp
void tokenize_endpoint(const EndpointCall& call);
void detokenize_endpoint(const EndpointCall& call);
void apply_template_endpoint(const EndpointCall& call);

}  // namespace corbel
