#include "corbel/engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "corbel/engine/sampler_passes.h"

namespace corbel {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
/// Added to bounds that are computed with logarithms: more than their rounding.
constexpr double kMargin = 1e-3;

/// The least mass that is `share` of `total`, at least 1.
std::uint64_t part_of(double share, std::uint64_t total) {
  const auto part = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total)));
  return std::clamp<std::uint64_t>(part, 1, total);
}

/// ln(mass / mass of the likeliest token).
double log_mass(double mass) { return std::log(mass / static_cast<double>(kHighestMass)); }

}  // namespace

std::int32_t argmax(std::span<const float> values) noexcept {
  const std::size_t whole = values.size() / kLogitBlock * kLogitBlock;
  float highest = kNone;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < whole; at += kLogitBlock) {
    const float here = block_highest(values.data() + at);
    if (here <= highest) continue;
    highest = here;
    begin = at;
  }
  if (whole < values.size() && highest_of(values.subspan(whole)) > highest) {
    highest = highest_of(values.subspan(whole));
    begin = whole;
  }
  while (begin + 1 < values.size() && values[begin] != highest) ++begin;
  return static_cast<std::int32_t>(begin);
}

Sampler::Sampler(std::int64_t vocab) : vocab_(vocab), history_(vocab) {
  const auto blocks = static_cast<std::size_t>(logit_blocks(vocab));
  scores_.resize(blocks * kLogitBlock);
  highest_.resize(blocks);
  ordered_.resize(blocks);
  mass_.resize(blocks);
  list_.resize(blocks * kLogitBlock);
}

bool Sampler::is_allowed(const SampleInput& input, std::int32_t id) const {
  if (id < 0 || id >= vocab_) return false;
  if (input.allowed.empty()) return true;
  const auto word = static_cast<std::size_t>(id / kLogitBlock);
  return word < input.allowed.size() && (input.allowed[word] >> (id % kLogitBlock) & 1) != 0;
}

void Sampler::score_block(const SampleInput& input, std::int64_t block) {
  const auto index = static_cast<std::size_t>(block);
  const bool masked = !input.allowed.empty();
  const std::uint64_t word = !masked ? ~std::uint64_t{0} : index < input.allowed.size() ? input.allowed[index] : 0;
  highest_[index] = kNone;
  if (word == 0) return;
  const float* from = input.logits.data() + block * kLogitBlock;
  float* const to = scores_.data() + block * kLogitBlock;
  float tail[kLogitBlock];
  if ((block + 1) * kLogitBlock > vocab_) {
    std::fill(std::begin(tail), std::end(tail), kNone);
    std::copy(from, input.logits.data() + vocab_, tail);
    from = tail;
  }
  if (std::popcount(word) < kLogitBlock / 2) {
    std::fill(to, to + kLogitBlock, kNone);
    for (std::uint64_t rest = word; rest != 0; rest &= rest - 1) {
      const int i = std::countr_zero(rest);
      to[i] = from[i] / divisor_;
    }
    highest_[index] = block_highest(to);
    return;
  }
  highest_[index] = divide_block(from, divisor_, to);
  if (~word == 0) return;
  for (std::uint64_t rest = ~word; rest != 0; rest &= rest - 1) to[std::countr_zero(rest)] = kNone;
  highest_[index] = block_highest(to);
}

void Sampler::set_score(std::int32_t id, float score) {
  const auto block = static_cast<std::size_t>(id / kLogitBlock);
  float& highest = highest_[block];
  const float old = std::exchange(scores_[static_cast<std::size_t>(id)], score);
  if (score >= highest)
    highest = score;
  else if (old == highest)
    highest = block_highest(scores_.data() + block * kLogitBlock);
}

void Sampler::change_scores(const SampleInput& input) {
  for (const auto& change : history_.changes(input.history, input.prompt_tokens, input.options)) {
    if (!is_allowed(input, change.id)) continue;
    const float logit = input.logits[static_cast<std::size_t>(change.id)];
    set_score(change.id, SamplerHistory::changed(logit, change, input.options) / divisor_);
  }
}

/// scores_, highest_ and top_.
void Sampler::score(const SampleInput& input) {
  CORBEL_CHECK(std::ssize(input.logits) == vocab_, input.logits.size(), " logits for a vocabulary of ", vocab_);
  CORBEL_CHECK(input.prompt_tokens >= 0 && input.prompt_tokens <= std::ssize(input.history), input.prompt_tokens,
               " prompt tokens in a history of ", input.history.size());
  const double most = std::numeric_limits<float>::max();
  divisor_ = input.options.is_greedy() ? 1.0F : static_cast<float>(std::min(input.options.temperature, most));
  for (std::int64_t block = 0; block < std::ssize(highest_); ++block) score_block(input, block);
  if (input.options.has_penalties() || !input.options.logit_bias.empty()) change_scores(input);
  for (const std::int32_t id : input.banned_ids) {
    if (is_allowed(input, id)) set_score(id, kNone);
  }
  top_ = highest_of(highest_);
  if (top_ > kNone) return;
  CORBEL_CHECK(!input.banned_ids.empty(), "a mask that allows no token");
  SampleInput unbanned = input;
  unbanned.banned_ids = {};
  score(unbanned);
}

/// mass_ and total_ of the whole row.
void Sampler::sum_masses() {
  constexpr float kNoMass = -29.0F;  // 2^40 exp(-29) < 1/2
  total_ = 0;
  for (std::size_t block = 0; block < mass_.size(); ++block) {
    const bool counts = highest_[block] - top_ > kNoMass;
    mass_[block] = counts ? block_mass(scores_.data() + block * kLogitBlock, top_) : 0;
    total_ += mass_[block];
  }
}

/// Lists the tokens with scores of at least `least` that can be drawn at all.
void Sampler::gather(float least) {
  double masses[kLogitBlock];
  std::size_t count = 0;
  for (std::size_t block = 0; block < highest_.size(); ++block) {
    if (highest_[block] == kNone || highest_[block] < least) continue;
    const std::size_t begin = block * kLogitBlock;
    block_masses(scores_.data() + begin, top_, masses);
    for (std::size_t i = 0; i < kLogitBlock; ++i) {
      const float score = scores_[begin + i];
      list_[count] = {static_cast<std::int32_t>(begin + i), likeliest_first(score),
                      static_cast<std::uint64_t>(masses[i])};
      count += static_cast<std::size_t>(score >= least && masses[i] > 0.0);
    }
  }
  is_listed_ = true;
  keep_listed(count);
}

/// The first `count` of the list, and their mass.
void Sampler::keep_listed(std::size_t count) {
  listed_ = count;
  total_ = 0;
  for (const SamplerCandidate& candidate : listed()) total_ += candidate.mass;
}

/// A bound that at least `count` scores reach: so many blocks have one.
float Sampler::least_of_top_k(std::int64_t count) {
  if (count > std::ssize(highest_)) return kNone;
  std::ranges::copy(highest_, ordered_.begin());
  const auto place = ordered_.begin() + (count - 1);
  std::nth_element(ordered_.begin(), place, ordered_.end(), std::greater());
  return *place;
}

/// A bound so low that all scores below it together have less than the share 1 - `kept` of the mass. Half of it: masses
/// are rounded.
float Sampler::least_before_tail(double kept) const {
  const double tail = (1.0 - kept) * static_cast<double>(total_) / static_cast<double>(2 * vocab_);
  return static_cast<float>(static_cast<double>(top_) + log_mass(tail) - kMargin);
}

/// Mean of score - top_ over what remains, by mass.
double Sampler::mean_below() const {
  double sum = 0.0;
  if (is_listed_) {
    for (const SamplerCandidate& candidate : listed()) {
      sum += static_cast<double>(candidate.mass) *
             static_cast<double>(scores_[static_cast<std::size_t>(candidate.id)] - top_);
    }
  } else {
    for (std::size_t block = 0; block < mass_.size(); ++block) {
      if (mass_[block] > 0) sum += block_mass_below(scores_.data() + block * kLogitBlock, top_);
    }
  }
  return sum / static_cast<double>(total_);
}

void Sampler::keep_typical(double share) {
  const double log_total = log_mass(static_cast<double>(total_));
  const double entropy = log_total - mean_below();
  const std::uint64_t limit = part_of(share, total_);
  if (!is_listed_) {
    // Tokens of the tail surprise more than the average by at least this; when the likeliest ones surprise less by
    // more, the order may reach into the tail, and all are listed.
    const float least = least_before_tail(share);
    const double tail_distance = log_total - static_cast<double>(least - top_) - entropy;
    gather(tail_distance > entropy ? least : kNone);
  }
  for (SamplerCandidate& candidate : listed()) {
    const double below = scores_[static_cast<std::size_t>(candidate.id)] - top_;
    candidate.key = std::bit_cast<std::uint32_t>(static_cast<float>(std::abs(log_total - below - entropy)));
  }
  keep_listed(cut_.keep_mass(listed(), limit));
}

/// XTC: now and then, of the tokens that reach the threshold, only the least likely one remains.
void Sampler::leave_out_likeliest(const SampleInput& input) {
  const SamplingOptions& options = input.options;
  const double drawn = uniform({options.seed, options.choice, input.position, DrawPurpose::leave_out_likeliest});
  if (drawn >= options.xtc_probability) return;
  const std::uint64_t least = part_of(options.xtc_threshold, total_);
  if (!is_listed_) gather(kNone);
  std::size_t survivor = listed_;
  for (std::size_t i = 0; i < listed_; ++i) {
    if (list_[i].mass < least) continue;
    if (survivor == listed_ || list_[i].mass <= list_[survivor].mass) survivor = i;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < listed_; ++i) {
    if (list_[i].mass < least || i == survivor) list_[kept++] = list_[i];
  }
  keep_listed(kept);
}

void Sampler::filter(const SampleInput& input) {
  const SamplingOptions& options = input.options;
  is_listed_ = false;
  if (options.top_k > 0 && options.top_k < vocab_) {
    gather(least_of_top_k(options.top_k));
    keep_listed(cut_.keep_count(listed(), static_cast<std::uint64_t>(options.top_k)));
  } else if (options.top_p < 1.0 || options.min_p == 0.0) {
    sum_masses();
  }
  if (options.top_p < 1.0) {
    const std::uint64_t limit = part_of(options.top_p, total_);
    if (!is_listed_) gather(least_before_tail(options.top_p));
    keep_listed(cut_.keep_mass(listed(), limit));
  }
  if (options.min_p > 0.0) {
    if (!is_listed_) gather(static_cast<float>(static_cast<double>(top_) + std::log(options.min_p) - kMargin));
    const double least = options.min_p * static_cast<double>(kHighestMass);
    const auto gone = std::ranges::remove_if(
        listed(), [=](const SamplerCandidate& candidate) { return static_cast<double>(candidate.mass) < least; });
    keep_listed(static_cast<std::size_t>(gone.begin() - listed().begin()));
  }
  if (options.typical_p < 1.0) keep_typical(options.typical_p);
  if (options.xtc_probability > 0.0) leave_out_likeliest(input);
}

/// The first token at which the masses of what remains, ascending by id, add up to more than a part of the whole.
std::int32_t Sampler::draw(std::uint64_t word) const {
  std::uint64_t rest = uniform_below(word, total_);
  if (is_listed_) {
    std::size_t i = 0;
    while (rest >= list_[i].mass) rest -= list_[i++].mass;
    return list_[i].id;
  }
  std::size_t block = 0;
  while (rest >= mass_[block]) rest -= mass_[block++];
  double masses[kLogitBlock];
  block_masses(scores_.data() + block * kLogitBlock, top_, masses);
  std::size_t i = 0;
  for (; rest >= static_cast<std::uint64_t>(masses[i]); ++i) rest -= static_cast<std::uint64_t>(masses[i]);
  return static_cast<std::int32_t>(block * kLogitBlock + i);
}

std::int32_t Sampler::sample(const SampleInput& input) {
  const SamplingOptions& options = input.options;
  if (options.is_greedy()) {
    const bool unchanged =
        input.allowed.empty() && input.banned_ids.empty() && options.logit_bias.empty() && !options.has_penalties();
    if (unchanged) return argmax(input.logits);
    score(input);
    const auto block = std::ranges::find(highest_, top_) - highest_.begin();
    const auto found = std::find(scores_.begin() + block * kLogitBlock, scores_.end(), top_);
    return static_cast<std::int32_t>(found - scores_.begin());
  }
  score(input);
  filter(input);
  return draw(random_word({options.seed, options.choice, input.position}));
}

std::span<const Sampler::Candidate> Sampler::candidates(const SampleInput& input) {
  score(input);
  filter(input);
  if (!is_listed_) gather(kNone);
  candidates_.clear();
  for (const SamplerCandidate& candidate : listed()) {
    candidates_.push_back({candidate.id, static_cast<double>(candidate.mass) / static_cast<double>(total_)});
  }
  return candidates_;
}

}  // namespace corbel
