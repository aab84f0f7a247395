#include "corbel/engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "corbel/base/check.h"
#include "corbel/engine/sampler_passes.h"

namespace corbel {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

/// Of equal logits the lower id is the likelier one.
bool likelier(const TokenLogprob& a, const TokenLogprob& b) noexcept {
  return a.logprob > b.logprob || (a.logprob == b.logprob && a.id < b.id);
}

/// ln of the sum of exp(logit - top).
double log_total(std::span<const float> logits, std::span<const float> highest, float top) {
  std::uint64_t total = 0;
  float masses[kLogitBlock];
  for (std::size_t block = 0; block < highest.size(); ++block) {
    if (highest[block] < top + kNoMass) continue;
    const std::span<const float> values = logits.subspan(block * kLogitBlock);
    if (std::ssize(values) >= kLogitBlock) {
      total += fill_masses(values.data(), top, masses);
    } else {
      float tail[kLogitBlock];
      std::ranges::fill(tail, kNone);
      std::ranges::copy(values, tail);
      total += fill_masses(tail, top, masses);
    }
  }
  return std::log(static_cast<double>(total) / static_cast<double>(kHighestMass));
}

/// How many tokens are likelier than `self`: larger logits, and equal ones of lower ids.
std::int64_t count_likelier(std::span<const float> logits, std::span<const float> highest, const TokenLogprob& self) {
  const float above = std::nextafter(self.logprob, std::numeric_limits<float>::infinity());
  const auto home = static_cast<std::size_t>(self.id / kLogitBlock);
  std::int64_t count = 0;
  for (std::size_t block = 0; block < highest.size(); ++block) {
    const float least = block <= home ? self.logprob : above;
    if (highest[block] < least) continue;
    const std::span<const float> values = logits.subspan(block * kLogitBlock);
    if (block != home && std::ssize(values) >= kLogitBlock) {
      count += count_at_least(values.data(), least);
      continue;
    }
    for (std::size_t i = 0; i < values.size() && i < kLogitBlock; ++i) {
      const auto id = static_cast<std::int32_t>(block * kLogitBlock + i);
      count += static_cast<std::int64_t>(likelier({id, values[i]}, self));
    }
  }
  return count;
}

}  // namespace

Logprobs::Logprobs(std::int64_t vocab, std::int64_t most_top)
    : vocab_(vocab), most_top_(static_cast<std::size_t>(std::min(vocab, most_top))) {
  highest_.resize(static_cast<std::size_t>(logit_blocks(vocab)));
  ordered_.resize(highest_.size());
  top_.reserve(most_top_ + 1);
}

/// top_: the `count` likeliest tokens, with their logits.
void Logprobs::find_top(std::span<const float> logits, std::size_t count) {
  top_.clear();
  if (count == 0) return;
  float least = kNone;  // reached by at least `count` tokens: one in so many blocks
  if (count <= highest_.size()) {
    std::ranges::copy(highest_, ordered_.begin());
    const auto place = ordered_.begin() + static_cast<std::ptrdiff_t>(count - 1);
    std::nth_element(ordered_.begin(), place, ordered_.end(), std::greater());
    least = *place;
  }
  for (std::size_t block = 0; block < highest_.size(); ++block) {
    if (highest_[block] < least) continue;
    const std::size_t end = std::min(logits.size(), (block + 1) * kLogitBlock);
    for (std::size_t id = block * kLogitBlock; id < end; ++id) {
      const TokenLogprob token{static_cast<std::int32_t>(id), logits[id]};
      if (token.logprob < least || (top_.size() == count && !likelier(token, top_.back()))) continue;
      top_.insert(std::ranges::upper_bound(top_, token, likelier), token);
      if (top_.size() > count) top_.pop_back();
    }
  }
}

Logprobs::Row Logprobs::of(std::span<const float> logits, std::int32_t chosen, std::int64_t top) {
  CORBEL_CHECK(std::ssize(logits) == vocab_, logits.size(), " logits for a vocabulary of ", vocab_);
  CORBEL_CHECK(chosen >= 0 && chosen < vocab_, "token ", chosen, " of a vocabulary of ", vocab_);
  const auto count = static_cast<std::size_t>(std::clamp<std::int64_t>(top, 0, vocab_));
  CORBEL_CHECK(count <= most_top_, top, " top tokens; made for ", most_top_);
  highest_of_blocks(logits, highest_);
  const float highest = highest_of(highest_);
  const double normalizer = static_cast<double>(highest) + log_total(logits, highest_, highest);
  const auto logprob = [&](float logit) { return static_cast<float>(static_cast<double>(logit) - normalizer); };

  const TokenLogprob self{chosen, logits[static_cast<std::size_t>(chosen)]};
  Row row{.chosen = {chosen, logprob(self.logprob)}, .rank = 1 + count_likelier(logits, highest_, self)};
  find_top(logits, count);
  for (TokenLogprob& token : top_) token.logprob = logprob(token.logprob);
  row.top = top_;
  return row;
}

}  // namespace corbel
