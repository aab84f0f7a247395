#include "corbel/base/thread_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "corbel/base/processors.h"

namespace corbel {
namespace {

TEST(ThreadPool, CallsEveryUnitOnceWhateverTheNumberOfThreads) {
  for (const int threads : {1, 2, 3, 8}) {
    const auto pool = *ThreadPool::make(threads);
    for (const std::int64_t units : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(units));
      std::atomic<int> strange_workers{0};
      pool->parallel_for(units, [&](std::int64_t unit, int worker) {
        calls[static_cast<std::size_t>(unit)].fetch_add(1);
        if (worker < 0 || worker >= threads) strange_workers.fetch_add(1);
      });
      for (const auto& count : calls) ASSERT_EQ(count.load(), 1) << "threads " << threads << " units " << units;
      EXPECT_EQ(strange_workers.load(), 0);
    }
  }
}

TEST(ThreadPool, ShowsTheCallerWhatTheWorkersWroteThroughManyShortJobs) {
  const auto pool = *ThreadPool::make(3);
  std::array<std::int64_t, 6> values{};  // plain memory: written by workers, read by the caller
  for (int job = 1; job <= 20'000; ++job) {
    pool->parallel_for(6, [&](std::int64_t unit, int) { values[static_cast<std::size_t>(unit)] += unit + job; });
    for (std::int64_t unit = 0; unit < 6; ++unit) {
      const std::int64_t expected = unit * job + static_cast<std::int64_t>(job) * (job + 1) / 2;
      ASSERT_EQ(values[static_cast<std::size_t>(unit)], expected) << "job " << job;
    }
  }
}

TEST(ThreadPool, TwoUnitsThatWaitForEachOtherRunOnTwoThreads) {
  const auto pool = *ThreadPool::make(2);
  // The first job starts cold workers; later ones meet them spinning or asleep.
  for (int job = 0; job < 50; ++job) {
    std::atomic<int> arrived{0};
    pool->parallel_for(2, [&](std::int64_t, int) {
      arrived.fetch_add(1);
      while (arrived.load() < 2) std::this_thread::yield();
    });
    ASSERT_EQ(arrived.load(), 2);
  }
}

TEST(ThreadPool, RefusesNoThreadsAndAbsurdlyMany) {
  EXPECT_FALSE(ThreadPool::make(0).has_value());
  const auto many = ThreadPool::make(1'000'000);
  ASSERT_FALSE(many.has_value());
  EXPECT_NE(many.error().message.find("1000000"), std::string::npos);
}

TEST(ThreadPool, UsesAtLeastOneProcessorAndNoMoreThanThereAre) {
  EXPECT_GE(usable_processors(), 1);
  EXPECT_LE(usable_processors(), static_cast<int>(std::thread::hardware_concurrency()));
}

class QuotaTree : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() /
            cat("corbel_quota_", testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  int processors(std::string_view membership) const { return processors_of_quota(membership, root_.string()); }
  std::filesystem::path root_;
};

TEST_F(QuotaTree, RoundsAVersion2QuotaUp) {
  write("box/cpu.max", "150000 100000\n");
  EXPECT_EQ(processors("0::/box\n"), 2);
}

TEST_F(QuotaTree, TakesTheTightestQuotaOfTheAncestors) {
  write("outer/cpu.max", "100000 100000\n");
  write("outer/inner/cpu.max", "max 100000\n");
  EXPECT_EQ(processors("0::/outer/inner\n"), 1);
}

TEST_F(QuotaTree, ReadsAVersion1QuotaOfTheCpuController) {
  write("cpu,cpuacct/box/cpu.cfs_quota_us", "300000\n");
  write("cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(processors("5:memory:/box\n4:cpu,cpuacct:/box\n"), 3);
}

TEST_F(QuotaTree, HasNoLimitWithoutAQuotaOrWithUnreadableFiles) {
  write("box/cpu.max", "max 100000\n");
  write("cpu/old/cpu.cfs_quota_us", "-1\n");
  write("cpu/old/cpu.cfs_period_us", "100000\n");
  write("broken/cpu.max", "many few");
  EXPECT_EQ(processors("0::/box\n"), 0);
  EXPECT_EQ(processors("3:cpu:/old\n"), 0);
  EXPECT_EQ(processors("0::/broken\n"), 0);
  EXPECT_EQ(processors("0::/absent\n"), 0);
  EXPECT_EQ(processors("no colons here"), 0);
  EXPECT_EQ(processors(""), 0);
}

}  // namespace
}  // namespace corbel
