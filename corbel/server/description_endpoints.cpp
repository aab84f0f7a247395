#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/chat/request_fields.h"
#include "corbel/server/endpoints.h"
#include "corbel/server/openapi.h"

namespace corbel {
namespace {

/// The names of a syntax that tool_call_syntaxes() has; of another the shape of its markers.
std::string call_syntax_name(const ToolCallSyntax& syntax) {
  for (const NamedToolCallSyntaxes& named : tool_call_syntaxes()) {
    if (std::ranges::find(named.syntaxes, syntax) != named.syntaxes.end()) return std::string(named.name);
  }
  return syntax.open.empty() ? "bare" : syntax.open;
}

Json chat_json(const ChatModel& chat) {
  const AnswerFormat::Parts& parts = chat.answers().parts();
  Json calls = Json::array();
  for (const ToolCallSyntax& syntax : parts.calls) {
    const Json name = call_syntax_name(syntax);
    if (std::ranges::find(calls, name) == calls.end()) calls.push_back(name);
  }
  if (parts.channels) calls.push_back("channel_markers");
  Json reasoning = Json::array();
  for (const ReasoningMarkers& markers : parts.reasoning)
    reasoning.push_back(Json::array({markers.open, markers.close}));
  return {{"template", chat.format().has_template()},
          {"thinks", chat.thinks()},
          {"tool_calls", std::move(calls)},
          {"reasoning_markers", std::move(reasoning)}};
}

Json model_json(const ModelShelf::Listed& listed) {
  Json json = {{"id", listed.name}, {"aliases", listed.aliases}, {"loaded", listed.model != nullptr}};
  if (listed.model == nullptr) return json;
  const ServedModel& model = *listed.model;
  json["max_model_len"] = model.context_tokens;
  json["profile"] = model.profile;
  json["chat"] = chat_json(*model.chat);
  json["embeddings"] = {{"dimensions", model.info->hidden}};
  return json;
}

Json fields_json(Api api) {
  using Use = RequestField::Use;
  Json json = {{"honoured", Json::array()},
               {"about_caller", Json::array()},
               {"warned", Json::array()},
               {"only_one_value", Json::array()}};
  for (const RequestField& field : request_fields(api)) {
    const char* const use = field.use == Use::honoured       ? "honoured"
                            : field.use == Use::about_caller ? "about_caller"
                            : field.use == Use::warned       ? "warned"
                                                             : "only_one_value";
    json[use].push_back(field.name);
  }
  return json;
}

}  // namespace

void capabilities_endpoint(const EndpointCall& call) {
  Json models = Json::array();
  for (const ModelShelf::Listed& listed : call.state.models->list()) models.push_back(model_json(listed));
  Json endpoints = Json::array();
  for (const Route& route : server_routes()) endpoints.push_back(cat(route.method, ' ', route.path));
  Json fields = Json::object();
  for (const ApiEntry& entry : all_apis()) fields[std::string(entry.path)] = fields_json(entry.api);
  call.responder->respond(json_response(
      {{"object", "capabilities"},
       {"corbel", call.state.version},
       {"models", std::move(models)},
       {"endpoints", std::move(endpoints)},
       {"fields", std::move(fields)},
       {"formats",
        {{"response_format", Json::array({"text", "json_object", "json_schema"})},
         {"structured_outputs", Json::array({"json", "regex", "choice", "json_object"})},
         {"embeddings", Json::array({"float", "base64"})}}},
       {"limits",
        {{"waiting_requests", call.state.most_waiting},
         {"models_memory_bytes", call.state.models->budget_bytes()},
         {"top_logprobs", kMostTopLogprobs}}},
       {"promises", {{"same_bytes_in_any_company", true}, {"receipts", true}, {"cuts_prompts", false}}}}));
}

void openapi_endpoint(const EndpointCall& call) {
  call.responder->respond(json_response(openapi_json(server_routes(), call.state.version)));
}

}  // namespace corbel
