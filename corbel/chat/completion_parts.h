#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/engine/generate.h"

/// What answers are told with, whichever API asked: figures, log-probabilities, ends.
namespace corbel {

struct ReceiptIssuer;

/// What an answer's objects have in common.
struct CompletionHead {
  std::string id;                           // "chatcmpl-..."
  std::string fingerprint;                  // the numerics profile
  std::int64_t created_unix = 0;            // seconds; 0 where the same request is to give the same bytes
  bool tells_cached = true;                 // how much of the prompt was in the cache, which depends on the company
  const ReceiptIssuer* receipts = nullptr;  // of requests that want them; outlives what is told
};

struct UsageFigures {
  std::int64_t prompt_tokens = 0;
  std::int64_t generated_tokens = 0;
  std::int64_t cached_tokens = 0;  // of the prompts
};
Json usage_json(const UsageFigures& figures, const CompletionHead& head);

/// "stop" or "length".
std::string_view told_finish(FinishReason reason);

/// The id of a call to which the model gave none: nine letters and digits, as some templates take no other number.
std::string made_call_id(const CompletionHead& head, std::uint32_t choice, std::size_t index);

/// Adds those that are not there yet.
void add_warnings(std::span<const std::string> more, std::vector<std::string>& warnings);
void add_result_warnings(const GenerateResult& result, std::vector<std::string>& warnings);

/// As many digits as tell it from other floats; at least -9999, which is what OpenAI's API says of what cannot be.
double told_logprob(float value);

/// The bytes that a token alone means, those of the tokens of single bytes among them.
std::string token_bytes(std::int32_t id, bool first, const Tokenizer& tokenizer);

/// A token as a text that tells it from others: where its bytes are no characters "bytes:\xe2\x80", as OpenAI's API
/// had them.
std::string told_token(std::int32_t id, bool first, const Tokenizer& tokenizer);

/// [null, {"ID": {"logprob", "rank", "decoded_token"}, ...}, ...]: of a prompt's tokens, the chosen one first, as vLLM
/// tells them.
Json prompt_logprobs_json(std::span<const AnswerLogprobs> logprobs, const Tokenizer& tokenizer);

/// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}: log-probabilities as OpenAI's completions had them.
/// Offsets count characters of the choice's text.
class TokenColumns {
 public:
  /// `offset`: characters of the text in front. The tokenizer outlives it.
  TokenColumns(const Tokenizer& tokenizer, std::int64_t offset);

  /// The prompt's tokens, of which the first has no log-probability.
  void add_prompt(std::span<const std::int32_t> ids, std::string_view text, std::span<const AnswerLogprobs> logprobs);
  void add(const AnswerLogprobs& logprobs);
  Json json() &&;
  std::int64_t offset() const noexcept { return offset_; }

 private:
  void add_row(const AnswerLogprobs& logprobs, bool first);

  const Tokenizer* tokenizer_;
  std::int64_t offset_;
  Json tokens_, token_logprobs_, top_logprobs_, offsets_;
};

}  // namespace corbel
