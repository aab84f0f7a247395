#include "corbel/base/log.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "corbel/base/check.h"

namespace corbel {
namespace {

void keep(LogLevel level, std::string_view line, void* lines) {
  static_cast<std::vector<std::string>*>(lines)->push_back(cat(log_level_name(level), ": ", line));
}

TEST(Log, HandsLinesToTheSinkAndDropsThemWithoutOne) {
  std::vector<std::string> lines;
  log(LogLevel::info, "before");
  set_log_sink(keep, &lines);
  log(LogLevel::warning, "event=x");
  set_log_sink(nullptr, nullptr);
  log(LogLevel::info, "after");
  EXPECT_EQ(lines, std::vector<std::string>{"warning: event=x"});
}

TEST(CheckDeathTest, AFailedCheckLogsItsValuesAndStops) {
  const auto print = [](LogLevel, std::string_view line, void*) { std::fwrite(line.data(), 1, line.size(), stderr); };
  set_log_sink(print, nullptr);
  EXPECT_DEATH(CORBEL_CHECK(1 > 2, "page ", 7, " freed twice"), "check failed at .*: 1 > 2: page 7 freed twice");
  set_log_sink(nullptr, nullptr);
}

}  // namespace
}  // namespace corbel
