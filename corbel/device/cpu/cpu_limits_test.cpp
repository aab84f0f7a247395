#include <gtest/gtest.h>

#include "corbel/device/cpu/cpu_device.h"
#include "corbel/device/limits.h"

namespace corbel {
namespace {

TEST(CpuLimits, GivesEveryFigureThatTheLevelHas) {
  const auto pool = *ThreadPool::make(2);
  for (const std::string& level : cpu_device_levels()) {
    const auto device = *make_cpu_device({.level = level}, *pool);
    const auto limits = device->measure_limits({.buffer_bytes = std::size_t{8} << 20, .passes = 1});
    ASSERT_TRUE(limits.has_value()) << limits.error().message;
    EXPECT_EQ(limits->threads, 2);
    EXPECT_EQ(limits->buffer_bytes, std::size_t{8} << 20);
    EXPECT_GT(limits->read_bytes_per_s, 1e8) << level;
    EXPECT_FALSE(limits->read_loop.empty()) << level;
    EXPECT_GT(limits->f32_ops_per_s, 1e7) << level;
    EXPECT_GE(limits->bf16_ops_per_s, limits->f32_ops_per_s) << level;
    EXPECT_EQ(limits->int8_ops_per_s > 0, level != "v2") << level;
  }
}

TEST(CpuLimits, MeasuresOneThreadWhenAsked) {
  const auto pool = *ThreadPool::make(2);
  const auto device = *make_cpu_device({}, *pool);
  const auto limits = device->measure_limits({.buffer_bytes = std::size_t{4} << 20, .passes = 1, .threads = 1});
  ASSERT_TRUE(limits.has_value()) << limits.error().message;
  EXPECT_EQ(limits->threads, 1);
}

TEST(CpuLimits, AreRefusedByADeviceThatHasNone) {
  const auto limits = make_reference_device()->measure_limits({});
  ASSERT_FALSE(limits.has_value());
  EXPECT_NE(limits.error().message.find("reference"), std::string::npos);
}

}  // namespace
}  // namespace corbel
