#include "corbel/server/responses.h"

#include <nlohmann/json.hpp>

#include "corbel/chat/chat_completion.h"

namespace corbel {
namespace {

int status_of(Code code) {
  switch (code) {
    case Code::bad_request:
    case Code::unsupported: return 400;
    case Code::no_memory: return 503;
    case Code::cancelled: return 503;  // by the server's end: who went away gets no answer
    case Code::bad_file:
    case Code::device_failed: return 500;
  }
  return 500;
}

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

}  // namespace

std::string wire_text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

HttpResponse json_response(const Json& json) { return {.body = wire_text(json)}; }

HttpResponse error_response(const ApiError& error) {
  HttpResponse response = json_response({{"error",
                                          {{"message", error.message},
                                           {"type", error.type},
                                           {"param", text_or_null(error.param)},
                                           {"code", text_or_null(error.code)}}}});
  response.status = error.status;
  return response;
}

HttpResponse error_response(const Error& error) {
  HttpResponse response = json_response(chat_error_json(error));
  response.status = status_of(error.code);
  return response;
}

}  // namespace corbel
