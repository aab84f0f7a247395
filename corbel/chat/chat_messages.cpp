#include "corbel/chat/chat_messages.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

/// All calls of all messages, each with its function's arguments.
template <typename Visit>
void for_each_arguments(Json& messages, Visit&& visit) {
  for (Json& message : messages) {
    const auto calls = message.find("tool_calls");
    if (calls == message.end() || !calls->is_array()) continue;
    for (Json& call : *calls) {
      Json* function = call.is_object() && call.contains("function") ? &call["function"] : &call;
      if (function->is_object() && function->contains("arguments")) visit((*function)["arguments"]);
    }
  }
}

bool is_text_part(const Json& part) {
  return part.is_object() && part.contains("text") && part["text"].is_string() &&
         (!part.contains("type") || part["type"] == "text");
}

/// Calls of tools that a client tells of, as OpenAI's API has them: a template that met something else would fail with
/// words that name no field, or pass it on as something it is not.
Result<void> check_call(const Json& call, const std::string& path) {
  const auto refuse = [&](std::string_view field, std::string_view why) {
    return fail(Code::bad_request, cat('"', path, field, "\" ", why));
  };
  if (!call.is_object()) return refuse("", cat("must be an object, found ", call.type_name()));
  const auto type = call.find("type");
  if (type != call.end() && !type->is_null() && *type != "function") return refuse(".type", "must be \"function\"");
  const auto found = call.find("function");
  const Json& function = found == call.end() ? call : *found;
  const std::string_view inner = found == call.end() ? "" : ".function";
  if (!function.is_object()) return refuse(".function", cat("must be an object, found ", function.type_name()));
  const auto name = function.find("name");
  if (name == function.end() || !name->is_string()) return refuse(cat(inner, ".name"), "must be a string");
  const auto arguments = function.find("arguments");
  if (arguments == function.end() || arguments->is_null() || arguments->is_object()) return {};
  if (!arguments->is_string())
    return refuse(cat(inner, ".arguments"), cat("must be JSON as a string, found ", arguments->type_name()));
  const std::string& text = arguments->get_ref<const std::string&>();
  if (text.empty()) return {};  // of a function without any
  const auto parsed = parse_json(text, "it");
  if (!parsed) return refuse(cat(inner, ".arguments"), cat("is no JSON: ", parsed.error().message));
  if (!parsed->is_object()) return refuse(cat(inner, ".arguments"), "must be a JSON object as a string");
  return {};
}

Result<void> check_calls(const Json& message, std::size_t index) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || calls->is_null()) return {};
  const std::string path = cat("messages[", index, "].tool_calls");
  if (!calls->is_array())
    return fail(Code::bad_request, cat('"', path, "\" must be an array, found ", calls->type_name()));
  for (std::size_t i = 0; i < calls->size(); ++i) CORBEL_TRY(check_call((*calls)[i], cat(path, '[', i, ']')));
  return {};
}

}  // namespace

Result<void> check_messages(const Json& messages) {
  if (!messages.is_array() || messages.empty()) {
    return fail(Code::bad_request, "\"messages\" must be an array of at least one message");
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      return fail(Code::bad_request, cat("\"messages[", i, "]\" must be an object with a \"role\""));
    }
    CORBEL_TRY(check_calls(message, i));
    const auto content = message.find("content");
    if (content == message.end() || content->is_null() || content->is_string()) continue;
    if (!content->is_array()) {
      return fail(Code::bad_request, cat("\"messages[", i, "].content\" must be a string or an array of parts, found ",
                                         content->type_name()));
    }
    for (std::size_t k = 0; k < content->size(); ++k) {
      const Json& part = (*content)[k];
      if (part.is_object() && part.contains("type") && part["type"].is_string()) continue;
      return fail(Code::bad_request, cat("\"messages[", i, "].content[", k, "]\" must be an object with a \"type\""));
    }
  }
  return {};
}

Result<void> check_message_fields(const Json& messages) {
  constexpr auto kRoles =
      std::to_array<std::string_view>({"developer", "system", "user", "assistant", "tool", "function"});
  if (!messages.is_array()) return {};  // check_messages says so
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) continue;
    const auto& role = message["role"].get_ref<const std::string&>();
    if (std::ranges::find(kRoles, role) == kRoles.end()) {
      return fail(Code::bad_request, cat("\"messages[", i, "].role\" is ", quote(role),
                                         "; known: developer, system, user, assistant, tool, function"));
    }
    const auto content = message.find("content");
    if (role != "assistant" && (content == message.end() || content->is_null())) {
      return fail(Code::bad_request,
                  cat("\"messages[", i, "].content\" is missing; it must be a string or an array of parts"));
    }
    const auto call = message.find("tool_call_id");
    if (role == "tool" && (call == message.end() || !call->is_string())) {
      return fail(
          Code::bad_request,
          cat("\"messages[", i, "].tool_call_id\" is missing; it must be the id of the call that this answers"));
    }
  }
  return {};
}

bool null_to_text(Json& messages) {
  bool any = false;
  for (Json& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_null()) continue;
    *content = "";
    any = true;
  }
  return any;
}

void spread_reasoning(Json& messages) {
  for (Json& message : messages) {
    for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
      const auto found = message.find(name);
      if (found == message.end() || found->is_null()) continue;
      Json reasoning = *found;  // a copy: what is added may move what was found
      if (!message.contains("thinking")) message["thinking"] = reasoning;
      message["reasoning_content"] = std::move(reasoning);
      break;
    }
  }
}

void arguments_to_objects(Json& messages) {
  for_each_arguments(messages, [](Json& arguments) {
    if (!arguments.is_string()) return;
    auto parsed = parse_json(arguments.get_ref<const std::string&>(), "arguments");
    if (parsed && parsed->is_object()) arguments = *std::move(parsed);
  });
}

bool arguments_to_text(Json& messages) {
  bool any = false;
  for_each_arguments(messages, [&any](Json& arguments) {
    if (arguments.is_string()) return;
    arguments = arguments.dump(-1, ' ', false, Json::error_handler_t::replace);
    any = true;
  });
  return any;
}

Result<void> parts_to_text(Json& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto content = messages[i].find("content");
    if (content == messages[i].end() || !content->is_array()) continue;
    std::string text;
    for (const Json& part : *content) {
      if (!is_text_part(part)) {
        return fail(Code::bad_request,
                    cat("\"messages[", i, "].content\" has a part of type ", quote(part.value("type", "")),
                        "; the model's chat template takes text only"));
      }
      text += cat(text.empty() ? "" : "\n", part["text"].get_ref<const std::string&>());
    }
    *content = std::move(text);
  }
  return {};
}

void text_to_parts(Json& messages) {
  for (Json& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_string()) continue;
    Json text = *content;
    *content = Json::array({{{"type", "text"}, {"text", std::move(text)}}});
  }
}

void developer_to_system(Json& messages) {
  for (Json& message : messages) {
    if (message["role"] == "developer") message["role"] = "system";
  }
}

Result<void> append_to_last_text(Json& messages, std::string_view more) {
  Json& last = messages.back();
  const auto refuse = [&](std::string_view field, std::string_view why) {
    return fail(Code::bad_request, cat("\"messages[", messages.size() - 1, "].", field, "\" ", why));
  };
  if (last["role"] != "assistant")
    return refuse("role",
                  cat("is ", quote(last.value("role", "")), "; only an assistant's message can be gone on with"));
  const auto calls = last.find("tool_calls");
  if (calls != last.end() && !calls->empty()) return refuse("tool_calls", "cannot be gone on with");
  const auto content = last.find("content");
  Json* text = content == last.end() ? nullptr : &*content;
  if (text != nullptr && text->is_array()) text = text->empty() ? nullptr : &text->back()["text"];
  if (text == nullptr || !text->is_string() || text->get_ref<const std::string&>().empty())
    return refuse("content", "is empty; there is no text to go on with");
  *text = cat(text->get_ref<const std::string&>(), more);
  return {};
}

std::string system_text(const Json& messages) {
  const Json& first = messages.front();
  if (first["role"] != "system" || !first.contains("content")) return {};
  const Json& content = first["content"];
  if (content.is_string()) return content.get<std::string>();
  const bool text = content.is_array() && !content.empty() && is_text_part(content.front());
  return text ? content.front()["text"].get<std::string>() : std::string();
}

bool fold_system(Json& messages) {
  const std::string text = system_text(messages);
  if (text.empty()) return false;
  for (std::size_t i = 1; i < messages.size(); ++i) {
    if (messages[i]["role"] != "user" || !messages[i].contains("content")) continue;
    Json& content = messages[i]["content"];
    if (content.is_string()) {
      content = cat(text, "\n\n", content.get_ref<const std::string&>());
    } else if (content.is_array()) {
      content.insert(content.begin(), Json{{"type", "text"}, {"text", text + "\n\n"}});
    } else {
      continue;
    }
    messages.erase(messages.begin());
    return true;
  }
  return false;
}

}  // namespace corbel
