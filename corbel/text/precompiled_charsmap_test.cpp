#include "corbel/text/precompiled_charsmap.h"

#include <gtest/gtest.h>

#include <random>

#include "corbel/text/unicode.h"

namespace corbel {
namespace {

void append_unit(std::string& bytes, std::uint32_t unit) {
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(unit >> shift & 0xFF));
}

/// "a" -> "X", "ab" -> "YZ", written out unit by unit.
std::string small_map() {
  std::vector<std::uint32_t> units(1280);
  units[0] = 256U << 10;
  units[256 ^ 'a'] = ((512U ^ 256U ^ 'a') << 10) | 0x100 | 'a';
  units[512] = 0x80000000U;  // offset 0: "X"
  units[512 ^ 'b'] = ((1024U ^ 512U ^ 'b') << 10) | 0x100 | 'b';
  units[1024] = 0x80000000U | 2;  // "YZ"
  std::string bytes;
  append_unit(bytes, static_cast<std::uint32_t>(units.size() * 4));
  for (const std::uint32_t unit : units) append_unit(bytes, unit);
  return bytes + std::string("X\0YZ\0", 5);
}

TEST(PrecompiledCharsmap, FindsTheLongestAndTheShortestEntry) {
  const auto map = PrecompiledCharsmap::parse(small_map());
  ASSERT_TRUE(map.has_value()) << map.error().message;
  EXPECT_EQ(map->longest_prefix("abc").bytes, 2U);
  EXPECT_EQ(map->longest_prefix("abc").replacement, "YZ");
  EXPECT_EQ(map->shortest_prefix("abc").bytes, 1U);
  EXPECT_EQ(map->shortest_prefix("abc").replacement, "X");
  EXPECT_EQ(map->longest_prefix("ac").replacement, "X");
  EXPECT_EQ(map->longest_prefix("ba").bytes, 0U);
  EXPECT_EQ(map->longest_prefix("").bytes, 0U);
  EXPECT_TRUE(map->may_start('a'));
  EXPECT_FALSE(map->may_start('b'));
}

TEST(PrecompiledCharsmap, RefusesSizesAndTextThatCannotBe) {
  EXPECT_TRUE(PrecompiledCharsmap::parse("").has_value());
  EXPECT_FALSE(PrecompiledCharsmap::parse("abc").has_value());
  EXPECT_FALSE(PrecompiledCharsmap::parse(std::string("\x04\0\0\0ab", 6)).has_value());
  EXPECT_FALSE(PrecompiledCharsmap::parse(std::string("\x02\0\0\0abcd", 8)).has_value());
  EXPECT_FALSE(PrecompiledCharsmap::parse(std::string("\0\0\0\0\xFF", 5)).has_value());
}

TEST(PrecompiledCharsmap, AnyUnitsAnswerWithinTheirBounds) {
  std::mt19937 random(5);
  const std::string good = small_map();
  for (int round = 0; round < 20000; ++round) {
    std::string blob = good;
    for (int change = 0; change < 6; ++change) {
      const std::size_t spot[] = {0, 256 ^ 'a', 512, 512 ^ 'b', 1024, random() % 1280};
      blob[4 + spot[random() % 6] * 4 + random() % 4] = static_cast<char>(random());
    }
    const auto map = PrecompiledCharsmap::parse(blob);
    ASSERT_TRUE(map.has_value());
    const auto match = map->longest_prefix("abab");
    ASSERT_LE(match.bytes, 4U);
    ASSERT_EQ(valid_utf8_prefix(match.replacement), match.replacement.size());
  }
}

}  // namespace
}  // namespace corbel
