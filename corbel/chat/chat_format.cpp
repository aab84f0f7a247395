#include "corbel/chat/chat_format.h"

#include <nlohmann/json.hpp>

#include "corbel/base/log.h"
#include "corbel/text/chat_template.h"

namespace corbel {

struct ChatFormat::Template {
  ChatTemplate compiled;
  std::vector<std::pair<std::string, std::string>> variables;  // the tokenizer's: bos_token, eos_token, ...
};

namespace {

/// A form that base models continue sensibly.
std::string plain_text(std::span<const ChatMessage> messages) {
  std::string text;
  for (const ChatMessage& message : messages) {
    if (message.role == "user") text += "User: ";
    if (message.role == "assistant") text += "Assistant: ";
    text += cat(message.content, message.role == "system" ? "\n\n" : "\n");
  }
  return text + "Assistant:";
}

}  // namespace

ChatFormat::ChatFormat(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
ChatFormat::ChatFormat(ChatFormat&&) noexcept = default;
ChatFormat& ChatFormat::operator=(ChatFormat&&) noexcept = default;
ChatFormat::~ChatFormat() = default;

Result<ChatFormat> ChatFormat::load(const std::filesystem::path& folder, const Tokenizer& tokenizer) {
  ChatFormat format(tokenizer);
  CORBEL_ASSIGN(ChatTemplateSource source, chat_template_source(folder));
  for (const auto& [name, text] : source.variables) {
    const std::int32_t id = name == "eos_token" ? tokenizer.id_of(text) : kNoToken;
    if (id != kNoToken) format.stop_ids_.push_back(id);
  }
  const ChatTemplateSource::Named* found = source.find();
  if (found == nullptr) {
    log(LogLevel::warning, cat("no_chat_template folder=", folder.string(), " form=\"User: ... Assistant:\""));
    format.stop_strings_ = {"\nUser:"};
    return format;
  }
  CORBEL_ASSIGN(ChatTemplate compiled, ChatTemplate::compile(found->source, found->file));
  format.template_ = std::make_unique<const Template>(Template{std::move(compiled), std::move(source.variables)});
  return format;
}

Result<std::vector<std::int32_t>> ChatFormat::encode(std::span<const ChatMessage> messages) const {
  // Checked message by message: the offset in a rendered prompt would tell the user nothing.
  for (const ChatMessage& message : messages) {
    const auto valid = tokenizer_->encode(message.content, {.add_special_tokens = false, .parse_special = false});
    if (!valid) return forward_failure(valid, cat("the ", message.role, " message"));
  }
  if (template_ == nullptr) {
    return tokenizer_->encode(plain_text(messages), {.parse_special = false});
  }
  Json variables = Json::object();
  for (const auto& [name, text] : template_->variables) variables[name] = text;
  Json list = Json::array();
  for (const ChatMessage& message : messages) list.push_back({{"role", message.role}, {"content", message.content}});
  variables["messages"] = std::move(list);
  variables["add_generation_prompt"] = true;
  auto text = template_->compiled.render(variables);
  if (!text) return forward_failure(text, "the model's chat template");
  return tokenizer_->encode(*text, {.add_special_tokens = false});
}

}  // namespace corbel
