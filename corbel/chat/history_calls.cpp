#include "corbel/chat/history_calls.h"

#include <nlohmann/json.hpp>

#include "corbel/chat/request_reader.h"

namespace corbel {
namespace {

Result<void> check_arguments(const RequestReader& function) {
  const Json* const arguments = function.find("arguments");
  if (arguments == nullptr || arguments->is_object()) return {};
  if (!arguments->is_string())
    return function.refuse("arguments", cat("must be the text of an object, found ", found_value(*arguments)));
  const std::string& text = arguments->get_ref<const std::string&>();
  if (text.empty()) return {};
  const auto parsed = parse_json(text, "it");
  if (!parsed) return function.refuse("arguments", cat("must be the text of an object: ", parsed.error().message));
  if (!parsed->is_object())
    return function.refuse("arguments", cat("must be the text of an object, found ", found_value(*parsed)));
  return {};
}

Result<void> check_call(const Json& call, const std::string& path) {
  const RequestReader reader(call, path);
  CORBEL_TRY(reader.check_object());
  CORBEL_ASSIGN(const std::string type, reader.text("type", "function"));
  if (type != "function") return reader.refuse("type", cat("is \"", type, "\"; only functions can be called"));
  CORBEL_TRY(reader.text("id", ""));
  CORBEL_ASSIGN(const RequestReader function, reader.object("function"));
  CORBEL_ASSIGN(const std::string name, function.require_text("name"));
  if (name.empty()) return function.refuse("name", "is empty");
  return check_arguments(function);
}

}  // namespace

Result<void> check_history_calls(const Json& messages) {
  if (!messages.is_array()) return {};
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const RequestReader message(messages[i], cat("messages[", i, "]"));
    const Json* const calls = message.find("tool_calls");
    if (calls == nullptr) continue;
    if (!calls->is_array()) return message.refuse("tool_calls", cat("must be a list, found ", found_value(*calls)));
    for (std::size_t k = 0; k < calls->size(); ++k)
      CORBEL_TRY(check_call((*calls)[k], cat(message.path_of("tool_calls"), '[', k, ']')));
  }
  return {};
}

}  // namespace corbel
