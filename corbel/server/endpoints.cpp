#include "corbel/server/endpoints.h"

#include <algorithm>
#include <array>
#include <exception>
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

void add_metric(std::string& text, std::string_view name, std::string_view type, double value) {
  text += cat("# TYPE ", name, ' ', type, '\n', name, ' ', value, '\n');
}

/// Prometheus' text format, under the names that dashboards of vLLM know.
HttpResponse metrics(const ServerState& state, const ServedModel& model) {
  const EngineFigures figures = model.engine->figures();
  std::string text;
  add_metric(text, "vllm:num_requests_running", "gauge", static_cast<double>(figures.running));
  add_metric(text, "vllm:num_requests_waiting", "gauge", static_cast<double>(figures.waiting));
  const auto used = static_cast<double>(figures.pages - figures.free_pages - figures.prefix.pages);
  add_metric(text, "vllm:kv_cache_usage_perc", "gauge", std::max(0.0, used / static_cast<double>(figures.pages)));
  add_metric(text, "vllm:num_preemptions_total", "counter", static_cast<double>(figures.preemptions));
  add_metric(text, "vllm:prompt_tokens_total", "counter", static_cast<double>(state.prompt_tokens));
  add_metric(text, "vllm:generation_tokens_total", "counter", static_cast<double>(state.generated_tokens));
  add_metric(text, "vllm:prefix_cache_queries_total", "counter", static_cast<double>(figures.prefix.asked_tokens));
  add_metric(text, "vllm:prefix_cache_hits_total", "counter", static_cast<double>(figures.prefix.hit_tokens));
  return {.body = std::move(text), .content_type = "text/plain; version=0.0.4"};
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
    {"GET", "/v1/status", Route::Needs::model, status_endpoint},
    {"GET", "/", Route::Needs::nothing, page_endpoint},
    {"GET", "/page/{name}", Route::Needs::nothing, page_endpoint},
    {"GET", "/health", Route::Needs::nothing,
     [](const EndpointCall& call) { call.responder->respond(health(call.state)); }},
    {"GET", "/version", Route::Needs::nothing,
     [](const EndpointCall& call) { call.responder->respond(json_response({{"version", call.state.version}})); }},
});

/// As long for a key that agrees up to its end as for one that does not at all.
bool same_key(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i] ^ b[i % std::max<std::size_t>(b.size(), 1)]);
  return difference == 0;
}

bool has_key(const ServerState& state, const HttpRequest& request) {
  if (state.api_keys.empty()) return true;
  std::string_view given = request.header("authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (!given.starts_with(kBearer)) return false;
  given.remove_prefix(kBearer.size());
  return !given.empty() &&
         std::ranges::any_of(state.api_keys, [&](const std::string& key) { return same_key(given, key); });
}

/// Puts the request's number into every answer's head.
class NumberedResponder final : public Responder {
 public:
  NumberedResponder(std::shared_ptr<Responder> inner, std::string id) : inner_(std::move(inner)), id_(std::move(id)) {}
  void respond(HttpResponse response) override {
    response.headers.emplace_back("x-request-id", id_);
    inner_->respond(std::move(response));
  }
  void begin(HttpResponse head) override {
    head.headers.emplace_back("x-request-id", id_);
    inner_->begin(std::move(head));
  }
  void write(std::string piece) override { inner_->write(std::move(piece)); }
  void end() override { inner_->end(); }
  void on_gone(std::function<void()> gone) override { inner_->on_gone(std::move(gone)); }

 private:
  std::shared_ptr<Responder> inner_;
  std::string id_;
};

void dispatch(ServerState& state, const HttpRequest& request, const std::string& id,
              const std::shared_ptr<Responder>& responder) {
  const auto route = std::ranges::find_if(kRoutes, [&](const Route& one) {
    const std::size_t open = one.path.find('{');
    if (open == std::string_view::npos) return one.path == request.path;
    return request.path.starts_with(one.path.substr(0, open));
  });
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
    if (!has_key(state, request))
      return responder->respond(
          error_response(401, "a valid API key is needed: the header \"Authorization: Bearer KEY\""));
    if (model == nullptr || state.draining) {
      HttpResponse response = error_response(
          503, model == nullptr ? "the model is being loaded" : "the server is shutting down", "server_error");
      response.headers.emplace_back("retry-after", "1");
      return responder->respond(std::move(response));
    }
  }
  static const ServedModel kNone;
  route->answer({state, model != nullptr ? *model : kNone, request, id, responder});
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
  const std::string id = cat("req_", ++state.requests);
  const auto numbered = std::make_shared<NumberedResponder>(std::move(responder), id);
  try {
    dispatch(state, request, id, numbered);
  } catch (const std::exception& thrown) {  // of a standard library: no memory
    numbered->respond(error_response(503, cat("out of resources: ", thrown.what()), "server_error"));
  }
}

}  // namespace corbel
