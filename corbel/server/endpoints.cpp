#include "corbel/server/endpoints.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"
#include "corbel/base/quote.h"
#include "corbel/chat/chat_completion.h"

namespace corbel {
namespace {

HttpResponse json_response(const Json& json) {
  return {.body = json.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

/// 503 while it loads and while it drains: load balancers then send requests elsewhere.
HttpResponse health(const ServerState& state) {
  const bool loading = state.model == nullptr;
  const bool well = !loading && !state.draining;
  HttpResponse response = json_response({{"status", state.draining ? "draining" : loading ? "loading" : "ok"}});
  response.status = well ? 200 : 503;
  return response;
}

HttpResponse models(const ServedModel& model) {
  return json_response({{"object", "list"},
                        {"data", Json::array({{{"id", model.name},
                                               {"object", "model"},
                                               {"created", model.created_unix},
                                               {"owned_by", "corbel"},
                                               {"max_model_len", model.context_tokens}}})}});
}

HttpResponse metrics(ServerState& state, const ServedModel& model) {
  const EngineSample sample{.model = model.name, .figures = model.engine->figures()};
  return {.body = metrics_page(state.metrics, {&sample, 1}), .content_type = "text/plain; version=0.0.4"};
}

struct Route {
  std::string_view method;
  std::string_view path;
  enum class Needs { nothing, model } needs;
  void (*answer)(const EndpointCall& call);
};

constexpr auto kRoutes = std::to_array<Route>({
    {"POST", "/v1/chat/completions", Route::Needs::model, chat_completions_endpoint},
    {"POST", "/chat", Route::Needs::model, simple_chat_endpoint},
    {"POST", "/tokenize", Route::Needs::model, tokenize_endpoint},
    {"POST", "/detokenize", Route::Needs::model, detokenize_endpoint},
    {"POST", "/apply-template", Route::Needs::model, apply_template_endpoint},
    {"GET", "/v1/models", Route::Needs::model,
     [](const EndpointCall& call) { call.responder->respond(models(call.model)); }},
    {"GET", "/metrics", Route::Needs::model,
     [](const EndpointCall& call) { call.responder->respond(metrics(call.state, call.model)); }},
    {"GET", "/health", Route::Needs::nothing,
     [](const EndpointCall& call) { call.responder->respond(health(call.state)); }},
    {"GET", "/version", Route::Needs::nothing,
     [](const EndpointCall& call) { call.responder->respond(json_response({{"version", call.state.version}})); }},
});

void dispatch(ServerState& state, const HttpRequest& request, const std::shared_ptr<RequestRecord>& record,
              const std::shared_ptr<Responder>& responder) {
  const auto route = std::ranges::find_if(kRoutes, [&](const Route& one) { return one.path == request.path; });
  if (route == kRoutes.end())
    return responder->respond(error_response(404, cat("there is no ", clip(request.path), " here")));
  if (route->method != request.method) {
    HttpResponse response =
        error_response(405, cat(clip(request.path), " takes ", route->method, ", not ", clip(request.method)));
    response.headers.emplace_back("allow", std::string(route->method));
    return responder->respond(std::move(response));
  }
  const ServedModel* const model = state.model;
  if (route->needs == Route::Needs::model) {
    if (model == nullptr || state.draining) {
      HttpResponse response = error_response(
          503, model == nullptr ? "the model is being loaded" : "the server is shutting down", "server_error");
      response.headers.emplace_back("retry-after", "1");
      return responder->respond(std::move(response));
    }
  }
  static const ServedModel kNone;
  route->answer({state, model != nullptr ? *model : kNone, request, record, responder});
}

int status_of(Code code) {
  switch (code) {
    case Code::bad_request:
    case Code::unsupported: return 400;
    case Code::no_memory: return 503;
    case Code::cancelled: return 499;
    case Code::bad_file:
    case Code::device_failed: return 500;
  }
  return 500;
}

}  // namespace

HttpResponse error_response(const Error& error) {
  HttpResponse response = json_response(chat_error_json(error));
  response.status = status_of(error.code);
  return response;
}

HttpResponse error_response(int status, std::string_view message, std::string_view type) {
  HttpResponse response =
      json_response({{"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", nullptr}}}});
  response.status = status;
  return response;
}

void handle_request(ServerState& state, HttpRequest request, std::shared_ptr<Responder> responder) {
  state.gate.pass(std::move(request), std::move(responder),
                  [&state](const HttpRequest& passed, const std::shared_ptr<RequestRecord>& record,
                           const std::shared_ptr<Responder>& back) { dispatch(state, passed, record, back); });
}

}  // namespace corbel
