#pragma once
#include <span>
#include <string>
#include <vector>

#include "corbel/engine/stop_strings.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// What ends an answer, beside the context's end.
struct AnswerLimits {
  std::int64_t max_tokens = 0;         // of the answer; 0: until the context is full
  std::vector<std::int32_t> stop_ids;  // end the answer and are not part of its text
  std::vector<std::string> stop_strings;
};

/// Tokens of one answer as they are chosen, made into text. The tokenizer outlives it.
class AnswerText {
 public:
  AnswerText(const Tokenizer& tokenizer, AnswerLimits limits)
      : limits_(std::move(limits)), decoder_(tokenizer), stops_(limits_.stop_strings) {}

  enum class State { goes_on, stopped, full };  // stopped: by an id or a string; full: max_tokens

  /// Takes the next token in. `text` is what may be shown now: whole characters, none of a stop string.
  State push(std::int32_t id, std::string& text);
  /// What was held back, at the end of an answer that no stop string ended.
  std::string finish();

  std::int64_t tokens() const noexcept { return tokens_; }

 private:
  AnswerLimits limits_;
  StreamDecoder decoder_;
  StopStrings stops_;
  std::int64_t tokens_ = 0;
};

}  // namespace corbel
