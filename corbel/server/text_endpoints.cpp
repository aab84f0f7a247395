#include <nlohmann/json.hpp>

#include "corbel/chat/history_calls.h"
#include "corbel/chat/request_options.h"
#include "corbel/server/endpoints.h"
#include "corbel/server/responses.h"

namespace corbel {
namespace {

Result<HttpResponse> tokenize(const EndpointCall& call) {
  CORBEL_ASSIGN(const RequestFields fields, RequestFields::make(*call.body, Api::tokenize));
  const std::string_view name = fields.has("content") ? "content" : "prompt";
  if (!fields.has(name)) return refuse_field("prompt", "is missing; it must be a string");
  const bool special = fields.boolean("add_special_tokens", true);
  auto ids = call.model->tokenizer->encode(fields.text(name, ""), {.add_special_tokens = special});
  if (!ids) return refuse_field(name, cat("cannot be made into tokens: ", ids.error().message));
  Json json = {{"tokens", *ids}, {"count", ids->size()}, {"max_model_len", call.model->context_tokens}};
  if (fields.boolean("with_pieces", false)) {
    json["pieces"] = Json::array();
    for (const std::int32_t id : *ids) json["pieces"].push_back(std::string(call.model->tokenizer->piece(id)));
  }
  return json_response(json);
}

Result<HttpResponse> detokenize(const EndpointCall& call) {
  CORBEL_ASSIGN(const RequestFields fields, RequestFields::make(*call.body, Api::detokenize));
  const Json* const tokens = fields.find("tokens");
  if (tokens == nullptr) return refuse_field("tokens", "is missing; it must be a list of token ids");
  const std::int32_t size = call.model->tokenizer->vocab_size();
  std::vector<std::int32_t> ids;
  for (const Json& token : *tokens) {
    if (!token.is_number_integer() || token < 0 || token >= size) {
      return refuse_field(cat("tokens[", ids.size(), "]"),
                          cat("is ", found_value(token), "; it must be a token id from 0 to ", size - 1));
    }
    ids.push_back(token.get<std::int32_t>());
  }
  const std::string text = call.model->tokenizer->decode(ids, {.skip_special = false});
  return json_response({{"prompt", text}, {"content", text}});
}

Result<HttpResponse> apply_template(const EndpointCall& call) {
  CORBEL_ASSIGN(const RequestFields fields, RequestFields::make(*call.body, Api::apply_template));
  if (!fields.has("messages")) return refuse_field("messages", "is missing; it must be a list of messages");
  CORBEL_TRY(check_history_calls(*fields.find("messages")));
  CORBEL_TRY(check_continuation(fields));
  const bool continues = fields.boolean("continue_final_message", false);
  const ChatRequest request{.messages = fields.find("messages"),
                            .tools = fields.find("tools"),
                            .variables = fields.find("chat_template_kwargs"),
                            .generation_prompt = fields.boolean("add_generation_prompt", !continues),
                            .continue_final = continues};
  const auto refuse = [](const Error& error) -> Failure {
    if (!refused_field(error.message).empty()) return Failure{error};
    return refuse_field("messages", cat("cannot be made into a prompt: ", error.message));
  };
  const auto prompt = call.model->chat->format().render(request);
  if (!prompt) return refuse(prompt.error());
  const auto ids = call.model->chat->format().encode_prompt(*prompt);
  if (!ids) return refuse(ids.error());
  return json_response({{"prompt", *prompt}, {"tokens", *ids}});
}

void answer(const EndpointCall& call, Result<HttpResponse> (*endpoint)(const EndpointCall&)) {
  auto response = endpoint(call);
  call.responder->respond(response ? *std::move(response) : error_response(response.error()));
}

}  // namespace

void tokenize_endpoint(const EndpointCall& call) { answer(call, tokenize); }
void detokenize_endpoint(const EndpointCall& call) { answer(call, detokenize); }
void apply_template_endpoint(const EndpointCall& call) { answer(call, apply_template); }

}  // namespace corbel
