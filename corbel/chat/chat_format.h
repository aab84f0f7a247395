#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/chat/answer_format.h"
#include "corbel/chat/conversation.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// What a prompt is made of, in the shapes of OpenAI's API.
struct ChatRequest {
  /// An array of {"role", "content", ...}: content is a string, null, or an array of parts ({"type": "text", "text"},
  /// ...); assistants may have "tool_calls" and "reasoning_content" (or "reasoning", "thinking"), tools a
  /// "tool_call_id" and "name".
  const Json* messages = nullptr;
  const Json* tools = nullptr;      // an array of {"type": "function", "function": {...}}; null: none
  const Json* variables = nullptr;  // an object of further variables of the template: enable_thinking, ...
  std::string template_name;        // of a model with several; empty: "tool_use" when there are tools, else "default"
  bool generation_prompt = true;    // open the assistant's answer
  bool continue_final = false;      // end behind the text of the last message, which the answer goes on with
};

/// How messages become the tokens of a prompt: by the model's own chat template, or, for a folder without one, as plain
/// "User: ... Assistant:" lines (logged as a warning). Immutable. The tokenizer outlives it.
///
/// A template gets what Hugging Face's apply_chat_template would give it, and where it cannot deal with that:
///   - arguments of tool calls are objects; a template that fails with them gets them as JSON text
///   - parts of text become one string for a template that shows no parts, and a string one part for a template that
///     takes nothing else (both are tried out once, when the format is loaded)
///   - the text of a system message goes in front of the first user message, with an empty line between, when the
///     template refuses the system role or leaves its text out (logged once)
class ChatFormat {
 public:
  /// Reads the templates of chat_template.jinja or tokenizer_config.json. Refuses one that does not parse.
  static Result<ChatFormat> load(const NamedFiles& files, const Tokenizer& tokenizer);
  static Result<ChatFormat> load(const std::filesystem::path& folder, const Tokenizer& tokenizer);

  ChatFormat(ChatFormat&&) noexcept;
  ChatFormat& operator=(ChatFormat&&) noexcept;
  ~ChatFormat();

  /// The prompt's text. Refused: messages of a wrong shape, naming the message; a template that fails, with its own
  /// words; tools or parts other than text where there is no way to tell the model of them; a last message without a
  /// text, or whose text the template leaves out, where it is to be gone on with.
  Result<std::string> render(const ChatRequest& request) const;

  /// Ids of render()'s text.
  Result<std::vector<std::int32_t>> encode(const ChatRequest& request) const;

  /// Ids of a text that render() made.
  Result<std::vector<std::int32_t>> encode_prompt(std::string_view prompt) const;

  /// Ids of the conversation and of the opening of the assistant's answer. Refused: a template that fails, with its own
  /// words; invalid UTF-8, with the byte's offset.
  Result<std::vector<std::int32_t>> encode(std::span<const ChatMessage> messages) const;

  bool has_template() const noexcept { return template_ != nullptr; }
  /// What the template for conversations with tools makes of calls and thoughts; plain text without a template.
  AnswerFormat answer_format() const;
  /// Does any template's source have `text` in it?
  bool mentions(std::string_view text) const;
  /// Texts that end an answer; the plain form has some, templates end by token.
  std::span<const std::string> stop_strings() const noexcept { return stop_strings_; }
  /// Ids that end a turn, by the tokenizer's own settings: beside those of generation_config.json.
  std::span<const std::int32_t> stop_ids() const noexcept { return stop_ids_; }

 private:
  struct Template;
  Result<std::string> render_whole(const ChatRequest& request) const;
  explicit ChatFormat(const Tokenizer& tokenizer);
  const Tokenizer* tokenizer_;
  std::unique_ptr<const Template> template_;
  std::vector<std::string> stop_strings_;
  std::vector<std::int32_t> stop_ids_;
};

}  // namespace corbel
