#include "corbel/base/memory_block.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "corbel/base/test_resident.h"
#include "corbel/base/thread_pool.h"

namespace corbel {
namespace {

/// Pages of the block that are in memory.
std::int64_t resident_pages(const MemoryBlock& block) {
  std::int64_t count = 0;
  for (std::size_t at = 0; at < block.bytes(); at += kTestPage) count += is_resident(block.data() + at) ? 1 : 0;
  return count;
}

class CommitHostMemory : public testing::Test {
 protected:
  std::size_t commit(std::span<std::byte> memory, std::chrono::seconds time = std::chrono::seconds(60)) {
    return commit_host_memory(memory, **pool_, std::chrono::steady_clock::now() + time);
  }
  Result<std::unique_ptr<ThreadPool>> pool_ = ThreadPool::make(2);
};

TEST_F(CommitHostMemory, MakesPagesOfTheBeginningAndChangesNoValue) {
  if (!system_commits_memory()) GTEST_SKIP() << "this system cannot commit memory (before Linux 5.14)";
  const Result<MemoryBlock> block = allocate_host_memory(std::size_t{16} << 20);
  ASSERT_TRUE(block);
  block->data()[5] = std::byte{7};
  ASSERT_LE(resident_pages(*block), 512) << "one huge page at most";
  const std::size_t wanted = (std::size_t{9} << 20) + 100;  // whole pages of it
  EXPECT_EQ(commit({block->data(), wanted}), std::size_t{9} << 20);
  EXPECT_GE(resident_pages(*block), 9 * 256);
  EXPECT_EQ(block->data()[5], std::byte{7});
  EXPECT_TRUE(
      std::all_of(block->data() + 6, block->data() + wanted, [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_F(CommitHostMemory, EndsWhenItsTimeIsOver) {
  const Result<MemoryBlock> block = allocate_host_memory(std::size_t{16} << 20);
  ASSERT_TRUE(block);
  EXPECT_EQ(commit({block->data(), block->bytes()}, std::chrono::seconds(0)), 0U);
  EXPECT_EQ(resident_pages(*block), 0);
}

TEST_F(CommitHostMemory, LeavesAloneWhatCannotBeWritten) {
  void* const raw = mmap(nullptr, kTestPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(raw, MAP_FAILED);
  EXPECT_EQ(commit({static_cast<std::byte*>(raw), kTestPage}), 0U);
  EXPECT_EQ(commit({}), 0U);
  munmap(raw, kTestPage);
}

}  // namespace
}  // namespace corbel
