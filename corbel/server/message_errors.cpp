#include "corbel/server/message_errors.h"

#include <nlohmann/json.hpp>

#include "corbel/base/json.h"

namespace corbel {
namespace {

std::string_view message_error_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503: return "overloaded_error";
    default: return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

bool tells_message_errors(std::string_view path) { return path == "/v1/messages" || path.starts_with("/v1/messages/"); }

void to_message_error(HttpResponse& response, const std::string& request_id) {
  if (response.status < 400) return;
  auto body = parse_json(response.body, "body");
  if (!body || !body->is_object() || !body->contains("error")) return;
  Json json = {{"type", "error"}};
  json.update(*body);
  json["error"]["type"] = message_error_type(response.status);
  json["request_id"] = request_id;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace corbel
