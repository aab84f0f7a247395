#include "corbel/engine/answer_text.h"

#include <algorithm>

namespace corbel {

AnswerText::State AnswerText::push(std::int32_t id, std::string& text) {
  ++tokens_;
  text.clear();
  if (std::ranges::find(limits_.stop_ids, id) != limits_.stop_ids.end()) return State::stopped;
  text = stops_.push(decoder_.push(id));
  if (stops_.met()) return State::stopped;
  return limits_.max_tokens > 0 && tokens_ >= limits_.max_tokens ? State::full : State::goes_on;
}

std::string AnswerText::finish() {
  if (stops_.met()) return {};
  std::string rest = stops_.push(decoder_.finish());
  rest += stops_.finish();
  return rest;
}

}  // namespace corbel
