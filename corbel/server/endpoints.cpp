#include "corbel/server/endpoints.h"

#include <algorithm>
#include <array>
#include <exception>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

void metrics_endpoint(const EndpointCall& call) {
  std::vector<EngineSample> samples;
  for (const ModelShelf::Listed& listed : call.state.models->list()) {
    if (const ModelLease& model = listed.model; model != nullptr)
      samples.push_back({model->name, model->engine->figures(), model->context_tokens, model->engine->step_tokens()});
  }
  call.responder->respond(
      {.body = call.state.metrics.page(samples), .content_type = "text/plain; version=0.0.4; charset=utf-8"});
}

void version_endpoint(const EndpointCall& call) {
  call.responder->respond(json_response({{"version", call.state.version}}));
}

using Needs = RouteNeeds;

constexpr auto kRoutes = std::to_array<Route>({
    {"POST", "/v1/chat/completions", Needs::model, chat_completions_endpoint, "an answer to a conversation"},
    {"POST", "/v1/responses", Needs::model, responses_endpoint, "an answer to a list of items"},
    {"POST", "/v1/responses/input_tokens", Needs::model, input_tokens_endpoint, "the tokens of such a request"},
    {"POST", "/v1/messages", Needs::model, messages_endpoint, "an answer to a conversation, as Anthropic's API has it"},
    {"POST", "/v1/messages/count_tokens", Needs::model, count_tokens_endpoint, "the tokens of such a request"},
    {"POST", "/v1/completions", Needs::model, completions_endpoint, "a text that goes on from another"},
    {"POST", "/v1/embeddings", Needs::model, embeddings_endpoint, "texts as vectors"},
    {"POST", "/chat", Needs::model, simple_chat_endpoint, "an answer to one prompt"},
    {"POST", "/tokenize", Needs::model, tokenize_endpoint, "a text as token ids"},
    {"POST", "/detokenize", Needs::model, detokenize_endpoint, "token ids as a text"},
    {"POST", "/apply-template", Needs::model, apply_template_endpoint, "the prompt that messages become"},
    {"POST", "/replay", Needs::ready, replay_endpoint, "makes an answer again from its receipt, and compares"},
    {"GET", "/v1/models", Needs::ready, models_endpoint, "the models that requests may name"},
    {"GET", "/v1/models/{model}", Needs::ready, model_endpoint, "one of them"},
    {"GET", "/v1/capabilities", Needs::ready, capabilities_endpoint, "what this server honours"},
    {"GET", "/openapi.json", Needs::nothing, openapi_endpoint, "this API as an OpenAPI document"},
    {"GET", "/metrics", Needs::ready, metrics_endpoint, "figures in Prometheus' text format"},
    {"GET", "/v1/status", Needs::ready, status_endpoint, "what runs now: batch, queue, cache, memory, models"},
    {"GET", "/", Needs::nothing, page_endpoint, "the page"},
    {"GET", "/page/{name}", Needs::nothing, page_endpoint, "a file of the page"},
    {"GET", "/health", Needs::nothing, health_endpoint, "200 ok; 503 loading or draining"},
    {"GET", "/health/generate", Needs::ready, generating_health_endpoint, "200 when the engine makes a token in time"},
    {"GET", "/version", Needs::nothing, version_endpoint, "the server's version"},
});

bool matches(const Route& route, std::string_view path) {
  const std::size_t open = route.path.find('{');
  if (open == std::string_view::npos) return route.path == path;
  return path.size() > open && path.starts_with(route.path.substr(0, open));
}

HttpResponse not_now(const ServerState& state) {
  HttpResponse response = http_error(503, state.draining ? "the server is shutting down" : "the model is being loaded");
  response.headers.emplace_back("retry-after", "1");
  return response;
}

/// Reads the body, finds the model that it names, and calls the endpoint: at once, or when the model has been loaded.
void call_with_model(const Route& route, const EndpointCall& call) {
  auto body = read_body(call.request);
  if (!body) return call.responder->respond(error_response(body.error()));
  const auto named = body->find("model");
  const std::string name = named != body->end() && named->is_string() ? named->get<std::string>() : "";
  if (!call.state.models->has(name)) return call.responder->respond(no_model_response(name));
  static const HttpRequest kRead;
  const EndpointCall later{call.state,     kRead,   call.record,
                           call.responder, nullptr, std::make_shared<const Json>(*std::move(body))};
  call.state.models->take(name, [later, &route](Result<ModelLease> model) {
    if (!model) return later.responder->respond(error_response(model.error()));
    EndpointCall ready = later;
    ready.model = *std::move(model);
    try {
      route.answer(ready);
    } catch (const std::exception& thrown) {  // of a standard library: no memory
      ready.responder->respond(http_error(503, cat("out of resources: ", thrown.what())));
    }
  });
}

void dispatch(ServerState& state, const HttpRequest& request, const std::shared_ptr<RequestRecord>& record,
              const std::shared_ptr<Responder>& responder) {
  const auto named = [&](const Route& one) { return matches(one, request.path); };
  const auto route = std::ranges::find_if(kRoutes, named);
  if (route == kRoutes.end())
    return responder->respond(http_error(404, cat("there is no ", clip(request.path), " here")));
  if (request.method == "OPTIONS") {
    const std::string_view also = route->method == "GET" ? ", HEAD, OPTIONS" : ", OPTIONS";
    return responder->respond({.status = 204, .content_type = {}, .headers = {{"allow", cat(route->method, also)}}});
  }
  if (route->method != request.method) {
    HttpResponse response =
        http_error(405, cat(clip(request.path), " takes ", route->method, ", not ", clip(request.method)));
    response.headers.emplace_back("allow", std::string(route->method));
    return responder->respond(std::move(response));
  }
  if (route->needs != Needs::nothing && (!state.ready || state.draining)) return responder->respond(not_now(state));
  const EndpointCall call{state, request, record, responder, nullptr, nullptr};
  if (route->needs == Needs::model) return call_with_model(*route, call);
  route->answer(call);
}

}  // namespace

Result<Json> read_body(const HttpRequest& request) {
  auto body = parse_json(request.body, "the body");
  if (!body) return fail(Code::bad_request, body.error().message);
  if (!body->is_object()) return fail(Code::bad_request, "the body is no JSON object");
  return body;
}

HttpResponse no_model_response(std::string_view name) {
  return error_response({.status = 404,
                         .message = cat("there is no model ", quote(name), " here; GET /v1/models lists them"),
                         .type = "not_found_error",
                         .param = "model",
                         .code = "model_not_found"});
}

std::span<const Route> server_routes() { return kRoutes; }

void handle_request(ServerState& state, HttpRequest request, std::shared_ptr<Responder> responder) {
  state.gate.pass(std::move(request), std::move(responder),
                  [&state](const HttpRequest& passed, const std::shared_ptr<RequestRecord>& record,
                           const std::shared_ptr<Responder>& back) { dispatch(state, passed, record, back); });
}

}  // namespace corbel
