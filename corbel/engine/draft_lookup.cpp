#include "corbel/engine/draft_lookup.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace corbel {

DraftLookup::DraftLookup(std::int64_t tokens) {
  heads_.assign(std::bit_ceil(static_cast<std::size_t>(std::max<std::int64_t>(2 * tokens, 16))), -1);
  earlier_.resize(static_cast<std::size_t>(tokens) + 1);
}

std::size_t DraftLookup::bucket_of(std::span<const std::int32_t> gram) const noexcept {
  std::uint64_t hash = 0;
  for (const std::int32_t token : gram) hash = (hash + static_cast<std::uint32_t>(token) + 1) * 0x9e3779b97f4a7c15U;
  return static_cast<std::size_t>(hash >> 32) & (heads_.size() - 1);
}

DraftLookup::Match DraftLookup::find(std::span<const std::int32_t> text) {
  const std::int64_t end = std::min(std::ssize(text), std::ssize(earlier_) - 1);
  if (end < kGram || end < std::ssize(text)) return {};
  for (std::int64_t at = std::max(indexed_ + 1, kGram); at < end; ++at) {
    std::int32_t& head = heads_[bucket_of(text.subspan(static_cast<std::size_t>(at - kGram), kGram))];
    earlier_[at] = head;
    head = static_cast<std::int32_t>(at);
    indexed_ = at;
  }
  Match best;
  constexpr int kPlaces = 8;
  constexpr int kSteps = 64;  // other grams may share the bucket
  std::int32_t place = heads_[bucket_of(text.subspan(static_cast<std::size_t>(end - kGram), kGram))];
  int tried = 0;
  for (int step = 0; place >= 0 && tried < kPlaces && step < kSteps; ++step, place = earlier_[place]) {
    std::int64_t length = 0;
    while (length < std::min<std::int64_t>(place, kMostLength) && text[place - 1 - length] == text[end - 1 - length])
      ++length;
    if (length < kGram) continue;
    ++tried;
    if (length <= best.length) continue;
    best = {length, place};
    if (length == kMostLength) break;
  }
  return best;
}

std::size_t DraftPolicy::place_of(std::int64_t match_length) noexcept {
  const std::int64_t lengths[] = {4, 5, 8, 16};
  return static_cast<std::size_t>(std::ranges::upper_bound(lengths, match_length) - lengths);
}

std::int64_t DraftPolicy::tokens_worth(std::int64_t match_length, const Step& step) const noexcept {
  const StepPacer& pacer = step.pacer;
  const Odds& odds = odds_[place_of(match_length)];
  const double right = odds.right / odds.tried;
  const double token_seconds = pacer.decode_seconds(step.rows) / static_cast<double>(step.decoding);
  // Rows must pay with a margin: what steps cost is known to a few percent.
  constexpr double kMargin = 1.2;
  std::int64_t tokens = 0;
  for (double likely = right; tokens < kMostTokens; likely *= right, ++tokens) {
    const std::int64_t rows = step.rows + tokens;
    const double added = pacer.decode_seconds(rows + 1) - pacer.decode_seconds(rows) + step.guess_seconds;
    if (likely < 0.05 || likely * token_seconds < kMargin * added) break;
  }
  return tokens;
}

bool DraftPolicy::is_promising(std::int64_t match_length, std::int64_t tokens) const noexcept {
  const Odds& odds = odds_[place_of(match_length)];
  return std::pow(odds.right / odds.tried, static_cast<double>(tokens)) > 0.5;
}

void DraftPolicy::learn(std::int64_t match_length, std::int64_t drafted, std::int64_t accepted) noexcept {
  Odds& odds = odds_[place_of(match_length)];
  // Guesses behind the first wrong one say nothing.
  odds.tried += static_cast<double>(std::min(accepted + 1, drafted));
  odds.right += static_cast<double>(accepted);
  constexpr double kRemembered = 64.0;
  if (odds.tried < kRemembered) return;
  odds.tried /= 2.0;
  odds.right /= 2.0;
}

void DraftPolicy::pass(std::int64_t match_length) noexcept {
  constexpr double kShare = 0.02;
  Odds& odds = odds_[place_of(match_length)];
  const Odds& assumed = kAssumed[place_of(match_length)];
  odds.tried += kShare * (assumed.tried - odds.tried);
  odds.right += kShare * (assumed.right - odds.right);
}

}  // namespace corbel
