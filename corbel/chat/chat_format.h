#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corbel/chat/conversation.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// How messages become the tokens of a prompt: by the model's own chat template, or, for a folder without one, as plain
/// "User: ... Assistant:" lines (logged as a warning). Immutable. The tokenizer outlives it.
class ChatFormat {
 public:
  /// Reads the template of FOLDER/chat_template.jinja or tokenizer_config.json. Refuses a template that does not parse.
  static Result<ChatFormat> load(const std::filesystem::path& folder, const Tokenizer& tokenizer);

  ChatFormat(ChatFormat&&) noexcept;
  ChatFormat& operator=(ChatFormat&&) noexcept;
  ~ChatFormat();

  /// Ids of the conversation and of the opening of the assistant's answer. Refused: a template that fails, with its own
  /// words; invalid UTF-8, with the byte's offset.
  Result<std::vector<std::int32_t>> encode(std::span<const ChatMessage> messages) const;

  bool has_template() const noexcept { return template_ != nullptr; }
  /// Texts that end an answer; the plain form has some, templates end by token.
  std::span<const std::string> stop_strings() const noexcept { return stop_strings_; }
  /// Ids that end a turn, by the tokenizer's own settings: beside those of generation_config.json.
  std::span<const std::int32_t> stop_ids() const noexcept { return stop_ids_; }

 private:
  struct Template;
  explicit ChatFormat(const Tokenizer& tokenizer);
  const Tokenizer* tokenizer_;
  std::unique_ptr<const Template> template_;
  std::vector<std::string> stop_strings_;
  std::vector<std::int32_t> stop_ids_;
};

}  // namespace corbel
