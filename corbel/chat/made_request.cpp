#include "corbel/chat/made_request.h"

#include <nlohmann/json.hpp>

namespace corbel {

Json& MadeRequest::add_message(std::string_view role, Json content, std::string given) {
  names.add(cat("messages[", messages(), ']'), std::move(given));
  body["messages"].push_back({{"role", role}, {"content", std::move(content)}});
  return body["messages"].back();
}

void MadeRequest::pass_on(const RequestFields& fields) {
  for (const std::string_view name : passed_on_fields()) {
    if (const Json* const value = fields.find(name); value != nullptr) body[std::string(name)] = *value;
  }
}

void MadeRequest::set_variable(std::string_view name, Json value) {
  Json& variables = body["chat_template_kwargs"];
  if (!variables.is_object()) variables = Json::object();
  const std::string key(name);
  if (!variables.contains(key)) variables[key] = std::move(value);
}

Result<ChatCompletion> read_made(const MadeRequest& made, const ChatModel& model, std::uint64_t seed) {
  auto completion = read_chat_completion(made.body, model, seed);
  if (!completion) return fail(completion.error().code, made.names.rename(completion.error().message));
  std::vector<std::string> warnings = made.warnings;
  for (const std::string& warning : completion->warnings) warnings.push_back(made.names.rename(warning));
  completion->warnings = std::move(warnings);
  return completion;
}

Json text_content(std::vector<std::string> parts) {
  if (parts.empty()) return "";
  if (parts.size() == 1) return std::move(parts.front());
  Json list = Json::array();
  for (std::string& part : parts) list.push_back({{"type", "text"}, {"text", std::move(part)}});
  return list;
}

}  // namespace corbel
