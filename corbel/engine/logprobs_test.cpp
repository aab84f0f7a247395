#include "corbel/engine/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace corbel {
namespace {

/// ln softmax in double.
std::vector<double> exact_logprobs(const std::vector<float>& logits) {
  const double highest = *std::ranges::max_element(logits);
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  std::vector<double> all;
  for (const float logit : logits) all.push_back(static_cast<double>(logit) - highest - std::log(sum));
  return all;
}

TEST(Logprobs, AreTheLogarithmOfSoftmaxOfTheRawLogits) {
  for (const std::size_t vocab : {1U, 5U, 64U, 200U, 30000U}) {
    for (const float spread : {0.01F, 1.0F, 4.0F, 40.0F}) {
      std::mt19937 random(static_cast<unsigned>(vocab));
      std::normal_distribution<float> normal(3.0F, spread);
      std::vector<float> logits(vocab);
      for (float& logit : logits) logit = normal(random);
      const auto exact = exact_logprobs(logits);
      std::vector<std::int32_t> order(vocab);
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](std::int32_t a, std::int32_t b) { return logits[a] > logits[b]; });
      Logprobs logprobs(static_cast<std::int64_t>(vocab));
      for (const std::size_t place : {std::size_t{0}, vocab / 2, vocab - 1}) {
        const auto row = logprobs.of(logits, order[place], 20);
        EXPECT_EQ(row.chosen.id, order[place]);
        EXPECT_EQ(row.rank, static_cast<std::int64_t>(place) + 1);
        EXPECT_NEAR(row.chosen.logprob, exact[order[place]], 1e-6 * std::max(1.0, std::abs(exact[order[place]])));
        ASSERT_EQ(row.top.size(), std::min<std::size_t>(20, vocab));
        for (std::size_t i = 0; i < row.top.size(); ++i) {
          EXPECT_EQ(row.top[i].id, order[i]);
          EXPECT_NEAR(row.top[i].logprob, exact[order[i]], 1e-6 * std::max(1.0, std::abs(exact[order[i]])));
        }
      }
    }
  }
}

TEST(Logprobs, OfEqualLogitsTheLowerIdGoesFirst) {
  const std::vector<float> logits = {0.0F, 2.0F, -0.0F, 2.0F, 2.0F, 0.0F};
  Logprobs logprobs(6);
  const auto row = logprobs.of(logits, 4, 5);
  EXPECT_EQ(row.rank, 3);
  std::vector<std::int32_t> ids;
  for (const TokenLogprob& token : row.top) ids.push_back(token.id);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{1, 3, 4, 0, 2}));
  EXPECT_TRUE(logprobs.of(logits, 0, 0).top.empty());
}

}  // namespace
}  // namespace corbel
