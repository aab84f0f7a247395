#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace corbel {

/// Most tokens beside the chosen one that a chat completion may ask for (OpenAI's top_logprobs).
inline constexpr std::int64_t kMostTopLogprobs = 20;

struct TokenLogprob {
  std::int32_t id = 0;
  float logprob = 0.0F;
};

/// Log-probabilities of a row of logits: ln softmax of what the model says, before bias, penalties, temperature, masks
/// and filters (vLLM's default, "raw_logprobs"), so that they are comparable among requests. Serves answers (the row
/// that the token was drawn from) and prompts (the row before the token) alike. The same bits on every machine but for
/// the last rounding of ln. Owns its scratch memory and allocates none after its making; one thread at a time.
class Logprobs {
 public:
  /// `most_top`: the most that of() is asked for.
  explicit Logprobs(std::int64_t vocab, std::int64_t most_top = kMostTopLogprobs);

  struct Row {
    TokenLogprob chosen;
    std::int64_t rank = 0;              // of the chosen token: 1 + the number of likelier ones
    std::span<const TokenLogprob> top;  // likeliest first, of equal ones the lower id
  };
  /// logits [vocab] finite; `chosen` in the vocabulary; the `top` likeliest tokens (all when there are fewer). Valid
  /// until the next call.
  Row of(std::span<const float> logits, std::int32_t chosen, std::int64_t top);

 private:
  void find_top(std::span<const float> logits, std::size_t count);

  std::int64_t vocab_;
  std::size_t most_top_;
  std::vector<float> highest_;  // [blocks] of the logits
  std::vector<float> ordered_;  // [blocks] scratch
  std::vector<TokenLogprob> top_;
};

}  // namespace corbel
