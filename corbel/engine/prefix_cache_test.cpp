#include "corbel/engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace corbel {
namespace {

std::vector<std::int32_t> counting(std::int32_t from, std::int64_t count) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), from);
  return ids;
}

class PrefixCacheTest : public testing::Test {
 protected:
  /// Runs `tokens` as a sequence that ends: what it filled is remembered, its own pages are given back.
  void run(const std::vector<std::int32_t>& tokens, const std::string& salt = "") {
    SequencePages pages;
    ASSERT_TRUE(pool_.grow(pages, std::ssize(tokens)));
    PrefixCache::Place place = PrefixCache::start(salt);
    cache_.add(tokens, place, pages);
    cache_.add_tail(tokens, place, pages);
    pool_.shrink(pages, 0);
  }
  struct Hit {
    std::int64_t pages;
    std::int64_t tail;
    bool operator==(const Hit&) const = default;
  };
  Hit find(const std::vector<std::int32_t>& tokens, const std::string& salt = "") {
    SequencePages pages;
    PrefixCache::Place place = PrefixCache::start(salt);
    const PrefixCache::Tail tail = cache_.find(tokens, place, pages);
    EXPECT_EQ(place.pages, std::ssize(pages.groups[0]));
    const Hit hit{place.pages, tail.tokens};
    pool_.shrink(pages, 0);
    return hit;
  }
  PagePool pool_{2, 8};
  PrefixCache cache_{pool_, 2};
};

TEST_F(PrefixCacheTest, FullPagesAreFoundAndTheLastTokenNever) {
  run(counting(0, 192));
  EXPECT_EQ(find(counting(0, 193)), (Hit{3, 0}));
  EXPECT_EQ(find(counting(0, 192)), (Hit{2, 0}));
  EXPECT_EQ(find(counting(0, 65)), (Hit{1, 0}));
  EXPECT_EQ(find(counting(1, 193)), (Hit{0, 0}));
  std::vector<std::int32_t> changed = counting(0, 193);
  changed[100] = -1;
  EXPECT_EQ(find(changed), (Hit{1, 0}));
}

TEST_F(PrefixCacheTest, ABegunPageIsFoundAsFarAsItAgrees) {
  run(counting(0, 100));
  EXPECT_EQ(find(counting(0, 150)), (Hit{1, 36}));
  EXPECT_EQ(find(counting(0, 80)), (Hit{1, 15}));
  std::vector<std::int32_t> other = counting(0, 90);
  other[70] = -1;
  EXPECT_EQ(find(other), (Hit{1, 6}));
  run(counting(0, 110));  // takes the place of its own beginning
  EXPECT_EQ(cache_.counts().pages, 2);
  EXPECT_EQ(find(counting(0, 150)), (Hit{1, 46}));
  run(counting(0, 70));  // adds nothing
  EXPECT_EQ(cache_.counts().pages, 2);
  run(other);  // another way on from the same page
  EXPECT_EQ(cache_.counts().pages, 3);
  EXPECT_EQ(find(other), (Hit{1, 25}));
  EXPECT_EQ(find(counting(0, 150)), (Hit{1, 46}));
}

Checksum same_key_for_all(const Checksum&, std::span<const std::int32_t>) noexcept { return checksum_of("all"); }

TEST(PrefixCache, PagesWithEqualKeysAndOtherTokensShareNothing) {
  PagePool pool(1, 8);
  PrefixCache cache(pool, 1, same_key_for_all);
  const auto pages_found = [&](const std::vector<std::int32_t>& tokens) {
    SequencePages pages;
    PrefixCache::Place place = PrefixCache::start("");
    cache.find(tokens, place, pages);
    pool.shrink(pages, 0);
    return place.pages;
  };
  for (const std::int32_t first : {0, 1000}) {
    SequencePages pages;
    ASSERT_TRUE(pool.grow(pages, 64));
    PrefixCache::Place place = PrefixCache::start("");
    cache.add(counting(first, 64), place, pages);
    pool.shrink(pages, 0);
  }
  EXPECT_EQ(cache.counts().pages, 2);  // the second is none that was known
  EXPECT_EQ(pages_found(counting(0, 65)), 1);
  EXPECT_EQ(pages_found(counting(1000, 65)), 1);
  for (const int changed : {0, 31, 63}) {
    std::vector<std::int32_t> other = counting(0, 65);
    other[static_cast<std::size_t>(changed)] = -1;
    EXPECT_EQ(pages_found(other), 0) << changed;
  }
}

TEST_F(PrefixCacheTest, SaltsKeepTenantsApart) {
  run(counting(0, 100), "a");
  EXPECT_EQ(find(counting(0, 150), "a"), (Hit{1, 36}));
  EXPECT_EQ(find(counting(0, 150), "b"), (Hit{0, 0}));
  EXPECT_EQ(find(counting(0, 150)), (Hit{0, 0}));
}

TEST_F(PrefixCacheTest, TheLeastUsedPageGoesFirstAndNoneThatASequenceUses) {
  run(counting(0, 128));
  run(counting(1000, 128));
  EXPECT_EQ(find(counting(0, 129)), (Hit{2, 0}));  // used again
  ASSERT_TRUE(cache_.drop_oldest());               // of the pages from 1000 on the later one
  EXPECT_EQ(find(counting(1000, 129)), (Hit{1, 0}));
  EXPECT_EQ(find(counting(0, 129)), (Hit{2, 0}));
  SequencePages using_it;
  PrefixCache::Place place = PrefixCache::start("");
  cache_.find(counting(0, 129), place, using_it);
  ASSERT_TRUE(cache_.drop_oldest());
  EXPECT_FALSE(cache_.drop_oldest());
  EXPECT_EQ(cache_.counts().dropped_pages, 2);
  pool_.shrink(using_it, 0);
  EXPECT_TRUE(cache_.drop_oldest());
  EXPECT_TRUE(cache_.drop_oldest());
  EXPECT_FALSE(cache_.drop_oldest());
  EXPECT_EQ(pool_.free_pages(0), 8);
  EXPECT_EQ(pool_.free_pages(1), 8);
}

TEST_F(PrefixCacheTest, WhatIsForgottenIsNotFoundAndItsPagesAreFree) {
  run(counting(0, 200));
  cache_.forget(counting(0, 150), "");
  EXPECT_EQ(find(counting(0, 201)), (Hit{0, 0}));
  EXPECT_EQ(cache_.counts().pages, 2);  // the third page and the tail: never found, dropped when room is needed
  cache_.clear();
  EXPECT_EQ(pool_.free_pages(0), 8);
}

}  // namespace
}  // namespace corbel
