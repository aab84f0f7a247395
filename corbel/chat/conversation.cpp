#include "corbel/chat/conversation.h"

#include <nlohmann/json.hpp>

#include "corbel/base/json.h"
#include "corbel/base/mapped_file.h"

namespace corbel {
namespace {

constexpr std::string_view kFormat = "corbel.conversation.v1";

Result<ChatMessage> read_message(const JsonFields& fields) {
  ChatMessage message;
  CORBEL_ASSIGN(message.role, fields.require_string("role"));
  CORBEL_ASSIGN(message.content, fields.require_string("content"));
  if (message.role != "system" && message.role != "user" && message.role != "assistant") {
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name("role"), "\" is \"", message.role,
                                    "\"; known: \"system\", \"user\", \"assistant\""));
  }
  return message;
}

Result<void> read_settings(const JsonFields& fields, SavedConversation& saved) {
  constexpr std::int64_t kMaxTokens = std::int64_t{1} << 40;
  SamplingOptions& sampling = saved.sampling;
  CORBEL_ASSIGN(sampling.temperature, fields.get_number("temperature", sampling.temperature));
  CORBEL_ASSIGN(sampling.top_k, fields.get_int("top_k", sampling.top_k, 0, kMaxTokens));
  CORBEL_ASSIGN(sampling.top_p, fields.get_number("top_p", sampling.top_p));
  CORBEL_ASSIGN(sampling.min_p, fields.get_number("min_p", sampling.min_p));
  CORBEL_ASSIGN(sampling.repetition_penalty, fields.get_number("repetition_penalty", sampling.repetition_penalty));
  CORBEL_ASSIGN(const std::int64_t seed, fields.get_int("seed", 0, INT64_MIN, INT64_MAX));
  sampling.seed = static_cast<std::uint64_t>(seed);
  CORBEL_ASSIGN(saved.max_tokens, fields.get_int("max_tokens", saved.max_tokens, 0, kMaxTokens));
  if (auto valid = sampling.validate(); !valid) return forward_failure(valid, fields.source());
  return {};
}

}  // namespace

void Conversation::set_system(const std::string& text) {
  const bool has = !messages.empty() && messages.front().role == "system";
  if (has) messages.erase(messages.begin());
  if (!text.empty()) messages.insert(messages.begin(), ChatMessage{"system", text});
}

void Conversation::reset() {
  const bool has = !messages.empty() && messages.front().role == "system";
  messages.resize(has ? 1 : 0);
}

Result<void> save_conversation(const std::filesystem::path& path, const SavedConversation& saved) {
  Json messages = Json::array();
  for (const ChatMessage& message : saved.conversation.messages) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  const SamplingOptions& sampling = saved.sampling;
  const Json file = {{"format", kFormat},
                     {"settings",
                      {{"temperature", sampling.temperature},
                       {"top_k", sampling.top_k},
                       {"top_p", sampling.top_p},
                       {"min_p", sampling.min_p},
                       {"repetition_penalty", sampling.repetition_penalty},
                       {"seed", static_cast<std::int64_t>(sampling.seed)},
                       {"max_tokens", saved.max_tokens}}},
                     {"messages", std::move(messages)}};
  const std::string text = file.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  return write_file_atomically(path, std::as_bytes(std::span(text)));
}

Result<SavedConversation> load_conversation(const std::filesystem::path& path) {
  CORBEL_ASSIGN(const Json file, read_json_file(path));
  const JsonFields fields(file, path.string());
  CORBEL_ASSIGN(const std::string format, fields.require_string("format"));
  if (format != kFormat) {
    return fail(Code::bad_file, cat(path.string(), ": \"format\" is \"", format, "\"; expected \"", kFormat, "\""));
  }
  SavedConversation saved;
  if (fields.has("settings")) {
    CORBEL_ASSIGN(const JsonFields settings, fields.object("settings"));
    CORBEL_TRY(read_settings(settings, saved));
  }
  const auto messages = file.find("messages");
  if (messages == file.end() || !messages->is_array()) {
    return fail(Code::bad_file, cat(path.string(), ": \"messages\" must be an array"));
  }
  for (std::size_t i = 0; i < messages->size(); ++i) {
    CORBEL_ASSIGN(ChatMessage message,
                  read_message(JsonFields((*messages)[i], path.string(), cat("messages[", i, "]"))));
    if (message.role == "system" && i > 0) {
      return fail(Code::bad_file,
                  cat(path.string(), ": \"messages[", i, "]\" is a system message; only the first may be"));
    }
    saved.conversation.messages.push_back(std::move(message));
  }
  return saved;
}

}  // namespace corbel
