#pragma once
#include <string>

#include "corbel/chat/chat_format.h"
#include "corbel/chat/conversation.h"
#include "corbel/engine/engine.h"

namespace corbel {

/// A conversation with a model: each answer runs only what the cache does not have yet, and equals, bit for bit, the
/// answer of a fresh engine to the whole conversation. One thread. Engine and format outlive it.
class ChatSession {
 public:
  ChatSession(Engine& engine, const ChatFormat& format) : engine_(&engine), format_(&format) {}

  /// Says `text` and answers. A refusal (too long, invalid UTF-8, a template that fails) leaves the conversation as it
  /// was. A cancelled answer stays as far as it came; one without any text is forgotten with its question.
  /// on_full slide: when the conversation outgrows the context, its oldest messages after the system message are
  /// dropped, two at a time, until a quarter of the context is free for the answer, and logged.
  Result<GenerateResult> answer(const std::string& text, const GenerateOptions& options,
                                const GenerateObserver& observer = {});

  Conversation& conversation() noexcept { return conversation_; }
  const Conversation& conversation() const noexcept { return conversation_; }

 private:
  Result<std::vector<std::int32_t>> encode_within(Conversation& conversation, const GenerateOptions& options) const;

  std::int64_t capacity() const noexcept { return engine_->runner().limits().context_tokens; }

  Engine* engine_;
  const ChatFormat* format_;
  Conversation conversation_;
};

/// The options of an answer to messages: with what ends a message of this format, and the tokens of the system message
/// as those that stay when the context slides.
///
/// ids  of the messages
GenerateOptions chat_options(const ChatFormat& format, std::span<const ChatMessage> messages,
                             std::span<const std::int32_t> ids, const GenerateOptions& options);

/// Refuses a tokenizer with ids that the model has no row for.
Result<void> check_tokenizer_fits(const Tokenizer& tokenizer, const TextModelInfo& model, const std::string& source);

}  // namespace corbel
