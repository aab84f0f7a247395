#include "corbel/engine/draft_lookup.h"

#include <gtest/gtest.h>

#include <random>

namespace corbel {
namespace {

/// The longest place by looking everywhere, and how many there are.
DraftLookup::Match looked_for_everywhere(const std::vector<std::int32_t>& text, int& places) {
  places = 0;
  DraftLookup::Match best;
  const std::int64_t end = std::ssize(text);
  for (std::int64_t place = 1; place < end; ++place) {
    std::int64_t length = 0;
    while (length < std::min(place, DraftLookup::kMostLength) && text[place - 1 - length] == text[end - 1 - length])
      ++length;
    if (length < DraftLookup::kGram) continue;
    ++places;
    if (length >= best.length) best = {length, place};
  }
  return best;
}

TEST(DraftLookup, FindsTheLongestAndLatestPlace) {
  std::mt19937 random(5);
  int found = 0;
  constexpr int kCompared = 8;  // the latest places
  for (int round = 0; round < 200; ++round) {
    DraftLookup lookup(120);
    std::vector<std::int32_t> text;
    const auto ids = static_cast<std::int32_t>(2 + random() % 6);
    while (text.size() < 120) {
      text.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(ids)));
      if (random() % 3 == 0) continue;  // not asked at every token
      const DraftLookup::Match match = lookup.find(text);
      int places = 0;
      const DraftLookup::Match expected = looked_for_everywhere(text, places);
      ASSERT_LE(match.length, expected.length);
      ASSERT_EQ(match.length == 0, expected.length == 0);
      if (match.length == 0) continue;
      ASSERT_TRUE(std::equal(text.end() - match.length, text.end(), text.begin() + match.next - match.length));
      if (places > kCompared) continue;
      ASSERT_EQ(match.length, expected.length);
      ASSERT_EQ(match.next, expected.next);
      ++found;
    }
  }
  EXPECT_GT(found, 1000);
}

TEST(DraftLookup, TextsLongerThanItsRoomHaveNoMatch) {
  DraftLookup lookup(20);
  const std::vector<std::int32_t> text(30, 7);
  EXPECT_EQ(lookup.find(std::span(text).first(20)).length, 19);
  EXPECT_EQ(lookup.find(text).length, 0);
}

/// Steps of one row take 10 ms, each further row so much more.
StepPacer pacer_of(double row_ms) {
  StepPacer pacer(2.0);
  for (std::int64_t rows = 1; rows <= 20; ++rows)
    pacer.measured({.decode_rows = rows}, 1e-3 * (10.0 + row_ms * static_cast<double>(rows - 1)));
  return pacer;
}

TEST(DraftPolicy, DraftsAsFarAsRowsPay) {
  DraftPolicy policy;
  for (int i = 0; i < 40; ++i) policy.learn(16, 10, 9);
  const std::int64_t cheap = policy.tokens_worth(16, {pacer_of(0.1), 1, 1});
  const std::int64_t dear = policy.tokens_worth(16, {pacer_of(3.0), 1, 1});
  EXPECT_GT(cheap, 10);
  EXPECT_GT(dear, 0);
  EXPECT_LT(dear, cheap);
  EXPECT_EQ(policy.tokens_worth(16, {pacer_of(12.0), 1, 1}), 0);  // a row costs more than a step
  // Of many sequences each token is cheap already: rows that cost the same pay less.
  EXPECT_LT(policy.tokens_worth(16, {pacer_of(3.0), 8, 8}), dear);
}

TEST(DraftPolicy, WrongGuessesStopDraftsAndTimeGivesThemAnotherChance) {
  DraftPolicy policy;
  const StepPacer pacer = pacer_of(1.0);
  EXPECT_GT(policy.tokens_worth(3, {pacer, 1, 1}), 0);
  for (int i = 0; i < 20; ++i) policy.learn(3, 2, 0);
  EXPECT_EQ(policy.tokens_worth(3, {pacer, 1, 1}), 0);
  EXPECT_GT(policy.tokens_worth(16, {pacer, 1, 1}), 0);  // other lengths have odds of their own
  int passed = 0;
  while (policy.tokens_worth(3, {pacer, 1, 1}) == 0 && passed < 1000) {
    policy.pass(3);
    ++passed;
  }
  EXPECT_GT(passed, 10);
  EXPECT_LT(passed, 200);
}

}  // namespace
}  // namespace corbel
