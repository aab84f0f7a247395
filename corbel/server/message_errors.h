#pragma once
#include <string>
#include <string_view>

#include "corbel/server/http_message.h"

namespace corbel {

/// Paths of Anthropic's API, whose clients look for errors of another shape.
bool tells_message_errors(std::string_view path);

/// {"error": {...}} becomes {"type": "error", "error": {...}, "request_id"}, with the type that Anthropic's API has for
/// the status. Other answers stay as they are.
void to_message_error(HttpResponse& response, const std::string& request_id);

}  // namespace corbel
