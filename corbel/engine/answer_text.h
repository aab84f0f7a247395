#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/engine/stop_strings.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// What ends an answer, beside the context's end.
struct AnswerLimits {
  std::int64_t max_tokens = 0;            // of the answer; 0: until the context is full
  std::vector<std::int32_t> stop_ids;     // end the answer and are not part of its text
  std::vector<std::string> stop_strings;  // end it when its text has them
  /// The first so many tokens are no stop ids (banned_ids() says which the sampler must leave out), and stop strings
  /// are looked for in the text behind them.
  std::int64_t min_tokens = 0;
  bool ignore_eos = false;              // stop ids are tokens like others
  bool include_stop_string = false;     // the text goes up to the end of the stop string, not to its beginning
  std::vector<std::int32_t> shown_ids;  // special tokens whose spelling is part of the text; that of others is not

  /// Refused: a negative number, min_tokens above max_tokens.
  Result<void> validate() const;
};

/// Tokens of one answer as they are chosen, made into text. The tokenizer outlives it.
class AnswerText {
 public:
  AnswerText(const Tokenizer& tokenizer, AnswerLimits limits);

  enum class State { goes_on, stopped, full };  // stopped: by an id or a string; full: max_tokens

  /// Takes the next token in. `text` is what may be shown now: whole characters, none that a stop string may yet take
  /// back.
  State push(std::int32_t id, std::string& text);
  /// What was held back, at the end of an answer that no stop string ended.
  std::string finish();

  /// What the next token must not be.
  std::span<const std::int32_t> banned_ids() const noexcept;

  std::int64_t tokens() const noexcept { return tokens_; }
  /// The stop id that ended the answer; -1: none did.
  std::int32_t stop_id() const noexcept { return stop_id_; }
  /// The stop string that ended it; null: none did.
  const std::string* stop_string() const noexcept { return stops_.met_string(); }

 private:
  bool is_hidden(std::int32_t id) const;

  AnswerLimits limits_;
  const Tokenizer* tokenizer_;
  StreamDecoder decoder_;
  StopStrings stops_;
  std::int64_t tokens_ = 0;
  std::int32_t stop_id_ = -1;
};

}  // namespace corbel
