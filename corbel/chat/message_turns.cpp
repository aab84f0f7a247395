#include "corbel/chat/message_turns.h"

#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

/// {"type": "text", "text", "cache_control", "citations"}
Result<std::string> read_text(const RequestReader& block) {
  CORBEL_TRY(block.check_known({"type", "text", "cache_control", "citations"}));
  return block.require_text("text");
}

/// The texts of a string or of a list of blocks that are all texts.
Result<std::vector<std::string>> read_texts(const Json& content, const std::string& path) {
  if (content.is_string()) return std::vector<std::string>{content.get<std::string>()};
  if (!content.is_array())
    return refuse_field(path, cat("must be a string or a list of blocks, found ", found_value(content)));
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const RequestReader block(content[i], cat(path, '[', i, ']'));
    CORBEL_TRY(block.check_object());
    CORBEL_ASSIGN(const std::string type, block.require_text("type"));
    if (type != "text") return block.refuse("type", cat("is ", quote(type), "; only \"text\" is known here"));
    CORBEL_ASSIGN(std::string text, read_text(block));
    texts.push_back(std::move(text));
  }
  return texts;
}

class TurnReader {
 public:
  explicit TurnReader(MadeRequest& made) : made_(made) {}

  Result<void> read(const Json& messages) {
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const RequestReader message(messages[i], cat("messages[", i, "]"));
      CORBEL_TRY(message.check_object());
      CORBEL_TRY(message.check_known({"role", "content"}));
      CORBEL_TRY(read_message(message));
    }
    finish_user();
    return {};
  }
  bool ends_with_assistant() const { return role_ == "assistant"; }

 private:
  Result<void> read_message(const RequestReader& message);
  Result<void> read_block(const RequestReader& block);
  Result<void> read_result(const RequestReader& block);
  Result<void> read_call(const RequestReader& block);
  Result<void> read_thoughts(const RequestReader& block);
  Result<void> add_text(std::string text, const std::string& path);
  void finish_user();
  Json& assistant(const std::string& path);

  MadeRequest& made_;
  std::string role_;                // of the turn at hand
  std::vector<std::string> texts_;  // of the user's turn at hand
  std::string texts_path_;
  bool is_open_ = false;  // the last message made is the assistant's turn at hand
};

void TurnReader::finish_user() {
  if (texts_.empty()) return;
  made_.add_message("user", text_content(std::exchange(texts_, {})), texts_path_);
}

Json& TurnReader::assistant(const std::string& path) {
  if (!std::exchange(is_open_, true)) made_.add_message("assistant", nullptr, path);
  return made_.body["messages"].back();
}

Result<void> TurnReader::add_text(std::string text, const std::string& path) {
  if (role_ == "user") {
    if (texts_.empty()) texts_path_ = path;
    texts_.push_back(std::move(text));
    return {};
  }
  Json& message = assistant(path);
  if (message.contains("tool_calls")) {  // what is said behind a call is a turn of its own
    is_open_ = false;
    return add_text(std::move(text), path);
  }
  message["content"] = cat(message["content"].is_null() ? "" : message["content"].get<std::string>(), text);
  return {};
}

Result<void> TurnReader::read_message(const RequestReader& message) {
  CORBEL_ASSIGN(const std::string role, message.require_text("role"));
  if (role != "user" && role != "assistant" && role != "system")
    return message.refuse("role", cat("is ", quote(role), "; known: user, assistant, system"));
  const Json* const content = message.find("content");
  if (content == nullptr || (!content->is_string() && !content->is_array()))
    return message.refuse("content", content == nullptr ? "is missing; it must be a string or a list of blocks"
                                                        : "must be a string or a list of blocks");
  if (role != role_) {
    finish_user();
    is_open_ = false;
  }
  role_ = role;
  if (role == "system") {
    CORBEL_ASSIGN(std::vector<std::string> texts, read_texts(*content, message.path_of("content")));
    made_.add_message("system", text_content(std::move(texts)), message.path());
    return {};
  }
  if (content->is_string()) return add_text(content->get<std::string>(), message.path());
  for (std::size_t i = 0; i < content->size(); ++i) {
    const RequestReader block((*content)[i], cat(message.path_of("content"), '[', i, ']'));
    CORBEL_TRY(block.check_object());
    CORBEL_TRY(read_block(block));
  }
  return {};
}

Result<void> TurnReader::read_block(const RequestReader& block) {
  CORBEL_ASSIGN(const std::string type, block.require_text("type"));
  if (type == "text") {
    CORBEL_ASSIGN(std::string text, read_text(block));
    return add_text(std::move(text), block.path());
  }
  if (role_ == "user" && type == "tool_result") return read_result(block);
  if (role_ == "assistant" && type == "tool_use") return read_call(block);
  if (role_ == "assistant" && type == "thinking") return read_thoughts(block);
  if (role_ == "assistant" && type == "redacted_thinking") {
    made_.warnings.push_back(cat('"', block.path(), "\" is left out: such thoughts cannot be read here"));
    return {};
  }
  return block.refuse("type", cat("is ", quote(type), "; known in a message of this role: ",
                                  role_ == "user" ? "text, tool_result" : "text, tool_use, thinking"));
}

Result<void> TurnReader::read_result(const RequestReader& block) {
  CORBEL_TRY(block.check_known({"type", "tool_use_id", "content", "is_error", "cache_control"}));
  CORBEL_ASSIGN(const std::string id, block.require_text("tool_use_id"));
  CORBEL_ASSIGN(const bool is_error, block.boolean("is_error", false));
  if (is_error) {
    made_.warnings.push_back(
        cat('"', block.path_of("is_error"), "\" changes nothing: chat templates show the content of a result alone"));
  }
  std::vector<std::string> texts;
  if (const Json* const content = block.find("content"); content != nullptr) {
    CORBEL_ASSIGN(texts, read_texts(*content, block.path_of("content")));
  }
  finish_user();
  made_.add_message("tool", text_content(std::move(texts)), block.path())["tool_call_id"] = id;
  return {};
}

Result<void> TurnReader::read_call(const RequestReader& block) {
  CORBEL_TRY(block.check_known({"type", "id", "name", "input", "cache_control"}));
  CORBEL_ASSIGN(const std::string id, block.require_text("id"));
  CORBEL_ASSIGN(const std::string name, block.require_text("name"));
  CORBEL_TRY(block.object("input"));
  Json& message = assistant(block.path());
  if (!message.contains("tool_calls")) message["tool_calls"] = Json::array();
  const std::string made = cat("messages[", made_.messages() - 1, "].tool_calls[", message["tool_calls"].size(), ']');
  made_.names.add(made, block.path());
  made_.names.add(made + ".function", block.path());
  made_.names.add(made + ".function.arguments", block.path_of("input"));
  message["tool_calls"].push_back(
      {{"id", id}, {"type", "function"}, {"function", {{"name", name}, {"arguments", *block.find("input")}}}});
  return {};
}

Result<void> TurnReader::read_thoughts(const RequestReader& block) {
  CORBEL_TRY(block.check_known({"type", "thinking", "signature"}));
  CORBEL_ASSIGN(const std::string thoughts, block.require_text("thinking"));
  Json* message = &assistant(block.path());
  if (message->contains("tool_calls") || !(*message)["content"].is_null()) {
    is_open_ = false;
    message = &assistant(block.path());
  }
  if (!thoughts.empty()) (*message)["reasoning_content"] = thoughts;
  return {};
}

}  // namespace

Result<void> read_message_turns(const RequestFields& fields, MadeRequest& made) {
  const Json* const messages = fields.find("messages");
  if (messages == nullptr || messages->empty())
    return refuse_field("messages", "is missing; it must be a list of at least one message");
  if (const Json* const system = fields.find("system"); system != nullptr) {
    CORBEL_ASSIGN(std::vector<std::string> texts, read_texts(*system, "system"));
    if (!texts.empty()) made.add_message("system", text_content(std::move(texts)), "system");
  }
  TurnReader turns(made);
  CORBEL_TRY(turns.read(*messages));
  if (turns.ends_with_assistant()) {
    made.body["continue_final_message"] = true;
    made.names.add("continue_final_message", cat("messages[", messages->size() - 1, ']'));
  }
  return {};
}

}  // namespace corbel
