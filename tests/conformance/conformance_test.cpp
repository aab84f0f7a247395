#include "corbel/device/conformance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"

namespace corbel {
namespace {

/// All levels of one linked device, each with 1 and with 2 threads.
struct DeviceSet {
  std::vector<std::unique_ptr<ThreadPool>> pools;
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<Device*> pointers;
};

void add_devices(const DeviceEntry& entry, DeviceSet& set) {
  for (const int threads : {1, 2}) {
    Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::make(threads);
    ASSERT_TRUE(pool) << pool.error().message;
    set.pools.push_back(*std::move(pool));
    for (const std::string& level : entry.levels()) {
      const DeviceSettings settings{.missing_ops = MissingOps::reference, .level = level};
      Result<std::unique_ptr<Device>> device = entry.make(settings, *set.pools.back());
      ASSERT_TRUE(device) << entry.name << " " << level << ": " << device.error().message;
      EXPECT_EQ((*device)->info().level, level);
      set.pointers.push_back(device->get());
      set.devices.push_back(*std::move(device));
    }
  }
}

class Conformance : public testing::TestWithParam<std::string_view> {};

TEST_P(Conformance, EveryLinkedDeviceAndLevelEqualsTheReferenceBitForBit) {
  DeviceSet set;
  for (const DeviceEntry& entry : linked_devices()) ASSERT_NO_FATAL_FAILURE(add_devices(entry, set));
  ASSERT_FALSE(set.pointers.empty());
  int shown = 0;
  const ConformanceSettings settings{.scale = CaseScale::full, .only_op = GetParam(), .report = [&](const auto& row) {
                                       if (!row.ok && shown++ < 20) ADD_FAILURE() << to_string(row);
                                     }};
  const ConformanceSummary summary = run_conformance(set.pointers, settings);
  EXPECT_EQ(summary.failed, 0) << "of " << summary.cases << " runs";
  EXPECT_GT(summary.cases + summary.by_reference, 0);
  RecordProperty("runs", static_cast<int>(summary.cases));
  if (summary.by_reference > 0)
    std::printf("%s: %d of %d runs are the reference itself: the device has no such op\n",
                std::string(GetParam()).c_str(), static_cast<int>(summary.by_reference),
                static_cast<int>(summary.cases + summary.by_reference));
}

std::vector<std::string_view> op_names() {
  std::vector<std::string_view> names;
  for_each_op([&names]<typename Op>() { names.push_back(Op::kName); });
  return names;
}

INSTANTIATE_TEST_SUITE_P(Ops, Conformance, testing::ValuesIn(op_names()),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace corbel
