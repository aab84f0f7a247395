#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/engine/answer_text.h"
#include "corbel/engine/sampler.h"
#include "corbel/engine/session.h"
#include "corbel/model/loader.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// Tokens of an answer where neither the request nor the model says how many.
inline constexpr std::int64_t kDefaultMaxTokens = 1024;

/// What happens when prompt and answer fill the context.
enum class OnFull {
  stop,   // the answer ends: finish reason length
  slide,  // the oldest half of what follows the first `keep_tokens` tokens is dropped, the rest is run again
};

struct GenerateOptions {
  SamplingOptions sampling;
  std::int64_t max_tokens = 0;         // of the answer; 0: until the context is full
  std::int64_t input_tokens = 0;       // longer prompts are refused: what a static profile takes; 0: any
  std::vector<std::int32_t> stop_ids;  // end the answer and are not part of its text
  std::vector<std::string> stop_strings;
  std::int64_t min_tokens = 0;  // AnswerLimits says what these are
  bool ignore_eos = false;
  bool include_stop_string = false;
  OnFull on_full = OnFull::stop;
  std::int64_t keep_tokens = 0;  // slide: tokens of the beginning that stay (the system part)

  /// Refuses a prompt of more than input_tokens.
  Result<void> check_prompt(std::int64_t tokens) const;
  AnswerLimits limits() const {
    return {max_tokens, stop_ids, stop_strings, min_tokens, ignore_eos, include_stop_string};
  }
};

enum class FinishReason {
  stop,       // a stop id or a stop string
  length,     // max_tokens, or the context is full
  cancelled,  // by the caller
};
/// "stop", "length", "cancelled".
std::string_view finish_reason_name(FinishReason reason);

struct GenerateFigures {
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;     // of the prompt, kept from before
  std::int64_t prefilled_tokens = 0;  // of the prompt, run now
  std::int64_t generated_tokens = 0;  // a stop id included
  double prefill_seconds = 0.0;
  double decode_seconds = 0.0;       // of all generated tokens but the first
  double first_token_seconds = 0.0;  // from the call to the first token

  double prefill_tokens_per_second() const noexcept;
  double decode_tokens_per_second() const noexcept;  // 0 when only one token was generated
};

struct GenerateResult {
  std::vector<std::int32_t> ids;  // a stop id included
  std::string text;
  FinishReason finish = FinishReason::stop;
  std::int32_t stop_id = -1;  // that ended the answer; -1: none did
  std::string stop_string;    // that ended it; empty: none did
  GenerateFigures figures;
};

/// What a model's own defaults ask for. It samples only when its generation_config.json says "do_sample".
GenerateOptions generate_options(const GenerationDefaults& defaults);

/// Who watches a generation; all members may stay empty.
struct GenerateObserver {
  std::function<void(std::string_view text)> on_text;  // whole characters, in order; together they are result.text
  const std::atomic<bool>* cancel = nullptr;           // may be set by another thread or a signal
};

/// Answers `prompt` (all ids of the conversation; what the session has cached of it is not run again). The prompt and
/// the answer stay cached, except the last generated token, which is fed with the next prompt. The penalty's history is
/// prompt and answer. A cancelled answer is a result, not an error.
Result<GenerateResult> generate(Session& session, const Tokenizer& tokenizer, std::span<const std::int32_t> prompt,
                                const GenerateOptions& options, const GenerateObserver& observer = {});

}  // namespace corbel
