#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "corbel/engine/sampler.h"

namespace corbel {

/// What docs/sampling.md says, word by word and slowly: sorts everything, exact to a double's rounding.
class NaiveSampler {
 public:
  struct Remaining {
    std::map<std::int32_t, double> probabilities;
    bool is_on_border = false;  // rounding decides what a filter keeps
  };

  static Remaining candidates(const SampleInput& input) {
    NaiveSampler work(input);
    const SamplingOptions& options = input.options;
    const auto surprise = [](const Token& token) { return -token.score; };
    if (options.top_k > 0) work.keep_first(static_cast<std::size_t>(options.top_k), surprise);
    if (options.top_p < 1.0) work.keep_share(options.top_p, surprise);
    if (options.min_p > 0.0) work.keep_likely(options.min_p);
    if (options.typical_p < 1.0) {
      const double entropy = work.entropy();
      const double total = work.log_total();
      work.keep_share(options.typical_p, [=](const Token& token) { return std::abs(total - token.score - entropy); });
    }
    if (options.xtc_probability > 0.0) work.leave_out_likeliest(input);
    return work.result();
  }

 private:
  struct Token {
    std::int32_t id;
    double score;
  };

  explicit NaiveSampler(const SampleInput& input) {
    const SamplingOptions& options = input.options;
    const auto temperature = static_cast<float>(options.temperature);
    std::vector<Token> unbanned;
    for (std::int32_t id = 0; id < std::ssize(input.logits); ++id) {
      const auto word = static_cast<std::size_t>(id / 64);
      const bool is_masked =
          !input.allowed.empty() && (word >= input.allowed.size() || (input.allowed[word] >> (id % 64) & 1) == 0);
      if (is_masked) continue;
      unbanned.push_back({id, static_cast<double>(penalized(input, id) / temperature)});
    }
    for (const Token& token : unbanned) {
      if (std::ranges::find(input.banned_ids, token.id) == input.banned_ids.end()) tokens_.push_back(token);
    }
    if (tokens_.empty()) tokens_ = unbanned;
  }

  static float penalized(const SampleInput& input, std::int32_t id) {
    const SamplingOptions& options = input.options;
    float logit = input.logits[static_cast<std::size_t>(id)];
    for (const TokenBias& entry : options.logit_bias) logit += entry.id == id ? entry.bias : 0.0F;
    const std::int64_t length = std::ssize(input.history);
    std::int64_t first = 0;
    if (options.penalty_window > 0) first = std::max<std::int64_t>(0, length - options.penalty_window);
    int everywhere = 0;
    int in_answer = 0;
    for (std::int64_t at = first; at < length; ++at) {
      if (input.history[static_cast<std::size_t>(at)] != id) continue;
      ++everywhere;
      in_answer += static_cast<int>(at >= input.prompt_tokens);
    }
    const auto repetition = static_cast<float>(options.repetition_penalty);
    if (everywhere > 0) logit = logit < 0.0F ? logit * repetition : logit / repetition;
    logit -= static_cast<float>(options.frequency_penalty) * static_cast<float>(in_answer);
    if (in_answer > 0) logit -= static_cast<float>(options.presence_penalty);
    std::int64_t longest = 0;
    for (const DryRepeat& repeat : input.repeats) longest = std::max(longest, repeat.id == id ? repeat.tokens : 0);
    if (longest > 0) {
      const double more = static_cast<double>(longest - options.dry_allowed_length);
      logit -= static_cast<float>(std::min(options.dry_multiplier * std::pow(options.dry_base, more), 1e6));
    }
    return logit;
  }

  double log_total() const {
    double highest = -std::numeric_limits<double>::infinity();
    for (const Token& token : tokens_) highest = std::max(highest, token.score);
    double sum = 0.0;
    for (const Token& token : tokens_) sum += std::exp(token.score - highest);
    return highest + std::log(sum);
  }
  double entropy() const {
    const double total = log_total();
    double sum = 0.0;
    for (const Token& token : tokens_) sum += std::exp(token.score - total) * (total - token.score);
    return sum;
  }

  template <typename Rank>
  void sort_by(const Rank& rank) {
    std::ranges::sort(tokens_, [&](const Token& a, const Token& b) {
      return rank(a) < rank(b) || (rank(a) == rank(b) && a.id < b.id);
    });
  }
  template <typename Rank>
  void keep_first(std::size_t count, const Rank& rank) {
    sort_by(rank);
    if (count < tokens_.size()) tokens_.resize(count);
  }
  template <typename Rank>
  void keep_share(double share, const Rank& rank) {
    constexpr double kNear = 2e-6;  // floats' rounding of probabilities and distances
    sort_by(rank);
    const double total = log_total();
    double before = 0.0;
    std::size_t kept = 0;
    while (kept < tokens_.size() && (kept == 0 || before < share)) {
      before += std::exp(tokens_[kept++].score - total);
      if (std::abs(before - share) < kNear) is_on_border_ = true;
    }
    if (kept < tokens_.size() && tokens_[kept].score != tokens_[kept - 1].score &&
        std::abs(rank(tokens_[kept]) - rank(tokens_[kept - 1])) < 20 * kNear) {
      is_on_border_ = true;
    }
    tokens_.resize(kept);
  }
  void keep_likely(double min_p) {
    double highest = -std::numeric_limits<double>::infinity();
    for (const Token& token : tokens_) highest = std::max(highest, token.score);
    std::erase_if(tokens_, [&](const Token& token) {
      const double likelihood = std::exp(token.score - highest);
      if (std::abs(likelihood - min_p) < 1e-6 * min_p && likelihood != 1.0) is_on_border_ = true;
      return likelihood < min_p;
    });
  }
  void leave_out_likeliest(const SampleInput& input) {
    const SamplingOptions& options = input.options;
    const SampleKey key{options.seed, options.choice, input.position, DrawPurpose::leave_out_likeliest};
    if (uniform(key) >= options.xtc_probability) return;
    const double total = log_total();
    sort_by([](const Token& token) { return -token.score; });
    std::size_t above = 0;
    for (const Token& token : tokens_) {
      const double probability = std::exp(token.score - total);
      if (std::abs(probability - options.xtc_threshold) < 1e-6) is_on_border_ = true;
      above += static_cast<std::size_t>(probability >= options.xtc_threshold);
    }
    if (above > 1) tokens_.erase(tokens_.begin(), tokens_.begin() + static_cast<std::ptrdiff_t>(above - 1));
  }

  Remaining result() const {
    Remaining remaining{.is_on_border = is_on_border_};
    const double total = log_total();
    for (const Token& token : tokens_) remaining.probabilities[token.id] = std::exp(token.score - total);
    return remaining;
  }

  std::vector<Token> tokens_;
  bool is_on_border_ = false;
};

}  // namespace corbel
