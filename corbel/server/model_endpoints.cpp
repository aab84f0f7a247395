#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "corbel/server/endpoints.h"

namespace corbel {
namespace {

Json model_json(const ModelShelf::Listed& listed) {
  Json json = {{"id", listed.name}, {"object", "model"}, {"created", 0}, {"owned_by", "corbel"}};
  json["aliases"] = listed.aliases;
  json["loaded"] = listed.model != nullptr;
  if (listed.model == nullptr) return json;
  const ServedModel& model = *listed.model;
  json["created"] = model.created_unix;
  json["max_model_len"] = model.context_tokens;
  json["card"] = {{"kind", model.kind},
                  {"architecture", model.info->architecture},
                  {"parameters", model.info->parameters},
                  {"layers", model.info->layers},
                  {"hidden", model.info->hidden},
                  {"vocab", model.info->vocab},
                  {"trained_context", model.info->max_positions},
                  {"profile", model.profile},
                  {"weight_bytes", model.weight_bytes},
                  {"memory_bytes", model.memory_bytes}};
  return json;
}

/// "%2F" and its like.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::uint8_t byte = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      decoded += static_cast<char>(byte);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

/// One token through an engine. Whoever comes first answers: the engine or the clock.
struct Probe {
  explicit Probe(std::shared_ptr<Responder> to) : responder(std::move(to)) {}
  void answer(int status, Json json) {
    if (answered.exchange(true)) return;
    HttpResponse response = json_response(json);
    response.status = status;
    responder->respond(std::move(response));
  }
  std::shared_ptr<Responder> responder;
  std::atomic<bool> answered = false;
  Deadlines::Clock::time_point begin = Deadlines::Clock::now();

  double seconds() const { return std::chrono::duration<double>(Deadlines::Clock::now() - begin).count(); }
};

EngineRequest probe_request(const std::shared_ptr<Probe>& probe) {
  constexpr std::int32_t kFirst = 1000;  // before all who wait
  EngineRequest request;
  request.prompt = {0};
  request.limits.max_tokens = 1;
  request.priority = kFirst;
  request.shares_prefix = false;
  request.on_end = [probe](const GenerateResult& result) {
    probe->answer(result.ids.empty() ? 503 : 200,
                  {{"status", result.ids.empty() ? "failed" : "ok"}, {"seconds", probe->seconds()}});
  };
  request.on_error = [probe](const Error& error) {
    probe->answer(503, {{"status", "failed"}, {"reason", error.message}, {"seconds", probe->seconds()}});
  };
  return request;
}

}  // namespace

void models_endpoint(const EndpointCall& call) {
  Json data = Json::array();
  for (const ModelShelf::Listed& listed : call.state.models->list()) data.push_back(model_json(listed));
  call.responder->respond(json_response({{"object", "list"}, {"data", std::move(data)}}));
}

void model_endpoint(const EndpointCall& call) {
  const std::string name = percent_decoded(call.request.path.substr(std::string_view("/v1/models/").size()));
  for (const ModelShelf::Listed& listed : call.state.models->list()) {
    if (listed.name == name || std::ranges::find(listed.aliases, name) != listed.aliases.end())
      return call.responder->respond(json_response(model_json(listed)));
  }
  call.responder->respond(no_model_response(name));
}

/// 503 while it loads and while it drains: load balancers then send requests elsewhere.
void health_endpoint(const EndpointCall& call) {
  const bool loading = !call.state.ready;
  HttpResponse response = json_response({{"status", call.state.draining ? "draining" : loading ? "loading" : "ok"}});
  response.status = loading || call.state.draining ? 503 : 200;
  call.responder->respond(std::move(response));
}

/// An engine whose places are all taken does not answer in time, but it moves: that is healthy, too.
void generating_health_endpoint(const EndpointCall& call) {
  ModelLease model;
  for (const ModelShelf::Listed& listed : call.state.models->list()) {
    if (model == nullptr) model = listed.model;
  }
  const auto probe = std::make_shared<Probe>(call.responder);
  if (model == nullptr) return probe->answer(503, {{"status", "failed"}, {"reason", "no model is loaded"}});
  const std::int64_t steps = model->engine->figures().steps;
  model->engine->post([probe, model](Engine& engine) {
    const auto id = engine.submit(probe_request(probe));
    if (!id) return probe->answer(503, {{"status", "failed"}, {"reason", id.error().message}});
    probe->responder->on_gone([model, id = *id] { model->engine->post([id](Engine& late) { late.cancel(id); }); });
  });
  const std::weak_ptr<const ServedModel> later = model;  // a probe that was answered keeps no model open
  call.state.deadlines.at(probe->begin + call.state.probe_limit, [probe, later, steps] {
    const ModelLease still = later.lock();
    const std::int64_t more = still == nullptr ? 0 : still->engine->figures().steps - steps;
    if (more > 0) return probe->answer(200, {{"status", "busy"}, {"steps", more}, {"seconds", probe->seconds()}});
    probe->answer(503, {{"status", "stuck"}, {"seconds", probe->seconds()}});
  });
}

}  // namespace corbel
