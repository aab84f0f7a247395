#include "corbel/engine/answer_text.h"

#include <algorithm>

namespace corbel {

Result<void> AnswerLimits::validate() const {
  if (max_tokens < 0) return fail(Code::bad_request, cat("max_tokens is ", max_tokens, "; it must be 0 or more"));
  if (min_tokens < 0) return fail(Code::bad_request, cat("min_tokens is ", min_tokens, "; it must be 0 or more"));
  if (max_tokens > 0 && min_tokens > max_tokens) {
    return fail(Code::bad_request,
                cat("min_tokens is ", min_tokens, "; it must be at most max_tokens, which is ", max_tokens));
  }
  return {};
}

AnswerText::AnswerText(const Tokenizer& tokenizer, AnswerLimits limits)
    : limits_(std::move(limits)),
      tokenizer_(&tokenizer),
      decoder_(tokenizer, {.skip_special = limits_.shown_ids.empty()}),
      stops_(limits_.stop_strings, limits_.include_stop_string ? StopText::included : StopText::left_out) {}

bool AnswerText::is_hidden(std::int32_t id) const {
  return tokenizer_->is_special(id) && std::ranges::find(limits_.shown_ids, id) == limits_.shown_ids.end();
}

AnswerText::State AnswerText::push(std::int32_t id, std::string& text) {
  ++tokens_;
  text.clear();
  if (!limits_.ignore_eos && std::ranges::find(limits_.stop_ids, id) != limits_.stop_ids.end()) {
    stop_id_ = id;
    return State::stopped;
  }
  if (!is_hidden(id)) text = decoder_.push(id);
  if (tokens_ > limits_.min_tokens) text = stops_.push(text);
  if (stops_.met()) return State::stopped;
  return limits_.max_tokens > 0 && tokens_ >= limits_.max_tokens ? State::full : State::goes_on;
}

std::span<const std::int32_t> AnswerText::banned_ids() const noexcept {
  if (limits_.ignore_eos || tokens_ >= limits_.min_tokens) return {};
  return limits_.stop_ids;
}

std::string AnswerText::finish() {
  if (stops_.met()) return {};
  std::string rest = decoder_.finish();
  if (tokens_ > limits_.min_tokens) rest = stops_.push(rest);
  rest += stops_.finish();
  return rest;
}

}  // namespace corbel
