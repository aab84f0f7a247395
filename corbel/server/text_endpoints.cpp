#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"
#include "corbel/server/endpoints.h"

namespace corbel {
namespace {

HttpResponse json_response(const Json& json) {
  return {.body = json.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

/// The body as an object with no other fields than `known`.
Result<Json> read_body(const EndpointCall& call, std::initializer_list<std::string_view> known) {
  CORBEL_ASSIGN(Json body, parse_json(call.request.body, "the body"));
  if (!body.is_object()) return fail(Code::bad_request, "the body is no JSON object");
  for (const auto& [key, value] : body.items()) {
    if (std::ranges::find(known, std::string_view(key)) == known.end())
      return fail(Code::bad_request, cat("\"", key, "\" is not a field that is known here"));
  }
  return body;
}

Result<HttpResponse> tokenize(const EndpointCall& call) {
  CORBEL_ASSIGN(const Json body, read_body(call, {"model", "prompt", "content", "add_special_tokens", "with_pieces"}));
  const JsonFields fields(body, "body");
  CORBEL_ASSIGN(const std::string text, fields.require_string(fields.has("prompt") ? "prompt" : "content"));
  CORBEL_ASSIGN(const bool special, fields.get_bool("add_special_tokens", true));
  CORBEL_ASSIGN(const bool pieces, fields.get_bool("with_pieces", false));
  CORBEL_ASSIGN(const std::vector<std::int32_t> ids,
                call.model.tokenizer->encode(text, {.add_special_tokens = special}));
  Json json = {{"tokens", ids}, {"count", ids.size()}, {"max_model_len", call.model.context_tokens}};
  if (pieces) {
    json["pieces"] = Json::array();
    for (const std::int32_t id : ids) json["pieces"].push_back(std::string(call.model.tokenizer->piece(id)));
  }
  return json_response(json);
}

Result<HttpResponse> detokenize(const EndpointCall& call) {
  CORBEL_ASSIGN(const Json body, read_body(call, {"model", "tokens"}));
  CORBEL_ASSIGN(const std::vector<std::int64_t> tokens, JsonFields(body, "body").get_ints("tokens"));
  std::vector<std::int32_t> ids;
  for (const std::int64_t token : tokens) {
    if (token < 0 || token >= call.model.tokenizer->vocab_size())
      return fail(Code::bad_request, cat("\"tokens\" has ", token, "; the vocabulary has the ids 0 to ",
                                         call.model.tokenizer->vocab_size() - 1));
    ids.push_back(static_cast<std::int32_t>(token));
  }
  const std::string text = call.model.tokenizer->decode(ids, {.skip_special = false});
  return json_response({{"prompt", text}, {"content", text}});
}

Result<HttpResponse> apply_template(const EndpointCall& call) {
  CORBEL_ASSIGN(const Json body,
                read_body(call, {"model", "messages", "tools", "chat_template_kwargs", "add_generation_prompt"}));
  const JsonFields fields(body, "body");
  if (!fields.has("messages")) return fail(Code::bad_request, "\"messages\" is missing; it must be an array");
  ChatRequest request{.messages = &body["messages"]};
  if (fields.has("tools")) request.tools = &body["tools"];
  if (fields.has("chat_template_kwargs")) request.variables = &body["chat_template_kwargs"];
  CORBEL_ASSIGN(request.generation_prompt, fields.get_bool("add_generation_prompt", true));
  CORBEL_ASSIGN(const std::vector<std::int32_t> ids, call.model.chat->format().encode(request));
  return json_response({{"prompt", call.model.tokenizer->decode(ids, {.skip_special = false})}, {"tokens", ids}});
}

void answer(const EndpointCall& call, Result<HttpResponse> (*endpoint)(const EndpointCall&)) {
  auto response = endpoint(call);
  // What these endpoints refuse is what was asked.
  call.responder->respond(response ? *std::move(response) : error_response(400, response.error().message));
}

}  // namespace

void tokenize_endpoint(const EndpointCall& call) { answer(call, tokenize); }
void detokenize_endpoint(const EndpointCall& call) { answer(call, detokenize); }
void apply_template_endpoint(const EndpointCall& call) { answer(call, apply_template); }

}  // namespace corbel
