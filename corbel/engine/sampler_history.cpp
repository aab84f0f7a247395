#include "corbel/engine/sampler_history.h"

#include <algorithm>

namespace corbel {

/// Null outside the vocabulary.
SamplerHistory::Change* SamplerHistory::change_of(std::int32_t id) {
  if (id < 0 || static_cast<std::size_t>(id) >= marks_.size()) return nullptr;
  Mark& mark = marks_[static_cast<std::size_t>(id)];
  if (mark.round != round_) {
    mark = {round_, static_cast<std::uint32_t>(changes_.size())};
    changes_.push_back({.id = id});
  }
  return &changes_[mark.index];
}

std::span<const SamplerHistory::Change> SamplerHistory::changes(std::span<const std::int32_t> history,
                                                                std::int64_t prompt_tokens,
                                                                std::span<const DryRepeat> repeats,
                                                                const SamplingOptions& options) {
  changes_.clear();
  if (++round_ == 0) {
    std::ranges::fill(marks_, Mark{});
    round_ = 1;
  }
  for (const TokenBias& entry : options.logit_bias) {
    if (Change* const change = change_of(entry.id)) change->bias = entry.bias;
  }
  std::span<const std::int32_t> answer = history.subspan(static_cast<std::size_t>(prompt_tokens));
  if (options.penalty_window > 0) {
    const auto window = static_cast<std::size_t>(options.penalty_window);
    history = history.last(std::min(history.size(), window));
    answer = answer.last(std::min(answer.size(), window));
  }
  if (options.repetition_penalty != 1.0) {
    for (const std::int32_t id : history) {
      if (Change* const change = change_of(id)) change->is_repeated = true;
    }
  }
  if (options.presence_penalty != 0.0 || options.frequency_penalty != 0.0) {
    for (const std::int32_t id : answer) {
      if (Change* const change = change_of(id)) ++change->in_answer;
    }
  }
  for (const DryRepeat& repeat : repeats) {
    if (Change* const change = change_of(repeat.id)) change->continues = std::max(change->continues, repeat.tokens);
  }
  return changes_;
}

float SamplerHistory::changed(float logit, const Change& change, const SamplingOptions& options) noexcept {
  logit += change.bias;
  if (change.is_repeated) {
    const auto factor = static_cast<float>(options.repetition_penalty);
    logit = logit < 0.0F ? logit * factor : logit / factor;
  }
  if (change.in_answer > 0) {
    logit -= static_cast<float>(options.frequency_penalty) * static_cast<float>(change.in_answer);
    logit -= static_cast<float>(options.presence_penalty);
  }
  if (change.continues > 0) logit -= static_cast<float>(options.dry_penalty(change.continues));
  return logit;
}

}  // namespace corbel
