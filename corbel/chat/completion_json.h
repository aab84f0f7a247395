#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "corbel/chat/chat_completion.h"
#include "corbel/chat/completion_parts.h"

/// The answers of a chat completion as OpenAI's API tells them, whole or in pieces.
namespace corbel {

/// The object "chat.completion". `results` are those of all choices, in their order.
Json chat_completion_json(const ChatCompletion& completion, const ChatModel& model,
                          std::span<const GenerateResult> results, const CompletionHead& head);

/// {"content": [{"token", "logprob", "bytes", "top_logprobs"}]} of tokens with their log-probabilities.
Json logprobs_json(std::span<const AnswerLogprobs> logprobs, const Tokenizer& tokenizer);

/// Tells a completion in objects "chat.completion.chunk": of every choice its role first, then what its text says
/// (content, reasoning_content, tool_calls), then why it ended; the usage last, where the request asks for it. Joined
/// they say what chat_completion_json() says, however the texts were split. The completion and the model outlive it.
class CompletionStream {
 public:
  CompletionStream(const ChatCompletion& completion, const ChatModel& model, CompletionHead head);

  /// A piece of a choice's text; nothing when it is withheld. Pieces of choices may come in any order.
  std::vector<Json> push(std::uint32_t choice, std::string_view text, std::span<const AnswerLogprobs> logprobs = {});
  /// The choice's end, after its last piece.
  std::vector<Json> end(const GenerateResult& result);
  /// After the end of all choices.
  std::vector<Json> finish() const;

 private:
  struct Choice {
    ChoiceReader reader;
    bool begun = false;
    std::vector<AnswerLogprobs> logprobs;  // of tokens whose text is withheld
  };
  Json chunk(std::uint32_t choice, Json delta) const;
  void add_deltas(std::uint32_t choice, std::vector<AnswerDelta> deltas, std::vector<Json>& chunks);

  const ChatCompletion* completion_;
  const ChatModel* model_;
  CompletionHead head_;
  std::vector<Choice> choices_;
  GenerateFigures figures_;  // of the first choice
  std::int64_t generated_tokens_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace corbel
