#include "corbel/engine/dry_repeats.h"

#include <algorithm>

namespace corbel {

DryRepeats::DryRepeats(const Tokenizer& tokenizer, const SamplingOptions& options, std::int64_t tokens)
    : decoder_(tokenizer, {.skip_special = false}),
      breakers_(options.dry_sequence_breakers),
      window_(std::max<std::int64_t>(options.dry_penalty_last_n, 0)),
      allowed_(options.dry_allowed_length) {
  for (const std::string& breaker : breakers_) longest_breaker_ = std::max(longest_breaker_, breaker.size());
  const auto room = static_cast<std::size_t>(tokens) + 1;
  breaks_.reserve(room);
  lengths_.reserve(room);
  repeats_.reserve(room);
  constexpr std::size_t kLongToken = 256;
  tail_.reserve(longest_breaker_ + kLongToken);
}

/// Takes the token's text in.
bool DryRepeats::ends_breaker(std::int32_t id) {
  const std::size_t before = tail_.size();
  tail_ += decoder_.push(id);
  const auto ends_behind = [&](const std::string& breaker) {
    const std::size_t from = before >= breaker.size() ? before - breaker.size() + 1 : 0;
    return tail_.find(breaker, from) != std::string::npos;
  };
  const bool breaks = std::ranges::any_of(breakers_, ends_behind);
  if (tail_.size() >= longest_breaker_) tail_.erase(0, tail_.size() - (longest_breaker_ - (longest_breaker_ > 0)));
  return breaks;
}

std::span<const DryRepeat> DryRepeats::find(std::span<const std::int32_t> text) {
  for (std::size_t at = breaks_.size(); at < text.size(); ++at) breaks_.push_back(ends_breaker(text[at]) ? 1 : 0);
  repeats_.clear();
  const std::int64_t end = std::ssize(text);
  const std::int64_t count = window_ > 0 ? std::min(window_, end) : end;
  std::int64_t most = 0;  // tokens behind the last breaker
  while (most < count && breaks_[static_cast<std::size_t>(end - 1 - most)] == 0) ++most;
  if (most < allowed_) return repeats_;
  // The Z algorithm, from the end of the text back: lengths_[i] tokens before place end - i are the text's last ones.
  const auto from_end = [&](std::int64_t i) { return text[static_cast<std::size_t>(end - 1 - i)]; };
  lengths_.assign(static_cast<std::size_t>(count), 0);
  std::int64_t left = 0;
  std::int64_t right = 0;
  for (std::int64_t i = 1; i < count; ++i) {
    std::int64_t length =
        i < right ? std::min<std::int64_t>(right - i, lengths_[static_cast<std::size_t>(i - left)]) : 0;
    while (i + length < count && from_end(length) == from_end(i + length)) ++length;
    lengths_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(length);
    if (i + length > right) {
      left = i;
      right = i + length;
    }
    const std::int64_t repeated = std::min(length, most);
    if (repeated >= allowed_ && breaks_[static_cast<std::size_t>(end - i)] == 0)
      repeats_.push_back({from_end(i - 1), repeated});
  }
  return repeats_;
}

}  // namespace corbel
