#pragma once
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/server/deadlines.h"
#include "corbel/server/gate.h"
#include "corbel/server/http_message.h"
#include "corbel/server/model_shelf.h"
#include "corbel/server/responses.h"

namespace corbel {

/// What endpoints know.
struct ServerState {
  std::string version;
  Gate gate;
  ServerMetrics metrics;
  Deadlines deadlines;
  std::chrono::milliseconds probe_limit{5000};  // of /health/generate
  std::int64_t most_waiting = 256;              // requests that wait for a place; more are told to come back
  ModelShelf* models = nullptr;                 // outlives the server; null: before they are known
  std::atomic<bool> ready = false;              // the first model has been loaded
  std::atomic<bool> draining = false;
  const std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
};

/// Answers one request: finds its endpoint, checks state. Never throws.
void handle_request(ServerState& state, HttpRequest request, std::shared_ptr<Responder> responder);

/// A request on its way to an endpoint. May be kept as it is, but for `request`, which lives as long as the call of an
/// endpoint without a model; one with a model may be called later, when its model has been loaded.
struct EndpointCall {
  ServerState& state;
  const HttpRequest& request;
  std::shared_ptr<RequestRecord> record;  // the request's numbers; admit() before anything goes to the engine
  std::shared_ptr<Responder> responder;
  ModelLease model;                  // of endpoints that need one: as the body's "model" names it
  std::shared_ptr<const Json> body;  // of endpoints that need a model: an object
};

/// What an endpoint needs before it is called; what is missing is refused for it.
enum class RouteNeeds {
  nothing,
  ready,  // a server whose first model is loaded, and that does not drain
  model,  // the same, a body that is an object of JSON, and the model that it names
};

struct Route {
  std::string_view method;
  std::string_view path;  // "/v1/models/{model}": the last part may be anything
  RouteNeeds needs = RouteNeeds::nothing;
  void (*answer)(const EndpointCall& call) = nullptr;
  std::string_view meaning = {};  // one line, for whatever describes the API
};
std::span<const Route> server_routes();

/// The body as an object of JSON.
Result<Json> read_body(const HttpRequest& request);
/// 404, code model_not_found.
HttpResponse no_model_response(std::string_view name);

// chat_endpoint.cpp
void chat_completions_endpoint(const EndpointCall& call);
void simple_chat_endpoint(const EndpointCall& call);
// responses_endpoint.cpp
void responses_endpoint(const EndpointCall& call);
void input_tokens_endpoint(const EndpointCall& call);
// messages_endpoint.cpp
void messages_endpoint(const EndpointCall& call);
void count_tokens_endpoint(const EndpointCall& call);
// completions_endpoint.cpp
void completions_endpoint(const EndpointCall& call);
// embeddings_endpoint.cpp
void embeddings_endpoint(const EndpointCall& call);
// model_endpoints.cpp
void models_endpoint(const EndpointCall& call);
void model_endpoint(const EndpointCall& call);
void health_endpoint(const EndpointCall& call);
void generating_health_endpoint(const EndpointCall& call);
// description_endpoints.cpp
void capabilities_endpoint(const EndpointCall& call);
void openapi_endpoint(const EndpointCall& call);
// page_endpoint.cpp: /, /page/NAME
void page_endpoint(const EndpointCall& call);
// status_endpoint.cpp
void status_endpoint(const EndpointCall& call);
// replay_endpoint.cpp
void replay_endpoint(const EndpointCall& call);
// text_endpoints.cpp
void tokenize_endpoint(const EndpointCall& call);
void detokenize_endpoint(const EndpointCall& call);
void apply_template_endpoint(const EndpointCall& call);

}  // namespace corbel
