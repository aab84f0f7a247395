#include "corbel/engine/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

namespace corbel {
namespace {

TEST(StopStrings, AStopStringCutAcrossPiecesIsFound) {
  StopStrings stops({"\nUser:"});
  EXPECT_EQ(stops.push("fine.\nUs"), "fine.");
  EXPECT_EQ(stops.push("er: more"), "");
  EXPECT_TRUE(stops.met());
  EXPECT_EQ(stops.push("x") + stops.finish(), "");
}

TEST(StopStrings, TextThatOnlyBeganLikeOneIsReleased) {
  StopStrings stops({"\nUser:"});
  EXPECT_EQ(stops.push("a\nUs"), "a");
  EXPECT_EQ(stops.push("eless"), "\nUseless");
  EXPECT_EQ(stops.push("\nUser"), "");
  EXPECT_EQ(stops.finish(), "\nUser");
  EXPECT_FALSE(stops.met());
}

TEST(StopStrings, TheEarliestOfSeveralWins) {
  StopStrings stops({"cd", "abc", ""});
  EXPECT_EQ(stops.push("xabcd"), "x");
  EXPECT_TRUE(stops.met());
}

TEST(StopStrings, AnyCutOfATextGivesTheSame) {
  constexpr unsigned kSeed = 23;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 20; ++i) text += static_cast<char>('a' + random() % 2);
    const std::vector<std::string> list = {"aabab", "bbbb", "abba"};
    std::size_t cut = std::string::npos;
    for (const std::string& stop : list) cut = std::min(cut, text.find(stop));
    StopStrings stops(list);
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = 1 + random() % 4;
      out += stops.push(std::string_view(text).substr(at, length));
      at += length;
    }
    out += stops.finish();
    ASSERT_EQ(out, text.substr(0, cut)) << "seed " << kSeed << " round " << round << " text " << text;
    ASSERT_EQ(stops.met(), cut != std::string::npos);
  }
}

}  // namespace
}  // namespace corbel
