#pragma once
#include <memory>
#include <vector>

#include "corbel/chat/answer_format.h"
#include "corbel/chat/chat_format.h"
#include "corbel/engine/constraint.h"
#include "corbel/model/loader.h"

namespace corbel {

/// What chat completions need of one model, made once: its template, how its answers look, its defaults, and what
/// compiles constraints. Any thread may use it. The tokenizer outlives it.
class ChatModel {
 public:
  /// Refuses a template that does not parse.
  static Result<std::unique_ptr<ChatModel>> load(const NamedFiles& files, const Tokenizer& tokenizer,
                                                 const GenerationDefaults& defaults);

  const Tokenizer& tokenizer() const noexcept { return *tokenizer_; }
  const ChatFormat& format() const noexcept { return format_; }
  const AnswerFormat& answers() const noexcept { return answers_; }
  /// Does it write thoughts ahead of its answers, as far as its template tells?
  bool thinks() const noexcept { return thinks_; }
  const GenerationDefaults& defaults() const noexcept { return defaults_; }
  ConstraintCompiler& constraints() const noexcept { return *constraints_; }
  /// Ids that end a turn: the model's and the template's.
  const std::vector<std::int32_t>& stop_ids() const noexcept { return stop_ids_; }
  /// Special tokens that are markers of thoughts and content, or of calls: their spelling is part of an answer's text.
  const std::vector<std::int32_t>& reasoning_ids() const noexcept { return reasoning_ids_; }
  const std::vector<std::int32_t>& call_ids() const noexcept { return call_ids_; }

 private:
  ChatModel(const Tokenizer& tokenizer, ChatFormat format, const GenerationDefaults& defaults);

  const Tokenizer* tokenizer_;
  ChatFormat format_;
  AnswerFormat answers_;
  bool thinks_;
  GenerationDefaults defaults_;
  std::vector<std::int32_t> stop_ids_;
  std::vector<std::int32_t> reasoning_ids_;
  std::vector<std::int32_t> call_ids_;
  std::unique_ptr<ConstraintCompiler> constraints_;
};

}  // namespace corbel
