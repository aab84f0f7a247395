#include "corbel/engine/sampling_options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace corbel {
namespace {

std::string refusal(const Result<void>& checked) { return checked ? "accepted" : checked.error().message; }

TEST(SamplingOptions, EachOptionOutOfItsRangeIsNamedWithTheRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<SamplingOptions, std::string>> wrong = {
      {{.temperature = -0.5}, "temperature is -0.5; it must be 0 or more"},
      {{.temperature = nan}, "temperature is nan"},
      {{.temperature = HUGE_VAL}, "temperature is inf"},
      {{.top_k = -1}, "top_k is -1; it must be 0 (all tokens) or more"},
      {{.top_p = 0.0}, "top_p is 0; it must be above 0 and at most 1"},
      {{.top_p = 1.5}, "top_p is 1.5"},
      {{.min_p = 2.0}, "min_p is 2; it must be between 0 and 1"},
      {{.typical_p = 0.0}, "typical_p is 0; it must be above 0 and at most 1"},
      {{.typical_p = nan}, "typical_p is nan"},
      {{.repetition_penalty = 0.0}, "repetition_penalty is 0; it must be between 0.01 and 100"},
      {{.presence_penalty = 2.5}, "presence_penalty is 2.5; it must be between -2 and 2"},
      {{.presence_penalty = nan}, "presence_penalty is nan"},
      {{.frequency_penalty = -2.01}, "frequency_penalty is -2.01; it must be between -2 and 2"},
      {{.penalty_window = -3}, "penalty_window is -3; it must be 0 (all tokens) or more"},
      {{.xtc_probability = 1.01}, "xtc_probability is 1.01; it must be between 0 and 1"},
      {{.xtc_threshold = 0.0}, "xtc_threshold is 0; it must be above 0 and at most 1"},
      {{.logit_bias = {{5, 100.5F}}}, "logit_bias of token 5 is 100.5; it must be between -100 and 100"},
      {{.logit_bias = {{5, NAN}}}, "logit_bias of token 5 is nan"},
      {{.logit_bias = {{-1, 1.0F}}}, "logit_bias names token -1; it must be between 0 and"},
      {{.logit_bias = {{7, 1.0F}, {5, 1.0F}}}, "logit_bias has token 5 after 7"},
  };
  for (const auto& [options, text] : wrong) EXPECT_EQ(refusal(options.validate()).substr(0, text.size()), text);
}

TEST(SamplingOptions, DefaultsAndTheEndsOfTheRangesAreAccepted) {
  EXPECT_EQ(refusal(SamplingOptions{}.validate(1)), "accepted");
  const SamplingOptions ends{.temperature = 1e300,
                             .top_p = 1e-9,
                             .min_p = 1.0,
                             .typical_p = 1.0,
                             .repetition_penalty = 0.01,
                             .presence_penalty = -2.0,
                             .frequency_penalty = 2.0,
                             .xtc_probability = 1.0,
                             .xtc_threshold = 1.0,
                             .logit_bias = {{0, -100.0F}, {9, 100.0F}}};
  EXPECT_EQ(refusal(ends.validate(10)), "accepted");
  EXPECT_EQ(refusal(ends.validate(9)), "logit_bias names token 9; it must be between 0 and 8");
}

TEST(SamplingOptions, SortBiasAscendsAndKeepsTheLastOfEachToken) {
  SamplingOptions options;
  options.logit_bias = {{9, 1.0F}, {2, 2.0F}, {9, 3.0F}, {4, 4.0F}, {2, 5.0F}, {9, 6.0F}};
  options.sort_bias();
  ASSERT_EQ(options.logit_bias.size(), 3U);
  EXPECT_EQ(options.logit_bias[0].bias, 5.0F);
  EXPECT_EQ(options.logit_bias[1].bias, 4.0F);
  EXPECT_EQ(options.logit_bias[2].bias, 6.0F);
  EXPECT_EQ(refusal(options.validate()), "accepted");
}

}  // namespace
}  // namespace corbel
