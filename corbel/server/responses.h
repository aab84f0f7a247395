#pragma once
#include <string>
#include <string_view>

#include "corbel/base/json.h"
#include "corbel/base/result.h"
#include "corbel/server/http_message.h"

/// What endpoints answer with.
namespace corbel {

/// Bytes that are no UTF-8 become U+FFFD.
std::string wire_text(const Json& json);
HttpResponse json_response(const Json& json);

/// {"error": {"message", "type", "param", "code"}}
struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;  // the field's path; empty: null
  std::string code;   // empty: null
};
HttpResponse error_response(const ApiError& error);
/// With the status that the error's kind has, and the field that its message begins with.
HttpResponse error_response(const Error& error);

}  // namespace corbel
