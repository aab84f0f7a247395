#include "corbel/chat/response_input.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

/// The texts of a list of parts. `types` are those that are texts.
Result<std::vector<std::string>> read_parts(const Json& parts, const std::string& path,
                                            std::initializer_list<std::string_view> types) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const RequestReader part(parts[i], cat(path, '[', i, ']'));
    CORBEL_TRY(part.check_object());
    CORBEL_ASSIGN(const std::string type, part.require_text("type"));
    if (std::ranges::find(types, type) == types.end()) {
      std::string known;
      for (const std::string_view one : types) known += cat(known.empty() ? "" : ", ", one);
      return part.refuse("type", cat("is ", quote(type), "; known here: ", known));
    }
    CORBEL_TRY(part.check_known({"type", "text", "refusal", "annotations", "logprobs", "prompt_cache_breakpoint"}));
    CORBEL_ASSIGN(std::string text, part.require_text(type == "refusal" ? "refusal" : "text"));
    texts.push_back(std::move(text));
  }
  return texts;
}

std::string joined(const std::vector<std::string>& texts, std::string_view between) {
  std::string all;
  for (const std::string& text : texts) all += cat(&text == texts.data() ? "" : between, text);
  return all;
}

class InputReader {
 public:
  explicit InputReader(MadeRequest& made) : made_(made) {}

  Result<void> read(const Json& items) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      const RequestReader item(items[i], cat("input[", i, "]"));
      CORBEL_TRY(item.check_object());
      CORBEL_TRY(read_item(item));
    }
    return {};
  }

 private:
  Result<void> read_item(const RequestReader& item) {
    CORBEL_ASSIGN(const std::string type, item.text("type", "message"));
    if (type == "message") return read_message(item);
    if (type == "function_call") return read_call(item);
    if (type == "function_call_output") return read_output(item);
    if (type == "reasoning") return read_thoughts(item);
    return item.refuse("type", cat("is ", quote(type),
                                   "; known here: message, function_call, function_call_output, reasoning. Nothing is "
                                   "stored, and no tools are built in"));
  }
  Result<void> read_message(const RequestReader& item);
  Result<void> read_call(const RequestReader& item);
  Result<void> read_output(const RequestReader& item);
  Result<void> read_thoughts(const RequestReader& item);

  /// The turn of the model at hand; another one when there is none, or when it has one of these already.
  Json& turn(const RequestReader& item, std::initializer_list<const char*> unless) {
    const bool begins = !is_open_ || std::ranges::any_of(unless, [&](const char* name) {
      const Json& open = made_.body["messages"].back();
      return open.contains(name) && !open[name].is_null();
    });
    is_open_ = true;
    return begins ? made_.add_message("assistant", nullptr, item.path()) : made_.body["messages"].back();
  }

  MadeRequest& made_;
  bool is_open_ = false;  // the last message is the model's, and more of its turn may follow
};

Result<void> InputReader::read_message(const RequestReader& item) {
  CORBEL_TRY(item.check_known({"type", "role", "content", "id", "status", "phase"}));
  CORBEL_ASSIGN(const std::string role, item.require_text("role"));
  constexpr auto kRoles = std::to_array<std::string_view>({"user", "assistant", "system", "developer"});
  if (std::ranges::find(kRoles, role) == kRoles.end())
    return item.refuse("role", cat("is ", quote(role), "; known: user, assistant, system, developer"));
  const Json* const content = item.find("content");
  if (content == nullptr || (!content->is_string() && !content->is_array()))
    return item.refuse("content", content == nullptr ? "is missing; it must be a string or a list of parts"
                                                     : "must be a string or a list of parts");
  std::vector<std::string> texts;
  if (content->is_string()) {
    texts.push_back(content->get<std::string>());
  } else {
    CORBEL_ASSIGN(texts, read_parts(*content, item.path_of("content"), {"input_text", "output_text", "refusal"}));
  }
  if (role == "assistant") {
    turn(item, {"content", "tool_calls"})["content"] = joined(texts, "");
  } else {
    is_open_ = false;
    made_.add_message(role, text_content(std::move(texts)), item.path());
  }
  return {};
}

Result<void> InputReader::read_call(const RequestReader& item) {
  CORBEL_TRY(item.check_known({"type", "id", "call_id", "name", "arguments", "status"}));
  CORBEL_ASSIGN(const std::string id, item.require_text("call_id"));
  CORBEL_ASSIGN(const std::string name, item.require_text("name"));
  CORBEL_ASSIGN(const std::string arguments, item.require_text("arguments"));
  Json& message = turn(item, {});
  if (!message.contains("tool_calls")) message["tool_calls"] = Json::array();
  const std::string made = cat("messages[", made_.messages() - 1, "].tool_calls[", message["tool_calls"].size(), "]");
  made_.names.add(made, item.path());
  made_.names.add(made + ".function", item.path());
  message["tool_calls"].push_back(
      {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", arguments}}}});
  return {};
}

Result<void> InputReader::read_output(const RequestReader& item) {
  CORBEL_TRY(item.check_known({"type", "id", "call_id", "output", "status", "name"}));
  CORBEL_ASSIGN(const std::string id, item.require_text("call_id"));
  const Json* const output = item.find("output");
  if (output == nullptr || (!output->is_string() && !output->is_array()))
    return item.refuse("output", output == nullptr ? "is missing; it must be a string or a list of parts"
                                                   : "must be a string or a list of parts");
  is_open_ = false;
  Json content = *output;
  if (output->is_array()) {
    CORBEL_ASSIGN(std::vector<std::string> texts, read_parts(*output, item.path_of("output"), {"input_text"}));
    content = text_content(std::move(texts));
  }
  made_.add_message("tool", std::move(content), item.path())["tool_call_id"] = id;
  return {};
}

Result<void> InputReader::read_thoughts(const RequestReader& item) {
  CORBEL_TRY(item.check_known({"type", "id", "summary", "content", "encrypted_content", "status"}));
  std::vector<std::string> texts;
  for (const auto& [key, type] : {std::pair{"content", "reasoning_text"}, std::pair{"summary", "summary_text"}}) {
    const Json* const parts = item.find(key);
    if (parts == nullptr || !texts.empty()) continue;
    if (!parts->is_array()) return item.refuse(key, cat("must be a list of parts, found ", found_value(*parts)));
    CORBEL_ASSIGN(texts, read_parts(*parts, item.path_of(key), {type}));
  }
  if (item.find("encrypted_content") != nullptr) {
    made_.warnings.push_back(cat('"', item.path_of("encrypted_content"), "\" changes nothing: it cannot be read here"));
  }
  if (!texts.empty())
    turn(item, {"reasoning_content", "content", "tool_calls"})["reasoning_content"] = joined(texts, "\n");
  return {};
}

}  // namespace

Result<void> read_response_input(const RequestFields& fields, MadeRequest& made) {
  if (fields.has("instructions")) made.add_message("system", fields.text("instructions", ""), "instructions");
  const Json* const input = fields.find("input");
  if (input == nullptr || input->empty())
    return refuse_field("input", "is missing; it must be a string or a list of at least one item");
  made.names.add("messages", "input");
  if (input->is_string()) {
    made.add_message("user", *input, "input");
    return {};
  }
  CORBEL_TRY(InputReader(made).read(*input));
  if (made.messages() == 0) return refuse_field("input", "has nothing to answer");
  return {};
}

}  // namespace corbel
