#include "tests/engine/random_schedule.h"

#include <gtest/gtest.h>

#include <random>

namespace corbel {
namespace {

TEST(RandomSchedules, AnswersAreThoseOfTheDefinitionWhateverHappens) {
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    std::vector<std::uint8_t> bytes(40 + random() % 1200);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    ASSERT_EQ(RandomSchedule(bytes).run(), "") << "round " << round;
  }
}

}  // namespace
}  // namespace corbel
