#include "corbel/engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

namespace corbel {

Result<void> SamplingOptions::validate() const {
  const auto refuse = [](std::string_view name, double value, std::string_view range) {
    return fail(Code::bad_request, cat(name, " is ", value, "; it must be ", range));
  };
  if (!(temperature >= 0.0 && std::isfinite(temperature))) return refuse("temperature", temperature, "0 or more");
  if (top_k < 0) return refuse("top-k", static_cast<double>(top_k), "0 (all tokens) or more");
  if (!(top_p > 0.0 && top_p <= 1.0)) return refuse("top-p", top_p, "above 0 and at most 1");
  if (!(min_p >= 0.0 && min_p <= 1.0)) return refuse("min-p", min_p, "between 0 and 1");
  if (!(repetition_penalty > 0.0 && std::isfinite(repetition_penalty))) {
    return refuse("repetition-penalty", repetition_penalty, "above 0");
  }
  return {};
}

std::int32_t argmax(std::span<const float> values) noexcept {
  return static_cast<std::int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

Sampler::Sampler(std::int64_t vocab) {
  scored_.resize(static_cast<std::size_t>(vocab));
  seen_.resize(static_cast<std::size_t>(vocab));
}

void Sampler::penalize(std::span<const std::int32_t> history, double penalty) {
  const auto factor = static_cast<float>(penalty);
  if (++round_ == 0) {
    std::fill(seen_.begin(), seen_.end(), 0U);
    round_ = 1;
  }
  for (const std::int32_t id : history) {
    if (id < 0 || id >= static_cast<std::int32_t>(seen_.size()) || seen_[id] == round_) continue;
    seen_[id] = round_;
    float& logit = scored_[id].logit;
    logit = logit < 0.0F ? logit * factor : logit / factor;
  }
}

/// All of `part`, likeliest first. Radix sort: a flat distribution of 128k tokens takes 2 ms, by comparisons 25.
void Sampler::sort_likeliest(std::span<Scored> part) {
  constexpr int kDigitBits = 11;
  constexpr std::uint32_t kDigits = 1U << kDigitBits;
  swapped_.resize(part.size());
  std::span<Scored> from = part;
  std::span<Scored> to = swapped_;
  const auto by_digit = [&](auto digit_of) {
    std::array<std::uint32_t, kDigits> place{};
    for (const Scored& token : from) ++place[digit_of(token)];
    std::exclusive_scan(place.begin(), place.end(), place.begin(), 0U);
    for (const Scored& token : from) to[place[digit_of(token)]++] = token;
    std::swap(from, to);
  };
  // Each pass keeps the order of the one before it: first by id, which decides between equal logits (22 bits: 4M
  // tokens).
  for (const int shift : {0, kDigitBits})
    by_digit([=](const Scored& token) { return static_cast<std::uint32_t>(token.id) >> shift & (kDigits - 1); });
  for (const int shift : {0, kDigitBits, 2 * kDigitBits}) {
    by_digit([=](const Scored& token) {
      const auto bits = std::bit_cast<std::uint32_t>(token.logit + 0.0F);  // -0 and 0 are equal
      const std::uint32_t descending = (bits >> 31) != 0 ? bits : ~bits & 0x7fffffffU;
      return descending >> shift & (kDigits - 1);
    });
  }
  std::ranges::copy(from, part.begin());  // five passes: the last one ended in the other half
}

/// Moves the fewest likeliest tokens that reach top_p to the front and returns their number. Looks at 64 tokens, then
/// at 512 more, then at all: a peaked distribution never has its long tail sorted.
std::size_t Sampler::keep_top_p(std::size_t count, double top_p) {
  const float highest = std::max_element(scored_.begin(), scored_.begin() + static_cast<std::ptrdiff_t>(count),
                                         [](const Scored& a, const Scored& b) { return a.logit < b.logit; })
                            ->logit;
  double total = 0.0;
  for (std::size_t i = 0; i < count; ++i) total += std::exp(static_cast<double>(scored_[i].logit) - highest);
  double before = 0.0;  // mass of the tokens that are likelier than the one looked at
  std::size_t sorted = 0;
  for (std::size_t part = 64; sorted < count; part = part == 64 ? 512 : count) {
    const std::size_t end = std::min(count, sorted + part);
    const auto begin = scored_.begin() + static_cast<std::ptrdiff_t>(sorted);
    if (part < count) {
      std::partial_sort(begin, scored_.begin() + static_cast<std::ptrdiff_t>(end),
                        scored_.begin() + static_cast<std::ptrdiff_t>(count), likelier);
    } else {
      sort_likeliest(std::span(scored_).subspan(sorted, count - sorted));
    }
    for (; sorted < end; ++sorted) {
      if (sorted > 0 && before >= top_p * total) return sorted;
      before += std::exp(static_cast<double>(scored_[sorted].logit) - highest);
    }
  }
  return count;
}

std::span<const Sampler::Candidate> Sampler::candidates(std::span<const float> logits,
                                                        std::span<const std::int32_t> history,
                                                        const SamplingOptions& options) {
  CORBEL_CHECK(logits.size() == scored_.size(), logits.size(), " logits for a vocabulary of ", scored_.size());
  for (std::size_t i = 0; i < logits.size(); ++i) scored_[i] = {logits[i], static_cast<std::int32_t>(i)};
  if (options.repetition_penalty != 1.0) penalize(history, options.repetition_penalty);
  if (options.temperature > 0.0) {
    const auto temperature = static_cast<float>(options.temperature);
    for (Scored& token : scored_) token.logit /= temperature;
  }

  std::size_t count = scored_.size();
  if (options.top_k > 0 && options.top_k < static_cast<std::int64_t>(count)) {
    count = static_cast<std::size_t>(options.top_k);
    std::nth_element(scored_.begin(), scored_.begin() + options.top_k - 1, scored_.end(), likelier);
  }
  if (options.top_p < 1.0) count = keep_top_p(count, options.top_p);

  const auto end = scored_.begin() + static_cast<std::ptrdiff_t>(count);
  const float highest =
      std::max_element(scored_.begin(), end, [](const Scored& a, const Scored& b) { return a.logit < b.logit; })->logit;
  candidates_.clear();
  double total = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    const double relative = std::exp(static_cast<double>(scored_[i].logit) - highest);
    if (relative < options.min_p) continue;
    candidates_.push_back({scored_[i].id, relative});
  }
  // Ascending ids: a filter that removes nothing changes no sampled token.
  if (count < scored_.size()) {
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  }
  for (const Candidate& candidate : candidates_) total += candidate.probability;
  for (Candidate& candidate : candidates_) candidate.probability /= total;
  return candidates_;
}

std::int32_t Sampler::sample(std::span<const float> logits, std::span<const std::int32_t> history,
                             const SamplingOptions& options, std::uint64_t position) {
  if (options.temperature == 0.0) {
    if (options.repetition_penalty == 1.0) return argmax(logits);
    for (std::size_t i = 0; i < logits.size(); ++i) scored_[i] = {logits[i], static_cast<std::int32_t>(i)};
    penalize(history, options.repetition_penalty);
    return std::min_element(scored_.begin(), scored_.end(), likelier)->id;
  }
  const std::span<const Candidate> remaining = candidates(logits, history, options);
  const double drawn = uniform({options.seed, options.choice, position});
  double reached = 0.0;
  for (const Candidate& candidate : remaining) {
    reached += candidate.probability;
    if (drawn < reached) return candidate.id;
  }
  // Rounding may leave the sum a little below 1: the last token that can be drawn at all.
  const auto last = std::find_if(remaining.rbegin(), remaining.rend(),
                                 [](const Candidate& candidate) { return candidate.probability > 0.0; });
  return last == remaining.rend() ? remaining.back().id : last->id;
}

}  // namespace corbel
