#include "corbel/base/memory_block.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>

namespace corbel {
namespace {

constexpr std::size_t kPage = 4096;

/// Pages of the block that are in memory.
std::int64_t resident_pages(const MemoryBlock& block) {
  std::vector<unsigned char> pages((block.bytes() + kPage - 1) / kPage);
  EXPECT_EQ(mincore(block.data(), block.bytes(), pages.data()), 0);
  return std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; });
}

class CommitHostMemory : public testing::Test {
 protected:
  std::size_t commit(std::span<std::byte> memory, double seconds) {
    return commit_host_memory(memory, **pool_, seconds);
  }
  Result<std::unique_ptr<ThreadPool>> pool_ = ThreadPool::make(2);
};

TEST_F(CommitHostMemory, MakesPagesOfTheBeginningAndChangesNoValue) {
  const Result<MemoryBlock> block = allocate_host_memory(std::size_t{16} << 20);
  ASSERT_TRUE(block);
  block->data()[5] = std::byte{7};
  ASSERT_LE(resident_pages(*block), 512) << "one huge page at most";
  const std::size_t wanted = (std::size_t{9} << 20) + 100;  // whole pages of it
  const std::size_t committed = commit({block->data(), wanted}, 60.0);
  if (committed == 0) GTEST_SKIP() << "this system cannot commit memory (before Linux 5.14)";
  EXPECT_EQ(committed, std::size_t{9} << 20);
  EXPECT_GE(resident_pages(*block), 9 * 256);
  EXPECT_EQ(block->data()[5], std::byte{7});
  EXPECT_TRUE(
      std::all_of(block->data() + 6, block->data() + wanted, [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_F(CommitHostMemory, EndsWhenItsTimeIsOver) {
  const Result<MemoryBlock> block = allocate_host_memory(std::size_t{16} << 20);
  ASSERT_TRUE(block);
  EXPECT_EQ(commit({block->data(), block->bytes()}, 0.0), 0U);
  EXPECT_EQ(resident_pages(*block), 0);
}

TEST_F(CommitHostMemory, LeavesAloneWhatCannotBeWritten) {
  void* const raw = mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(raw, MAP_FAILED);
  EXPECT_EQ(commit({static_cast<std::byte*>(raw), kPage}, 60.0), 0U);
  EXPECT_EQ(commit({}, 60.0), 0U);
  munmap(raw, kPage);
}

}  // namespace
}  // namespace corbel
