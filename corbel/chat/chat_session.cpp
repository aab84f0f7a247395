#include "corbel/chat/chat_session.h"

#include <algorithm>

#include "corbel/base/log.h"

namespace corbel {

Result<void> check_tokenizer_fits(const Tokenizer& tokenizer, const TextModelInfo& model, const std::string& source) {
  if (tokenizer.vocab_size() <= model.vocab) return {};
  const std::int32_t largest = tokenizer.vocab_size() - 1;
  return fail(Code::bad_file, cat(source, ": the tokenizer has ids up to ", largest, " (\"", tokenizer.piece(largest),
                                  "\"), the model's vocabulary has ", model.vocab,
                                  " (config.json \"vocab_size\"): they belong to different models"));
}

GenerateOptions chat_options(const ChatFormat& format, std::span<const ChatMessage> messages,
                             std::span<const std::int32_t> ids, const GenerateOptions& options) {
  GenerateOptions own = options;
  own.stop_ids.insert(own.stop_ids.end(), format.stop_ids().begin(), format.stop_ids().end());
  own.stop_strings.insert(own.stop_strings.end(), format.stop_strings().begin(), format.stop_strings().end());
  if (messages.front().role != "system") return own;
  // What the template makes of the system message alone tells how many tokens must stay; a template that wants a user
  // message keeps none of them apart.
  if (const auto system = format.encode(messages.first(1)))
    own.keep_tokens = std::mismatch(system->begin(), system->end(), ids.begin(), ids.end()).first - system->begin();
  return own;
}

/// Ids of the conversation, shortened in place as the options allow.
Result<std::vector<std::int32_t>> ChatSession::encode_within(Conversation& conversation,
                                                             const GenerateOptions& options) const {
  const std::int64_t capacity = this->capacity();
  std::vector<ChatMessage>& messages = conversation.messages;
  const std::size_t system = messages.front().role == "system" ? 1 : 0;
  CORBEL_ASSIGN(std::vector<std::int32_t> ids, format_->encode(messages));
  if (options.on_full != OnFull::slide || static_cast<std::int64_t>(ids.size()) <= capacity) return ids;

  std::size_t dropped = 0;
  while (static_cast<std::int64_t>(ids.size()) > capacity - capacity / 4 && messages.size() > system + 2) {
    messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(system),
                   messages.begin() + static_cast<std::ptrdiff_t>(system) + 2);
    dropped += 2;
    CORBEL_ASSIGN(ids, format_->encode(messages));
  }
  if (dropped > 0) log(LogLevel::info, cat("conversation_slides dropped_messages=", dropped));
  return ids;
}

Result<GenerateResult> ChatSession::answer(const std::string& text, const GenerateOptions& options,
                                           const GenerateObserver& observer) {
  Conversation next = conversation_;
  next.messages.push_back({"user", text});
  CORBEL_ASSIGN(const std::vector<std::int32_t> ids, encode_within(next, options));
  if (static_cast<std::int64_t>(ids.size()) > capacity()) {
    return fail(Code::bad_request, cat("the conversation has ", ids.size(), " tokens, the context ", capacity(),
                                       "; raise --context, use --on-full slide, or start anew"));
  }
  CORBEL_TRY(options.check_prompt(std::ssize(ids)));
  const GenerateOptions own = chat_options(*format_, next.messages, ids, options);
  if (observer.on_begin) observer.on_begin(ids, own);
  CORBEL_ASSIGN(GenerateResult result, generate(*engine_, engine_request(ids, own, observer), observer.cancel));
  if (result.finish == FinishReason::cancelled && result.text.empty()) return result;
  next.messages.push_back({"assistant", result.text});
  conversation_ = std::move(next);
  return result;
}

}  // namespace corbel
