#include "corbel/format/block_gatherer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "corbel/base/mapped_file.h"

namespace corbel {
namespace {

constexpr std::int64_t kBlock = BlockGatherer::kBlockBytes;
constexpr std::int64_t kFileBytes = 9 * kBlock + 12345;

class BlockGathering : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            cat("corbel_gatherer_", testing::UnitTest::GetInstance()->current_test_info()->name());
    file_ = OutputFile::open(path_, OutputFile::Start::empty).value();
    ASSERT_TRUE(file_.reserve(kFileBytes));
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::vector<std::byte> written() const {
    std::vector<std::byte> bytes(kFileBytes);
    EXPECT_TRUE(file_.read(0, bytes));
    return bytes;
  }
  std::filesystem::path path_;
  OutputFile file_;
};

std::vector<std::byte> random_bytes(std::int64_t count, std::mt19937_64& random) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST_F(BlockGathering, LeavesTheBytesOfPlainWritesWhateverTheirSizesAndPlaces) {
  constexpr std::uint64_t kSeed = 20;
  SCOPED_TRACE(cat("seed ", kSeed));
  std::mt19937_64 random(kSeed);
  std::vector<std::byte> expected(kFileBytes);
  BlockGatherer gatherer;
  std::int64_t at = 0;
  for (int i = 0; i < 60; ++i) {
    if (i % 7 == 6) at = static_cast<std::int64_t>(random() % kFileBytes);  // elsewhere, over old bytes, too
    const std::int64_t most = i % 3 == 0 ? 3 * kBlock : kBlock / 3;
    const auto wanted = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most));
    const auto bytes = random_bytes(std::min(wanted, kFileBytes - at), random);
    std::ranges::copy(bytes, expected.begin() + at);
    ASSERT_TRUE(gatherer.write(file_, at, bytes));
    at += std::ssize(bytes);
    if (at == kFileBytes) at = 0;
  }
  ASSERT_TRUE(gatherer.flush(file_));
  EXPECT_FALSE(gatherer.holds(0, kFileBytes));
  EXPECT_TRUE(written() == expected);
}

TEST_F(BlockGathering, WritesABlockWhenItIsFullAndHoldsTheRest) {
  std::mt19937_64 random(1);
  const auto bytes = random_bytes(kBlock + 100, random);
  BlockGatherer gatherer;
  ASSERT_TRUE(gatherer.write(file_, 0, std::span(bytes).first(1000)));
  EXPECT_TRUE(std::ranges::all_of(written(), [](std::byte byte) { return byte == std::byte{0}; }));
  ASSERT_TRUE(gatherer.write(file_, 1000, std::span(bytes).subspan(1000)));
  const auto seen = written();
  EXPECT_TRUE(std::ranges::equal(std::span(seen).first(kBlock), std::span(bytes).first(kBlock)));
  EXPECT_EQ(seen[kBlock], std::byte{0});
  EXPECT_FALSE(gatherer.holds(0, kBlock));
  EXPECT_TRUE(gatherer.holds(kBlock - 1, 2));
  EXPECT_TRUE(gatherer.holds(kBlock + 99, 1));
  EXPECT_FALSE(gatherer.holds(kBlock + 100, 1));
}

TEST_F(BlockGathering, SaysWhatTheDiskRefused) {
  BlockGatherer gatherer;
  OutputFile closed;
  const std::vector<std::byte> bytes(100);
  ASSERT_TRUE(gatherer.write(closed, 0, bytes));
  EXPECT_FALSE(gatherer.flush(closed));
}

}  // namespace
}  // namespace corbel
