#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corbel/chat/chat_model.h"
#include "corbel/server/engine_thread.h"
#include "corbel/server/http_message.h"

namespace corbel {

/// A model that answers. Everything outlives the server.
struct ServedModel {
  std::string name;     // as requests name it
  std::string profile;  // numerics: the fingerprint of answers
  std::int64_t context_tokens = 0;
  std::int64_t created_unix = 0;
  std::string kind;                  // "artifact", ...: of its package
  std::vector<std::string> formats;  // of its weights, the largest part first
  const TextModelInfo* info = nullptr;
  const Tokenizer* tokenizer = nullptr;
  const ChatModel* chat = nullptr;
  EngineThread* engine = nullptr;
};

/// What endpoints know. The model appears when it is loaded.
struct ServerState {
  std::string version;
  std::vector<std::string> api_keys;  // one of them must come with a request; empty: none is needed
  std::int64_t most_waiting = 256;    // requests that wait for a place; more are told to come back
  std::atomic<const ServedModel*> model = nullptr;
  std::atomic<bool> draining = false;
  const std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::int64_t> prompt_tokens = 0;
  std::atomic<std::int64_t> generated_tokens = 0;
};

/// Answers one request: finds its endpoint, checks key and state. Never throws.
void handle_request(ServerState& state, HttpRequest request, std::shared_ptr<Responder> responder);

/// A request on its way to an endpoint. `responder` outlives the call; an endpoint may keep it.
struct EndpointCall {
  ServerState& state;
  const ServedModel& model;  // not of endpoints that need none
  const HttpRequest& request;
  std::string id;  // of the request, also in the header x-request-id
  std::shared_ptr<Responder> responder;
};

/// {"error": {...}} with the status that the error's kind has.
HttpResponse error_response(const Error& error);
HttpResponse error_response(int status, std::string_view message, std::string_view type = "invalid_request_error");

// chat_endpoint.cpp
void chat_completions_endpoint(const EndpointCall& call);
void simple_chat_endpoint(const EndpointCall& call);
// page_endpoint.cpp: /, /page/NAME
void page_endpoint(const EndpointCall& call);
// status_endpoint.cpp
void status_endpoint(const EndpointCall& call);
// text_endpoints.cpp
void tokenize_endpoint(const EndpointCall& call);
void detokenize_endpoint(const EndpointCall& call);
void apply_template_endpoint(const EndpointCall& call);

}  // namespace corbel
