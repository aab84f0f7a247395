#include "corbel/engine/page_pool.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace corbel {
namespace {

TEST(PagePool, AFullPoolRefusesAndChangesNothing) {
  PagePool pool(2, 3);
  SequencePages first;
  SequencePages second;
  ASSERT_TRUE(pool.grow(first, 65));
  const Result<void> refused = pool.grow(second, 129);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::no_memory);
  EXPECT_NE(refused.error().message.find("1 of 3 are free"), std::string::npos) << refused.error().message;
  EXPECT_EQ(pool.free_pages(0), 1);
  EXPECT_EQ(pool.free_pages(1), 1);
  EXPECT_TRUE(second.groups[0].empty());
}

TEST(PagePool, GivesAPageForEach64TokensBegun) {
  PagePool pool(1, 8);
  SequencePages pages;
  for (const auto& [tokens, expected] : {std::pair{0, 0}, {1, 1}, {64, 1}, {65, 2}, {128, 2}, {129, 3}}) {
    ASSERT_TRUE(pool.grow(pages, tokens));
    EXPECT_EQ(pages.groups[0].size(), static_cast<std::size_t>(expected)) << tokens;
  }
}

TEST(PagePool, ShrinkingKeepsTheFirstPagesAndGivesTheRestBack) {
  PagePool pool(1, 4);
  SequencePages pages;
  ASSERT_TRUE(pool.grow(pages, 256));
  const std::vector<std::int32_t> before = pages.groups[0];
  pool.shrink(pages, 65);
  EXPECT_EQ(pages.groups[0], std::vector<std::int32_t>(before.begin(), before.begin() + 2));
  EXPECT_EQ(pool.free_pages(0), 2);
  pool.shrink(pages, 0);
  EXPECT_EQ(pool.used_pages(0), 0);
}

TEST(PagePool, ASharedPageIsFreeOnlyWhenItsLastUserIsGone) {
  PagePool pool(1, 4);
  SequencePages first;
  ASSERT_TRUE(pool.grow(first, 192));
  SequencePages second = pool.share(first, 128);
  EXPECT_EQ(pool.users(0, first.groups[0][0]), 2);
  EXPECT_EQ(pool.users(0, first.groups[0][2]), 1);
  pool.shrink(first, 0);
  EXPECT_EQ(pool.free_pages(0), 2);
  pool.shrink(second, 0);
  EXPECT_EQ(pool.free_pages(0), 4);
}

TEST(PagePool, RandomTrafficNeverGivesAPageTwiceAndNeverLosesOne) {
  constexpr unsigned kSeed = 11;
  std::mt19937 random(kSeed);
  PagePool pool(2, 40);
  std::vector<SequencePages> sequences(6);
  for (SequencePages& sequence : sequences) ASSERT_TRUE(pool.grow(sequence, 0));
  for (int round = 0; round < 3000; ++round) {
    SequencePages& sequence = sequences[random() % sequences.size()];
    const std::int64_t tokens = random() % 700;
    if (random() % 2 == 0) {
      (void)pool.grow(sequence, tokens);
    } else {
      pool.shrink(sequence, tokens);
    }
    for (int group = 0; group < 2; ++group) {
      std::set<std::int32_t> held;
      std::size_t count = 0;
      for (const SequencePages& each : sequences) {
        held.insert(each.groups[group].begin(), each.groups[group].end());
        count += each.groups[group].size();
      }
      ASSERT_EQ(held.size(), count) << "seed " << kSeed << " round " << round;
      ASSERT_EQ(pool.used_pages(group), static_cast<std::int64_t>(count)) << "seed " << kSeed << " round " << round;
    }
  }
}

}  // namespace
}  // namespace corbel
