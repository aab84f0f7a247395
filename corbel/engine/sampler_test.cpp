#include "corbel/engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

namespace corbel {
namespace {

const std::vector<float> kLogits = {
    4.60582447F, 1.29721785F,   -4.27980328F, -4.25344849F,  5.0485487F,   -0.671536088F, -0.32679376F, -4.25344849F,
    6.53644276F, -1.08505738F,  0.880838633F, -0.161378697F, 1.9215734F,   2.30836797F,   -1.39580739F, 1.94906449F,
    1.86194241F, 0.0791422352F, -2.93103576F, -3.76735091F,  -0.37026155F, 0.928636849F,  0.568128526F, -0.161837935F};

std::span<const Sampler::Candidate> candidates(Sampler& sampler, const std::vector<float>& logits,
                                               const std::vector<std::int32_t>& history,
                                               const SamplingOptions& options) {
  return sampler.candidates({.logits = logits, .history = history, .options = options});
}

std::int32_t sample(Sampler& sampler, const std::vector<float>& logits, const std::vector<std::int32_t>& history,
                    const SamplingOptions& options, std::uint64_t position) {
  return sampler.sample({.logits = logits, .history = history, .options = options, .position = position});
}

TEST(Sampler, AFilterThatRemovesNothingChangesNoToken) {
  Sampler sampler(std::ssize(kLogits));
  const SamplingOptions plain{.temperature = 1.5, .seed = 3};
  std::vector<SamplingOptions> others(5, plain);
  others[0].top_k = std::ssize(kLogits);
  others[1].top_p = 1.0 - 1e-15;
  others[2].min_p = 1e-12;
  others[3].typical_p = 1.0 - 1e-15;
  others[4].xtc_probability = 1.0;
  others[4].xtc_threshold = 1.0;
  for (std::uint64_t position = 0; position < 1000; ++position) {
    const std::int32_t expected = sample(sampler, kLogits, {}, plain, position);
    for (const SamplingOptions& options : others) {
      ASSERT_EQ(sample(sampler, kLogits, {}, options, position), expected) << "position " << position;
    }
  }
}

TEST(Sampler, TemperatureZeroTakesTheFirstOfTheLargestLogits) {
  Sampler sampler(5);
  const std::vector<float> logits = {1.0F, 4.0F, 4.0F, -2.0F, 4.0F};
  EXPECT_EQ(sample(sampler, logits, {}, {}, 0), 1);
  const std::vector<std::int32_t> history = {1};
  EXPECT_EQ(sample(sampler, logits, history, {.repetition_penalty = 2.0}, 0), 2);
}

TEST(Sampler, OfEqualLogitsTopKKeepsTheLowerIds) {
  Sampler sampler(6);
  const std::vector<float> logits = {0.0F, 1.0F, 1.0F, 1.0F, 1.0F, 0.5F};
  const auto kept = candidates(sampler, logits, {}, {.temperature = 1.0, .top_k = 2});
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept[0].id, 1);
  EXPECT_EQ(kept[1].id, 2);
}

TEST(Sampler, ATokenThatOccursTwiceIsPenalizedOnce) {
  Sampler sampler(2);
  const std::vector<float> logits = {2.0F, 1.0F};
  const std::vector<std::int32_t> once = {0};
  const std::vector<std::int32_t> thrice = {0, 0, 0, 999, -1};
  const SamplingOptions options{.temperature = 1.0, .repetition_penalty = 1.5};
  const double expected = candidates(sampler, logits, once, options)[0].probability;
  EXPECT_EQ(candidates(sampler, logits, thrice, options)[0].probability, expected);
  EXPECT_NEAR(expected, 1.0 / (1.0 + std::exp(1.0 - 2.0 / 1.5)), 1e-7);
}

TEST(Sampler, LargeVocabulariesKeepTheSameTokensAsASlowSort) {
  constexpr unsigned kSeed = 17;
  std::mt19937 random(kSeed);
  std::normal_distribution<float> normal(0.0F, 2.0F);
  constexpr std::int64_t kVocab = 20000;
  std::vector<float> logits(kVocab);
  for (float& logit : logits) logit = normal(random);
  Sampler sampler(kVocab);
  for (const double top_p : {0.05, 0.5, 0.9, 0.999}) {
    std::vector<int> order(kVocab);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
    double total = 0.0;
    for (const int id : order) total += std::exp(static_cast<double>(logits[id]));
    double before = 0.0;
    std::vector<std::int32_t> expected;
    for (const int id : order) {
      if (before >= top_p * total) break;
      expected.push_back(id);
      before += std::exp(static_cast<double>(logits[id]));
    }
    std::sort(expected.begin(), expected.end());
    const auto found = candidates(sampler, logits, {}, {.temperature = 1.0, .top_p = top_p});
    ASSERT_EQ(found.size(), expected.size()) << "seed " << kSeed << " top_p " << top_p;
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i].id, expected[i]);
  }
}

TEST(Sampler, DrawsEveryTokenAsOftenAsItsProbabilitySays) {
  Sampler sampler(static_cast<std::int64_t>(kLogits.size()));
  const SamplingOptions options{.temperature = 2.0, .top_k = 8, .seed = 1234};
  std::map<std::int32_t, double> expected;
  for (const auto& candidate : candidates(sampler, kLogits, {}, options))
    expected[candidate.id] = candidate.probability;
  constexpr int kDraws = 200000;
  std::map<std::int32_t, int> counted;
  for (int i = 0; i < kDraws; ++i) ++counted[sample(sampler, kLogits, {}, options, static_cast<std::uint64_t>(i))];
  double chi_square = 0.0;
  for (const auto& [id, probability] : expected) {
    const double mean = probability * kDraws;
    chi_square += (counted[id] - mean) * (counted[id] - mean) / mean;
  }
  EXPECT_EQ(counted.size(), expected.size());
  EXPECT_LT(chi_square, 24.32);  // 7 degrees of freedom, one in a thousand; the seed is fixed
}

TEST(Sampler, TheSameSeedChoiceAndPositionGiveTheSameTokenInAnyOrder) {
  Sampler one(static_cast<std::int64_t>(kLogits.size()));
  Sampler other(static_cast<std::int64_t>(kLogits.size()));
  SamplingOptions options{.temperature = 3.0, .seed = 42};
  std::vector<std::int32_t> forwards;
  for (std::uint64_t position = 0; position < 64; ++position) {
    forwards.push_back(sample(one, kLogits, {}, options, position));
  }
  for (std::uint64_t position = 64; position-- > 0;) {
    EXPECT_EQ(sample(other, kLogits, {}, options, position), forwards[position]);
  }
  options.choice = 1;
  std::vector<std::int32_t> another;
  for (std::uint64_t position = 0; position < 64; ++position) {
    another.push_back(sample(one, kLogits, {}, options, position));
  }
  EXPECT_NE(forwards, another);
}

TEST(Philox, GivesTheKnownAnswersOfRandom123) {
  using Bits = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Bits{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Bits{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Bits{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Sampler, KeepsOfALargeFlatVocabularyWhatAFullSortWould) {
  std::mt19937 random(5);
  std::vector<float> logits(20011);
  for (float& logit : logits) {
    // Few values, of both signs and both zeros: many are equal.
    logit = static_cast<float>(static_cast<int>(random() % 41) - 20) * 0.01F;
    if (logit == 0.0F && random() % 2 == 0) logit = -0.0F;
  }
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::int32_t a, std::int32_t b) { return logits[a] > logits[b]; });
  for (const double top_p : {0.01, 0.02, 0.5, 0.93}) {
    double total = 0.0;
    for (const float logit : logits) total += std::exp(static_cast<double>(logit));
    double before = 0.0;
    std::size_t count = 0;
    while (count == 0 || before < top_p * total) before += std::exp(static_cast<double>(logits[order[count++]]));
    std::vector<std::int32_t> expected(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count));
    std::ranges::sort(expected);
    Sampler sampler(static_cast<std::int64_t>(logits.size()));
    const auto kept = candidates(sampler, logits, {}, {.temperature = 1.0, .top_p = top_p});
    std::vector<std::int32_t> ids;
    for (const auto& candidate : kept) ids.push_back(candidate.id);
    EXPECT_EQ(ids, expected) << top_p;
  }
}

TEST(Philox, EveryPartOfAKeyGivesAnotherNumber) {
  const SampleKey key{.seed = 1, .choice = 2, .position = 3};
  const std::uint64_t word = random_word(key);
  EXPECT_EQ(random_word(key), word);
  EXPECT_NE(random_word({.seed = 2, .choice = 2, .position = 3}), word);
  EXPECT_NE(random_word({.seed = 1, .choice = 3, .position = 3}), word);
  EXPECT_NE(random_word({.seed = 1, .choice = 2, .position = 4}), word);
  EXPECT_NE(random_word({.seed = 1, .choice = 2, .position = 3, .purpose = DrawPurpose::leave_out_likeliest}), word);
}

TEST(Philox, UniformBelowIsTheUpperHalfOfTheProduct) {
  std::mt19937_64 random(9);
  for (int i = 0; i < 10000; ++i) {
    const std::uint64_t word = random() >> (random() % 64);
    const std::uint64_t count = random() >> (random() % 64);
    __extension__ using Wide = unsigned __int128;
    EXPECT_EQ(uniform_below(word, count), static_cast<std::uint64_t>(static_cast<Wide>(word) * count >> 64));
  }
}

TEST(Sampler, OfEqualLogitsEachFilterKeepsTheLowestIds) {
  const std::vector<float> logits(200, 1.5F);
  Sampler sampler(200);
  const auto kept = [&](const SamplingOptions& options) {
    const auto found = candidates(sampler, logits, {}, options);
    EXPECT_EQ(found.front().id, 0);
    EXPECT_EQ(found.back().id, std::ssize(found) - 1) << "no gaps";
    return found.size();
  };
  EXPECT_EQ(kept({.temperature = 1.0}), 200U);
  EXPECT_EQ(kept({.temperature = 1.0, .top_k = 70}), 70U);
  EXPECT_EQ(kept({.temperature = 1.0, .top_p = 0.25}), 50U);
  EXPECT_EQ(kept({.temperature = 1.0, .min_p = 1.0}), 200U);
  EXPECT_EQ(kept({.temperature = 1.0, .typical_p = 0.5}), 100U);
  EXPECT_EQ(sample(sampler, logits, {}, {}, 0), 0);
}

TEST(Sampler, AVocabularyOfOneTokenGivesIt) {
  const std::vector<float> logits = {-7.0F};
  Sampler sampler(1);
  SamplingOptions options{.temperature = 1.0, .top_k = 5, .top_p = 0.1, .min_p = 1.0, .typical_p = 0.1};
  options.logit_bias = {{0, -100.0F}};
  options.xtc_probability = 1.0;
  const std::vector<std::int32_t> banned = {0};
  EXPECT_EQ(sampler.sample({.logits = logits, .options = options, .banned_ids = banned}), 0);
  EXPECT_EQ(sampler.sample({.logits = logits, .options = {}, .banned_ids = banned}), 0);
}

TEST(Sampler, ATopKAboveTheVocabularyKeepsAll) {
  Sampler sampler(std::ssize(kLogits));
  EXPECT_EQ(candidates(sampler, kLogits, {}, {.temperature = 1.0, .top_k = 1000000}).size(), kLogits.size());
}

TEST(Sampler, AHugeTemperatureMakesAllTokensEquallyLikely) {
  Sampler sampler(std::ssize(kLogits));
  for (const double temperature : {1e9, 1e300}) {
    for (const auto& candidate : candidates(sampler, kLogits, {}, {.temperature = temperature})) {
      EXPECT_NEAR(candidate.probability, 1.0 / 24.0, 1e-6);
    }
  }
}

TEST(Sampler, ATemperatureTooSmallToDivideByIsGreedy) {
  std::vector<float> logits = kLogits;
  logits[2] = logits[8] - 1e-5F;
  Sampler sampler(std::ssize(logits));
  for (const double temperature : {1e-300, 1e-40, 1e-6, 2e-5}) {
    for (std::uint64_t position = 0; position < 50; ++position) {
      const std::int32_t id = sample(sampler, logits, {}, {.temperature = temperature}, position);
      EXPECT_TRUE(id == 8 || (id == 2 && temperature > 1e-5)) << id << " at " << temperature;
    }
  }
}

TEST(Sampler, TokensOfVanishingProbabilityAreNeverDrawnAndDoNoHarm) {
  std::vector<float> logits(300, -3e38F);
  logits[130] = 3e38F;
  logits[131] = 3e38F;
  logits[7] = 0.0F;
  Sampler sampler(300);
  const auto found = candidates(sampler, logits, {}, {.temperature = 1.0, .top_p = 0.99, .typical_p = 0.99});
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].id, 130);
  EXPECT_EQ(found[0].probability, 0.5);
}

TEST(Sampler, ABiasOf100DecidesAndOneOfMinus100Excludes) {
  Sampler sampler(std::ssize(kLogits));
  SamplingOptions options{.temperature = 1.0};
  options.logit_bias = {{2, 100.0F}, {8, -100.0F}};
  for (std::uint64_t position = 0; position < 200; ++position) {
    EXPECT_EQ(sample(sampler, kLogits, {}, options, position), 2);
  }
  options.logit_bias = {{8, -100.0F}};
  for (const auto& candidate : candidates(sampler, kLogits, {}, options)) EXPECT_NE(candidate.id, 8);
  options.temperature = 0.0;
  EXPECT_EQ(sample(sampler, kLogits, {}, options, 0), 4) << "the second best";
}

TEST(Sampler, UnderAMaskOfOneTokenNothingElseMatters) {
  std::vector<float> logits(500, 2.0F);
  logits[437] = -90.0F;
  std::vector<std::uint64_t> mask(8);
  mask[437 / 64] = std::uint64_t{1} << (437 % 64);
  SamplingOptions options{.temperature = 0.7, .top_k = 3, .top_p = 0.2, .min_p = 0.5, .typical_p = 0.3};
  options.logit_bias = {{437, -100.0F}};
  options.xtc_probability = 1.0;
  const std::vector<std::int32_t> banned = {437};
  Sampler sampler(500);
  const std::vector<std::int32_t> history(20, 437);
  SampleInput input{.logits = logits, .history = history, .options = options, .allowed = mask};
  EXPECT_EQ(sampler.sample(input), 437);
  input.banned_ids = banned;
  EXPECT_EQ(sampler.sample(input), 437) << "the mask goes before the ban";
  options = {.repetition_penalty = 2.0};
  EXPECT_EQ(sampler.sample(input), 437) << "greedy";
}

TEST(Sampler, BannedTokensAreNotDrawnWhileOthersMayBe) {
  const std::vector<std::int32_t> banned = {8, 4, 0, -5, 1000};
  Sampler sampler(std::ssize(kLogits));
  EXPECT_EQ(sampler.sample({.logits = kLogits, .options = {}, .banned_ids = banned}), 13);
  for (const auto& candidate :
       sampler.candidates({.logits = kLogits, .options = {.temperature = 5.0}, .banned_ids = banned})) {
    EXPECT_TRUE(candidate.id != 8 && candidate.id != 4 && candidate.id != 0) << candidate.id;
  }
}

TEST(Sampler, XtcLeavesOutTheLikeliestAsOftenAsAsked) {
  // Probabilities 0.4, 0.3, 0.2, 0.1: three reach 0.15; of these token 2 remains.
  const std::vector<float> logits = {std::log(0.4F), std::log(0.3F), std::log(0.2F), std::log(0.1F)};
  Sampler sampler(4);
  SamplingOptions options{.temperature = 1.0, .xtc_probability = 0.25, .xtc_threshold = 0.15};
  int left_out = 0;
  constexpr int kDraws = 20000;
  for (int position = 0; position < kDraws; ++position) {
    const auto found =
        sampler.candidates({.logits = logits, .options = options, .position = static_cast<std::uint64_t>(position)});
    if (found.size() == 4) continue;
    ++left_out;
    ASSERT_EQ(found.size(), 2U);
    EXPECT_NEAR(found[0].probability, 2.0 / 3.0, 1e-6);
    EXPECT_EQ(found[0].id, 2);
  }
  EXPECT_NEAR(left_out, kDraws / 4, 200);  // three standard deviations: 184
}

TEST(Sampler, PresenceAndFrequencyCountTheAnswerAndNotThePrompt) {
  const std::vector<float> logits = {1.0F, 1.0F, 1.0F};
  const std::vector<std::int32_t> history = {0, 0, 0, 1, 1};
  const SamplingOptions options{.temperature = 1.0, .presence_penalty = 0.5, .frequency_penalty = 0.25};
  Sampler sampler(3);
  const auto found = sampler.candidates({.logits = logits, .history = history, .prompt_tokens = 3, .options = options});
  EXPECT_EQ(found[0].probability, found[2].probability);
  EXPECT_NEAR(found[1].probability / found[0].probability, std::exp(-1.0), 1e-6);  // 0.5 + 2 x 0.25
}

}  // namespace
}  // namespace corbel
