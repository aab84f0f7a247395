#include "corbel/server/deadlines.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>

namespace corbel {
namespace {

using Clock = Deadlines::Clock;

TEST(DeadlinesTest, WhatIsDueIsCalledEarliestFirst) {
  Deadlines deadlines;
  std::string order;
  std::promise<void> all_given, last;
  const auto now = Clock::now();
  deadlines.at(now, [&] { all_given.get_future().wait(); });
  deadlines.at(now + std::chrono::milliseconds(2), [&] {
    order += "b";
    last.set_value();
  });
  deadlines.at(now + std::chrono::milliseconds(1), [&] { order += "a"; });
  all_given.set_value();
  last.get_future().wait();
  deadlines.stop();
  EXPECT_EQ(order, "ab");
}

// What a call holds may not outlive what that was made of: a server's connections, say.
TEST(DeadlinesTest, WhatIsNotDueAtTheEndIsLetGo) {
  Deadlines deadlines;
  const auto held = std::make_shared<int>(1);
  deadlines.at(Clock::now() + std::chrono::hours(1), [held] {});
  EXPECT_EQ(held.use_count(), 2);
  deadlines.stop();
  EXPECT_EQ(held.use_count(), 1);
  deadlines.at(Clock::now(), [held] {});
  EXPECT_EQ(held.use_count(), 1) << "taken after the end";
}

}  // namespace
}  // namespace corbel
