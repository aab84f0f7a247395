#include "corbel/text/byte_trie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

namespace corbel {
namespace {

using Matches = std::vector<std::pair<std::size_t, std::int32_t>>;

Matches matches(const ByteTrie& trie, std::string_view text) {
  Matches found;
  trie.each_prefix(text, [&](std::size_t bytes, std::int32_t value) { found.emplace_back(bytes, value); });
  return found;
}

TEST(ByteTrie, WithoutKeysMatchesNothing) {
  const ByteTrie trie;
  EXPECT_EQ(matches(trie, "a"), Matches{});
  EXPECT_EQ(matches(trie, std::string(1, '\0')), Matches{});
  EXPECT_EQ(trie.longest("").bytes, 0U);
}

TEST(ByteTrie, GivesTheKeysThatATextBeginsWithTheShortestFirst) {
  const ByteTrie trie({{"abc", 0}, {"a", 1}, {"abd", 2}, {"", 3}, {"abcdefgh", 4}});
  EXPECT_EQ(matches(trie, "abcdefghi"), (Matches{{1, 1}, {3, 0}, {8, 4}}));
  EXPECT_EQ(matches(trie, "abcdefg"), (Matches{{1, 1}, {3, 0}}));
  EXPECT_EQ(matches(trie, "b"), Matches{});
  EXPECT_EQ(trie.longest("abdd").bytes, 3U);
  EXPECT_EQ(trie.longest("abdd").value, 2);
}

TEST(ByteTrie, TellsKeysApartThatDifferOnlyInNulBytesAtTheEnd) {
  const std::string nul(3, '\0');
  const ByteTrie trie({{nul, 0}, {std::string_view(nul).substr(0, 1), 1}, {"a", 2}, {std::string_view("a\0", 2), 3}});
  EXPECT_EQ(matches(trie, nul + nul), (Matches{{1, 1}, {3, 0}}));
  EXPECT_EQ(matches(trie, std::string("a\0b", 3)), (Matches{{1, 2}, {2, 3}}));
}

TEST(ByteTrie, AgreesWithAMapForRandomKeysOfAllBytes) {
  std::mt19937 random(20);
  for (const unsigned alphabet : {2U, 30U, 256U}) {
    std::map<std::string, std::int32_t> expected;
    const auto word = [&](unsigned most) {
      std::string made;
      for (unsigned size = 1 + random() % most; size > 0; --size) made += static_cast<char>(random() % alphabet);
      return made;
    };
    for (std::int32_t i = 0; i < 20000; ++i) expected.try_emplace(word(14), i);
    std::vector<ByteTrie::Key> keys;
    for (const auto& [bytes, value] : expected) keys.push_back({bytes, value});
    std::shuffle(keys.begin(), keys.end(), random);
    const ByteTrie trie(keys);
    for (int i = 0; i < 20000; ++i) {
      const std::string text = word(20);
      Matches found;
      for (std::size_t bytes = 1; bytes <= text.size(); ++bytes) {
        const auto at = expected.find(text.substr(0, bytes));
        if (at != expected.end()) found.emplace_back(bytes, at->second);
      }
      ASSERT_EQ(matches(trie, text), found) << "alphabet " << alphabet << ", text " << i;
    }
  }
}

}  // namespace
}  // namespace corbel
