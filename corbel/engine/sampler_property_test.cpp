#include <gtest/gtest.h>

#include <random>

#include "corbel/engine/test_naive_sampler.h"

namespace corbel {
namespace {

/// Random rows, histories, masks and options. Every size of vocabulary, blocks and tails; rows with many equal logits.
class Inputs {
 public:
  explicit Inputs(unsigned seed) : random_(seed) {
    const std::int64_t sizes[] = {1, 2, 63, 64, 65, 100, 640, 1000, 2500, 6001};
    const std::int64_t vocab = pick(3) == 0 ? 1 + pick(300) : sizes[pick(std::size(sizes))];
    logits.resize(static_cast<std::size_t>(vocab));
    const float spreads[] = {0.0F, 0.02F, 0.7F, 2.5F, 8.0F};
    const float spread = spreads[pick(std::size(spreads))];
    const bool steps = pick(3) == 0;  // few different values
    std::normal_distribution<float> normal(0.0F, 1.0F);
    for (float& logit : logits) {
      logit = spread * normal(random_);
      if (steps) logit = std::round(logit * 2.0F) * 0.5F;
    }
    make_history();
    if (pick(3) == 0) make_mask();
    if (pick(4) == 0) {
      for (int i = 0; i < 3; ++i) banned.push_back(any_id());
    }
    make_options();
  }

  SampleInput input() const {
    return {.logits = logits,
            .history = history,
            .prompt_tokens = prompt_tokens,
            .options = options,
            .position = 7,
            .allowed = allowed,
            .repeats = repeats,
            .banned_ids = banned};
  }

  std::vector<float> logits;
  std::vector<std::int32_t> history;
  std::int64_t prompt_tokens = 0;
  SamplingOptions options;
  std::vector<std::uint64_t> allowed;
  std::vector<DryRepeat> repeats;
  std::vector<std::int32_t> banned;

 private:
  std::int64_t pick(std::size_t below) { return static_cast<std::int64_t>(random_() % below); }
  std::int32_t any_id() { return static_cast<std::int32_t>(pick(logits.size())); }
  double between(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }

  void make_history() {
    history.resize(static_cast<std::size_t>(pick(60)));
    for (auto& id : history) id = pick(10) == 0 ? static_cast<std::int32_t>(logits.size()) + 5 : any_id();
    prompt_tokens = pick(history.size() + 1);
  }
  void make_mask() {
    allowed.resize((logits.size() + 63) / 64);
    const std::size_t odds[] = {2, 2, 30, 400};
    const std::size_t one_in = odds[pick(4)];
    for (std::size_t id = 0; id < logits.size(); ++id) {
      if (pick(one_in) == 0) allowed[id / 64] |= std::uint64_t{1} << (id % 64);
    }
    const auto sure = static_cast<std::size_t>(any_id());
    allowed[sure / 64] |= std::uint64_t{1} << (sure % 64);
    if (pick(2) == 0) allowed.back() |= ~std::uint64_t{0} << (logits.size() % 64);  // bits beyond the vocabulary
    if (pick(2) == 0) allowed.push_back(~std::uint64_t{0});
  }
  void make_options() {
    options.temperature = std::pow(10.0, between(-1.0, 0.7));
    if (pick(3) == 0) options.top_k = 1 + pick(pick(2) == 0 ? 50 : logits.size() + 10);
    if (pick(3) == 0) options.top_p = between(0.01, 0.9999);
    if (pick(4) == 0) options.min_p = std::pow(10.0, between(-5.0, 0.0));
    if (pick(4) == 0) options.typical_p = between(0.05, 0.99);
    if (pick(3) == 0) options.repetition_penalty = between(0.5, 2.0);
    if (pick(3) == 0) options.presence_penalty = between(-2.0, 2.0);
    if (pick(3) == 0) options.frequency_penalty = between(-2.0, 2.0);
    if (pick(3) == 0) options.penalty_window = 1 + pick(40);
    if (pick(5) == 0) {
      options.xtc_probability = 1.0;
      options.xtc_threshold = std::pow(10.0, between(-3.0, -0.3));
    }
    for (std::int64_t i = pick(3) == 0 ? 4 : 0; i > 0; --i) {
      options.logit_bias.push_back({any_id(), static_cast<float>(between(-8.0, 8.0))});
    }
    options.sort_bias();
    if (pick(4) == 0) {
      options.dry_multiplier = between(0.1, 2.0);
      options.dry_base = between(1.0, 2.0);
      options.dry_allowed_length = 1 + pick(4);
      for (std::int64_t i = pick(8); i >= 0; --i) repeats.push_back({any_id(), options.dry_allowed_length + pick(12)});
    }
  }

  std::mt19937 random_;
};

TEST(SamplerProperty, LeavesWhatANaiveSamplerLeavesForAnyOptionsMaskAndVocabulary) {
  int compared = 0;
  constexpr unsigned kCases = 4000;
  for (unsigned seed = 0; seed < kCases; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const Inputs inputs(seed);
    ASSERT_TRUE(inputs.options.validate(std::ssize(inputs.logits)));
    const NaiveSampler::Remaining expected = NaiveSampler::candidates(inputs.input());
    if (expected.is_on_border) continue;
    ++compared;
    Sampler sampler(std::ssize(inputs.logits));
    double total = 0.0;
    std::map<std::int32_t, double> found;
    for (const auto& candidate : sampler.candidates(inputs.input())) {
      found[candidate.id] = candidate.probability;
      total += candidate.probability;
    }
    ASSERT_NEAR(total, 1.0, 1e-9);
    for (const auto& [id, probability] : expected.probabilities) {
      if (probability < 1e-9) continue;  // a few units of mass beside a likeliest token that XTC left out
      ASSERT_TRUE(found.contains(id)) << "token " << id << " of probability " << probability << " is missing";
      ASSERT_NEAR(found[id], probability, 1e-5 * probability + 1e-9) << "token " << id;
    }
    for (const auto& [id, probability] : found) {
      ASSERT_TRUE(expected.probabilities.contains(id)) << "token " << id << " too many, of " << probability;
    }
  }
  EXPECT_GT(compared, kCases * 8 / 10) << "too many cases lie on a border";
}

TEST(SamplerProperty, DrawsOnlyWhatRemainsAndAsOftenAsItsProbability) {
  // Upper quantile of chi-square by Wilson and Hilferty: at most one in 10,000 for each case; seeds are fixed.
  const auto quantile = [](double freedom) {
    const double part = 2.0 / (9.0 * freedom);
    return freedom * std::pow(1.0 - part + 3.719 * std::sqrt(part), 3.0);
  };
  for (unsigned seed = 100; seed < 125; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Inputs inputs(seed);
    if (inputs.logits.size() > 1000) inputs.options.top_k = 200;
    inputs.options.xtc_probability = 0.0;  // is drawn for each position anew
    Sampler sampler(std::ssize(inputs.logits));
    std::map<std::int32_t, double> expected;
    for (const auto& candidate : sampler.candidates(inputs.input())) expected[candidate.id] = candidate.probability;
    constexpr int kDraws = 10000;
    std::map<std::int32_t, int> counted;
    SampleInput input = inputs.input();
    for (int i = 0; i < kDraws; ++i) {
      input.position = static_cast<std::uint64_t>(i);
      ++counted[sampler.sample(input)];
    }
    double chi_square = 0.0;
    double cells = 0.0;
    double rare_mean = 0.0;
    double rare_count = 0.0;
    for (const auto& [id, probability] : expected) {
      const double mean = probability * kDraws;
      const double count = counted.contains(id) ? counted[id] : 0;
      counted.erase(id);
      if (mean < 8.0) {
        rare_mean += mean;
        rare_count += count;
        continue;
      }
      chi_square += (count - mean) * (count - mean) / mean;
      cells += 1.0;
    }
    EXPECT_TRUE(counted.empty()) << "token " << counted.begin()->first << " was drawn and does not remain";
    if (rare_mean >= 8.0) {
      chi_square += (rare_count - rare_mean) * (rare_count - rare_mean) / rare_mean;
      cells += 1.0;
    }
    if (cells > 1.0) {
      EXPECT_LT(chi_square, quantile(cells - 1.0)) << cells << " cells";
    }
  }
}

TEST(SamplerProperty, GreedyTakesTheLikeliestOfWhatANaiveSamplerScores) {
  for (unsigned seed = 0; seed < 1500; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Inputs inputs(seed);
    SamplingOptions plain;
    plain.temperature = 1.0;
    plain.top_k = 1;
    plain.repetition_penalty = inputs.options.repetition_penalty;
    plain.presence_penalty = inputs.options.presence_penalty;
    plain.frequency_penalty = inputs.options.frequency_penalty;
    plain.penalty_window = inputs.options.penalty_window;
    plain.dry_multiplier = inputs.options.dry_multiplier;
    plain.dry_base = inputs.options.dry_base;
    plain.dry_allowed_length = inputs.options.dry_allowed_length;
    plain.logit_bias = inputs.options.logit_bias;
    inputs.options = plain;
    const std::int32_t expected = NaiveSampler::candidates(inputs.input()).probabilities.begin()->first;
    Sampler sampler(std::ssize(inputs.logits));
    EXPECT_EQ(sampler.sample(inputs.input()), expected) << "top_k 1";
    inputs.options.temperature = 0.0;
    inputs.options.top_k = 0;
    EXPECT_EQ(sampler.sample(inputs.input()), expected) << "greedy";
  }
}

}  // namespace
}  // namespace corbel
