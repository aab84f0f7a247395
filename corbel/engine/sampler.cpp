#include "corbel/engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

namespace corbel {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
constexpr float kLowest = std::numeric_limits<float>::lowest();  // -infinity may not be chosen
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
  masses_.resize(blocks * kLogitBlock);
  bucket_weights_.resize(ScoreBuckets::kBelow + 1);
  ranked_.reserve(blocks * kLogitBlock);
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
  for (const auto& change : history_.changes(input.history, input.prompt_tokens, input.repeats, input.options)) {
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
  if (input.options.has_penalties() || !input.options.logit_bias.empty() || !input.repeats.empty())
    change_scores(input);
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

void Sampler::add_up() noexcept { total_ = std::accumulate(mass_.begin(), mass_.end(), std::uint64_t{0}); }

/// Masses of the blocks that have a score of at least `least`; the others have none.
void Sampler::fill(float least) {
  least = std::max(least, top_ + kNoMass);
  for (std::size_t block = 0; block < mass_.size(); ++block) {
    mass_[block] = highest_[block] >= least ? fill_masses(scores_of(block), top_, masses_of(block)) : 0;
  }
  add_up();
}

/// The fewest tokens, highest scores first, whose weights reach `limit`. Scores below `least` are not needed for that.
Sampler::Cut Sampler::find_cut(float least, std::uint64_t limit, Weight weight) {
  constexpr float kMostDepth = 40.0F;  // deeper scores share the last bucket
  const float depth = std::min(kMostDepth, top_ - least);
  buckets_ = {top_, static_cast<float>(ScoreBuckets::kLast) / std::max(depth, 1e-30F), least};
  std::ranges::fill(bucket_weights_, 0);
  std::int32_t buckets[kLogitBlock];
  for (std::size_t block = 0; block < highest_.size(); ++block) {
    if (highest_[block] < least) continue;
    buckets_.find(scores_of(block), buckets);
    if (weight == Weight::one) {
      for (const std::int32_t bucket : buckets) ++bucket_weights_[static_cast<std::size_t>(bucket)];
    } else if (mass_[block] > 0) {
      const float* const masses = masses_of(block);
      for (std::size_t i = 0; i < kLogitBlock; ++i) {
        bucket_weights_[static_cast<std::size_t>(buckets[i])] += static_cast<std::int64_t>(masses[i]);
      }
    }
  }
  std::int32_t bucket = 0;
  while (bucket < ScoreBuckets::kLast && bucket_weights_[static_cast<std::size_t>(bucket)] < limit) {
    limit -= bucket_weights_[static_cast<std::size_t>(bucket++)];
  }
  list_bucket(bucket, weight);
  if (ranked_.empty()) return {least, static_cast<std::int32_t>(vocab_)};
  const std::int32_t id = cut_.find(ranked_, limit).id;
  return {scores_[static_cast<std::size_t>(id)], id};
}

/// ranked_: the tokens of one bucket.
void Sampler::list_bucket(std::int32_t bucket, Weight weight) {
  ranked_.clear();
  std::int32_t buckets[kLogitBlock];
  for (std::size_t block = 0; block < highest_.size(); ++block) {
    if (buckets_.of(highest_[block]) > bucket || (weight == Weight::mass && mass_[block] == 0)) continue;
    buckets_.find(scores_of(block), buckets);
    for (std::size_t i = 0; i < kLogitBlock; ++i) {
      if (buckets[i] != bucket) continue;
      const std::size_t id = block * kLogitBlock + i;
      ranked_.push_back({static_cast<std::int32_t>(id), highest_first(scores_[id]),
                         weight == Weight::one ? 1 : static_cast<std::uint64_t>(masses_[id])});
    }
  }
}

/// Masses beyond the cut become 0.
void Sampler::keep(const Cut& cut) {
  for (std::size_t block = 0; block < mass_.size(); ++block) {
    if (mass_[block] == 0) continue;
    if (highest_[block] < cut.score) {
      mass_[block] = 0;
      continue;
    }
    const float* const scores = scores_of(block);
    float* const masses = masses_of(block);
    for (std::size_t i = kLogitBlock; i-- > 0 && static_cast<std::int64_t>(block * kLogitBlock + i) > cut.id;) {
      if (scores[i] == cut.score) masses[i] = 0.0F;
    }
    mass_[block] = keep_scores(scores, cut.score, masses);
  }
  add_up();
}

void Sampler::keep_likely(double min_p) {
  const auto least = static_cast<float>(min_p * static_cast<double>(kHighestMass));
  for (std::size_t block = 0; block < mass_.size(); ++block) {
    if (mass_[block] > 0) mass_[block] = keep_masses(least, masses_of(block));
  }
  add_up();
}

/// A bound that at least `count` scores reach: so many blocks have one.
float Sampler::least_of_top_k(std::int64_t count) {
  if (count > std::ssize(highest_)) return kLowest;
  std::ranges::copy(highest_, ordered_.begin());
  const auto place = ordered_.begin() + (count - 1);
  std::nth_element(ordered_.begin(), place, ordered_.end(), std::greater());
  return std::max(*place, kLowest);
}

/// A bound so low that all scores below it together have less than the share 1 - `kept` of the mass.
float Sampler::least_before_tail(double kept) const {
  const double tail = (1.0 - kept) * static_cast<double>(total_) / static_cast<double>(vocab_);
  return static_cast<float>(static_cast<double>(top_) + log_mass(tail) - kMargin);
}

/// Scores become distances from the average surprise, negated.
void Sampler::keep_typical(double share) {
  double sum = 0.0;
  for (std::size_t block = 0; block < mass_.size(); ++block) {
    if (mass_[block] > 0) sum += sum_mass_distance(scores_of(block), top_, masses_of(block));
  }
  // A token's surprise is ln(total) - (score - top); the entropy is its mean. The difference has no ln(total) in it.
  const auto center = static_cast<float>(static_cast<double>(top_) + sum / static_cast<double>(total_));
  for (std::size_t block = 0; block < mass_.size(); ++block) {
    highest_[block] = mass_[block] > 0 ? negate_distances(scores_of(block), center, masses_of(block)) : kNone;
  }
  top_ = highest_of(highest_);
  keep(find_cut(kLowest, part_of(share, total_), Weight::mass));
}

/// XTC: now and then, of the tokens that reach the threshold, only the least likely one remains.
void Sampler::leave_out_likeliest(const SampleInput& input) {
  const SamplingOptions& options = input.options;
  const double drawn = uniform({options.seed, options.choice, input.position, DrawPurpose::leave_out_likeliest});
  if (drawn >= options.xtc_probability) return;
  const std::uint64_t least = part_of(options.xtc_threshold, total_);
  float* survivor = nullptr;  // the mass of the least likely one so far; of equal ones the higher id
  for (std::size_t block = 0; block < mass_.size(); ++block) {
    if (mass_[block] < least) continue;
    for (float& mass : std::span(masses_of(block), kLogitBlock)) {
      if (static_cast<std::uint64_t>(mass) < least) continue;
      if (survivor == nullptr) {
        survivor = &mass;
        continue;
      }
      float& gone = mass <= *survivor ? *std::exchange(survivor, &mass) : mass;
      mass_[static_cast<std::size_t>(&gone - masses_.data()) / kLogitBlock] -= static_cast<std::uint64_t>(gone);
      gone = 0.0F;
    }
  }
  add_up();
}

void Sampler::filter(const SampleInput& input) {
  const SamplingOptions& options = input.options;
  if (options.top_k > 0 && options.top_k < vocab_) {
    const Cut cut = find_cut(least_of_top_k(options.top_k), static_cast<std::uint64_t>(options.top_k), Weight::one);
    fill(cut.score);
    keep(cut);
  } else if (options.top_p == 1.0 && options.min_p > 0.0) {
    fill(static_cast<float>(static_cast<double>(top_) + std::log(options.min_p) - kMargin));
  } else {
    fill(kLowest);
  }
  if (options.top_p < 1.0)
    keep(find_cut(least_before_tail(options.top_p), part_of(options.top_p, total_), Weight::mass));
  if (options.min_p > 0.0) keep_likely(options.min_p);
  if (options.typical_p < 1.0) keep_typical(options.typical_p);
  if (options.xtc_probability > 0.0) leave_out_likeliest(input);
}

/// The first token at which the masses, ascending by id, add up to more than a part of the whole.
std::int32_t Sampler::draw(std::uint64_t word) const {
  std::uint64_t rest = uniform_below(word, total_);
  std::size_t block = 0;
  while (rest >= mass_[block]) rest -= mass_[block++];
  std::size_t id = block * kLogitBlock;
  while (rest >= static_cast<std::uint64_t>(masses_[id])) rest -= static_cast<std::uint64_t>(masses_[id++]);
  return static_cast<std::int32_t>(id);
}

std::int32_t Sampler::sample(const SampleInput& input) {
  const SamplingOptions& options = input.options;
  if (options.is_greedy()) {
    const bool unchanged = input.allowed.empty() && input.banned_ids.empty() && input.repeats.empty() &&
                           options.logit_bias.empty() && !options.has_penalties();
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
  candidates_.clear();
  for (std::size_t block = 0; block < mass_.size(); ++block) {
    if (mass_[block] == 0) continue;
    for (std::size_t id = block * kLogitBlock; id < (block + 1) * kLogitBlock; ++id) {
      if (masses_[id] == 0.0F) continue;
      const double share = static_cast<double>(masses_[id]) / static_cast<double>(total_);
      candidates_.push_back({static_cast<std::int32_t>(id), share});
    }
  }
  return candidates_;
}

}  // namespace corbel
