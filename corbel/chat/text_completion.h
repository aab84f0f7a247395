#pragma once
#include <string>
#include <vector>

#include "corbel/chat/completion_json.h"
#include "corbel/chat/request_options.h"
#include "corbel/chat/token_lists.h"

/// OpenAI's completions of texts (POST /v1/completions): no messages, no template; several prompts in one request.
namespace corbel {

/// A request that was read. Immutable then.
struct TextCompletion : AnswerRequest {
  std::vector<TokenList> prompts;  // each is a request of its own to the engine
  std::int32_t told_choices = 1;   // n; request.choices are best_of
  bool echoes = false;
  bool prompt_alone = false;        // max_tokens is 0: the answer is not told
  std::int32_t logprobs = -1;       // so many likeliest ones beside each token; -1: none
  bool wants_prompt_field = false;  // prompt_logprobs

  /// What the engine gets for one of the prompts.
  EngineRequest request_of(std::size_t prompt) const;
  bool ranks() const noexcept { return request.choices > told_choices; }
};

/// Reads the body of a request, as read_chat_completion() does.
Result<TextCompletion> read_text_completion(const Json& body, const ChatModel& model, std::uint64_t seed);

/// One prompt's answers, in the order of their choices.
using PromptResults = std::vector<GenerateResult>;

/// The object "text_completion"; choice number `prompt * n + choice`.
Json text_completion_json(const TextCompletion& completion, const ChatModel& model,
                          std::span<const PromptResults> results, const CompletionHead& head);

/// Tells a completion in pieces: objects "text_completion" with a part of a choice's text each. Joined they say what
/// text_completion_json() says. The completion and the model outlive it.
class TextCompletionStream {
 public:
  TextCompletionStream(const TextCompletion& completion, const ChatModel& model, CompletionHead head);

  /// A piece of an answer to prompt number `prompt`.
  std::vector<Json> push(std::size_t prompt, const AnswerPiece& piece);
  std::vector<Json> end(std::size_t prompt, const GenerateResult& result);
  /// After the end of all.
  std::vector<Json> finish() const;

 private:
  struct Choice {
    bool begun = false;
    std::int64_t offset = 0;               // characters told
    std::vector<AnswerLogprobs> logprobs;  // of tokens whose text was held back
  };
  std::size_t index_of(std::size_t prompt, std::uint32_t choice) const;
  Json chunk(std::size_t index, std::string text) const;
  void tell_echo(std::size_t prompt, std::size_t index, std::vector<Json>& chunks);

  const TextCompletion* completion_;
  const ChatModel* model_;
  CompletionHead head_;
  std::vector<Choice> choices_;
  std::int64_t prompt_tokens_ = 0;
  std::int64_t generated_tokens_ = 0;
  std::int64_t cached_tokens_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace corbel
