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
const std::vector<std::int32_t> kHistory = {1, 3, 3, 9, 14, 20};

std::span<const Sampler::Candidate> candidates(Sampler& sampler, const std::vector<float>& logits,
                                               const std::vector<std::int32_t>& history,
                                               const SamplingOptions& options) {
  return sampler.candidates({.logits = logits, .history = history, .options = options});
}

std::int32_t sample(Sampler& sampler, const std::vector<float>& logits, const std::vector<std::int32_t>& history,
                    const SamplingOptions& options, std::uint64_t position) {
  return sampler.sample({.logits = logits, .history = history, .options = options, .position = position});
}

struct Recorded {
  SamplingOptions options;
  std::vector<std::pair<std::int32_t, double>> remaining;  // id, probability
};

// Recorded with transformers 5.23.0, torch 2.15.0: RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
// TopKLogitsWarper, TopPLogitsWarper and MinPLogitsWarper in this order over kLogits and kHistory, then softmax.
const std::vector<Recorded>& recorded() {
  static const std::vector<Recorded> cases = {
      {{.temperature = 0.7},
       {{0, 0.053245311},  {1, 0.000471578},  {2, 0.000000163},  {3, 0.000000170},  {4, 0.100220497},
        {5, 0.000028320},  {6, 0.000046343},  {7, 0.000000170},  {8, 0.839608232},  {9, 0.000015687},
        {10, 0.000260149}, {11, 0.000058696}, {12, 0.001150579}, {13, 0.001999363}, {14, 0.000010063},
        {15, 0.001196664}, {16, 0.001056623}, {17, 0.000082763}, {18, 0.000001123}, {19, 0.000000340},
        {20, 0.000043553}, {21, 0.000278534}, {22, 0.000166422}, {23, 0.000058658}}},
      {{.temperature = 1.0, .top_k = 5},
       {{0, 0.103934940}, {4, 0.161820768}, {8, 0.716503700}, {13, 0.010446935}, {15, 0.007293658}}},
      {{.temperature = 1.0, .top_p = 0.8}, {{4, 0.184238028}, {8, 0.815761972}}},
      {{.temperature = 1.0, .min_p = 0.1}, {{0, 0.105812109}, {4, 0.164743414}, {8, 0.729444477}}},
      {{.temperature = 1.0, .repetition_penalty = 1.3},
       {{0, 0.101014091},  {1, 0.002738185},  {2, 0.000013977},  {3, 0.000004006},  {4, 0.157273173},
        {5, 0.000515767},  {6, 0.000728070},  {7, 0.000014350},  {8, 0.696368034},  {9, 0.000246316},
        {10, 0.002435797}, {11, 0.000859037}, {12, 0.006896465}, {13, 0.010153348}, {14, 0.000164456},
        {15, 0.007088686}, {16, 0.006497243}, {17, 0.001092619}, {18, 0.000053847}, {19, 0.000023332},
        {20, 0.000623813}, {21, 0.002555052}, {22, 0.001781693}, {23, 0.000858643}}},
      {{.temperature = 0.8, .top_k = 12, .top_p = 0.9, .min_p = 0.05, .repetition_penalty = 1.2},
       {{4, 0.134718488}, {8, 0.865281512}}},
      {{.temperature = 2.5, .top_k = 20, .top_p = 0.95, .min_p = 0.02, .repetition_penalty = 0.8},
       {{0, 0.133767082},
        {1, 0.040543654},
        {4, 0.159682870},
        {6, 0.018597978},
        {8, 0.289555622},
        {10, 0.030147615},
        {11, 0.019870155},
        {12, 0.045713777},
        {13, 0.053362995},
        {15, 0.046219238},
        {16, 0.044636295},
        {17, 0.021876812},
        {20, 0.018826899},
        {21, 0.030729561},
        {22, 0.026602941},
        {23, 0.019866506}}},
      {{.temperature = 1.0, .top_p = 1e-4}, {{8, 1.000000000}}},
  };
  return cases;
}

TEST(Sampler, KeepsWhatTransformersKeepsWithTheSameProbabilities) {
  Sampler sampler(static_cast<std::int64_t>(kLogits.size()));
  for (const Recorded& expected : recorded()) {
    const auto found = candidates(sampler, kLogits, kHistory, expected.options);
    ASSERT_EQ(found.size(), expected.remaining.size()) << "top_k " << expected.options.top_k;
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].id, expected.remaining[i].first);
      EXPECT_NEAR(found[i].probability, expected.remaining[i].second, 2e-7);  // f32 division by the temperature
    }
  }
}

TEST(Sampler, AFilterThatRemovesNothingChangesNoToken) {
  Sampler sampler(static_cast<std::int64_t>(kLogits.size()));
  const SamplingOptions plain{.temperature = 1.5, .seed = 3};
  SamplingOptions filtered = plain;
  filtered.top_k = static_cast<std::int64_t>(kLogits.size()) - 1;
  filtered.min_p = 1e-12;
  int same = 0;
  for (std::uint64_t position = 0; position < 1000; ++position) {
    same += static_cast<int>(sample(sampler, kLogits, {}, plain, position) ==
                             sample(sampler, kLogits, {}, filtered, position));
  }
  EXPECT_GE(same, 990);  // only the least likely token was taken away
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

TEST(SamplingOptions, EachOptionOutOfItsRangeIsNamed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<SamplingOptions, std::string>> wrong = {
      {{.temperature = -0.5}, "temperature is -0.5"},
      {{.temperature = nan}, "temperature"},
      {{.top_k = -1}, "top_k is -1"},
      {{.top_p = 0.0}, "top_p is 0"},
      {{.top_p = 1.5}, "top_p is 1.5"},
      {{.min_p = 2.0}, "min_p is 2"},
      {{.repetition_penalty = 0.0}, "repetition_penalty is 0"},
  };
  for (const auto& [options, text] : wrong) {
    const auto refused = options.validate();
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find(text), std::string::npos) << refused.error().message;
  }
  EXPECT_TRUE(SamplingOptions{}.validate());
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

}  // namespace
}  // namespace corbel
