#include "corbel/compile/calibration.h"

#include <gtest/gtest.h>

#include <limits>

namespace corbel {
namespace {

TEST(InputStatistics, GiveColumnsTheirMeanSquareWithMeanOne) {
  InputStatistics statistics;
  const std::vector<float> rows = {1.0F, 3.0F, 1.0F, -3.0F};
  statistics.add("mlp", make_view(rows.data(), {2, 2}));
  const std::vector<float> importance = statistics.importance("mlp");
  ASSERT_EQ(importance.size(), 2U);
  EXPECT_NEAR(importance[0], (0.2F + 0.02F) / 1.02F, 1e-6F);
  EXPECT_NEAR(importance[1], (1.8F + 0.02F) / 1.02F, 1e-6F);
  EXPECT_TRUE(statistics.importance("never seen").empty());
}

TEST(InputStatistics, TellNothingOfAnInputThatIsNotFinite) {
  for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 0.0F}) {
    InputStatistics statistics;
    const std::vector<float> rows(4, value);
    statistics.add("mlp", make_view(rows.data(), {2, 2}));
    EXPECT_TRUE(statistics.importance("mlp").empty()) << value;
  }
}

}  // namespace
}  // namespace corbel
