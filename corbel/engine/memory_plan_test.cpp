#include "corbel/engine/memory_plan.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace corbel {
namespace {

constexpr std::string_view kMeminfo = "MemTotal:       16000000 kB\nMemFree:  100 kB\nMemAvailable:    8000000 kB\n";

/// A made-up tree of control groups, removed at the end.
class ControlGroups : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(::testing::TempDir()) /
            (std::string("groups_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  AvailableMemory read(std::string_view membership) { return available_memory(kMeminfo, membership, root_.string()); }
  std::filesystem::path root_;
};

TEST_F(ControlGroups, WithoutALimitTheMachineCounts) {
  write("a/memory.max", "max\n");
  const AvailableMemory available = read("0::/a\n");
  EXPECT_EQ(available.machine_bytes, 8000000LL * 1024);
  EXPECT_EQ(available.group_bytes, -1);
  EXPECT_EQ(available.bytes(), 8000000LL * 1024);
}

TEST_F(ControlGroups, Version2CountsItsOwnFileCacheAsFree) {
  write("a/b/memory.max", "1000000\n");
  write("a/b/memory.current", "900000\n");
  write("a/b/memory.stat", "anon 400000\nfile 500000\ninactive_file 300000\nactive_file 100000\n");
  const AvailableMemory available = read("0::/a/b\n");
  EXPECT_EQ(available.group_limit_bytes, 1000000);
  EXPECT_EQ(available.group_bytes, 500000);
  EXPECT_EQ(available.bytes(), 500000);
}

TEST_F(ControlGroups, TheTightestAncestorCounts) {
  write("a/b/memory.max", "1000000\n");
  write("a/b/memory.current", "0\n");
  write("a/memory.max", "700000\n");
  write("a/memory.current", "200000\n");
  EXPECT_EQ(read("0::/a/b\n").group_bytes, 500000);
}

TEST_F(ControlGroups, Version1ReadsTheMemoryController) {
  write("memory/box/memory.limit_in_bytes", "4000000\n");
  write("memory/box/memory.usage_in_bytes", "3000000\n");
  write("memory/box/memory.stat", "inactive_file 1\ntotal_inactive_file 500000\ntotal_active_file 0\n");
  EXPECT_EQ(read("12:cpu:/box\n9:memory:/box\n0::/\n").group_bytes, 1500000);
}

TEST_F(ControlGroups, Version1WithoutALimitIsUnknown) {
  write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(read("9:memory:/\n").group_bytes, -1);
}

TEST(AvailableMemory, UnreadableTextsAreUnknownAndRefuseNothing) {
  const AvailableMemory available = available_memory("nonsense", "a\nb:c\n::", "/nonexistent");
  EXPECT_EQ(available.bytes(), -1);
  const MemoryPlan plan{.weight_bytes = std::int64_t{1} << 50, .available = available};
  EXPECT_TRUE(plan.check());
}

TEST(MemoryPlan, ARefusalNamesAllSizesAndTheLongestContext) {
  MemoryPlan plan{.weight_bytes = 2470000000, .kv_bytes = 4290000000, .scratch_bytes = 20000000};
  plan.context_tokens = 131072;
  plan.longest_context_tokens = 12800;
  plan.available = {.machine_bytes = 4000000000, .group_bytes = 3000000000, .group_limit_bytes = 8000000000};
  const Result<void> refused = plan.check();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::no_memory);
  for (const char* part : {"weights 2.47 GB", "KV 4.29 GB (131072 tokens)", "scratch 20.0 MB", "= 6.78 GB",
                           "available 4.00 GB", "cgroup 3.00 GB of 8.00 GB", "--context 12800"}) {
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << part << " in " << refused.error().message;
  }
}

TEST(BytesText, RoundsToThreeDigits) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1234), "1.23 kB");
  EXPECT_EQ(bytes_text(999600), "1.00 MB");
  EXPECT_EQ(bytes_text(12340000), "12.3 MB");
  EXPECT_EQ(bytes_text(2470000000), "2.47 GB");
}

}  // namespace
}  // namespace corbel
