#include "corbel/server/http_message.h"

#include <nlohmann/json.hpp>

#include "corbel/base/json.h"

namespace corbel {
namespace {

std::string_view error_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
  }
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

HttpResponse http_error(int status, std::string_view message, std::string_view code) {
  Json error = {{"message", message}, {"type", error_type(status)}, {"param", nullptr}, {"code", nullptr}};
  if (!code.empty()) error["code"] = code;
  return {.status = status, .body = Json{{"error", error}}.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

}  // namespace corbel
