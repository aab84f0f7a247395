#pragma once
#include <memory>
#include <span>

#include "corbel/engine/sampler.h"
#include "corbel/engine/session.h"

namespace corbel {

/// A loaded model in four calls, for programs that tokenize and stop by themselves. Loads nothing and allocates no
/// cache after make(). One thread.
class DirectModel {
 public:
  /// The model and the device outlive it. context_tokens: prompt and answer together.
  static Result<DirectModel> make(const TextModel& model, Device& device, std::int64_t context_tokens = 2048);

  /// Runs the conversation so far and returns the logits [vocab] after its last token. Tokens that an earlier call
  /// already ran are not run again; a new conversation is simply other tokens. The logits are valid until the next
  /// call.
  Result<std::span<const float>> prefill_forward(std::span<const std::int32_t> tokens);
  /// Appends one token and returns the logits after it.
  Result<std::span<const float>> decode_forward(std::int32_t token);

  /// prefill_forward, then the most likely next token.
  Result<std::int32_t> forward_first(std::span<const std::int32_t> tokens);
  /// Feeds the token that forward_first or forward_next gave last, and gives the one after it.
  Result<std::int32_t> forward_next();

 private:
  DirectModel(std::unique_ptr<StepRunner> runner, Session session)
      : runner_(std::move(runner)), session_(std::move(session)) {}
  std::unique_ptr<StepRunner> runner_;
  Session session_;
  std::int32_t next_ = -1;  // given to the caller, not yet fed
};

}  // namespace corbel
