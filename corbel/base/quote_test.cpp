#include "corbel/base/quote.h"

#include <gtest/gtest.h>

namespace corbel {
namespace {

TEST(Quote, KeepsShortPrintableText) { EXPECT_EQ(quote("layers.0.weight"), "\"layers.0.weight\""); }

TEST(Quote, ReplacesWhatCouldSteerATerminal) { EXPECT_EQ(quote("a\x1b[31m\n\xc2\x9b"), "\"a?[31m???\""); }

TEST(Quote, CutsTextAfterAHundredBytesAndShowsIt) {
  EXPECT_EQ(clip(std::string(100, 'x')), std::string(100, 'x'));
  EXPECT_EQ(clip(std::string(101, 'x')), std::string(100, 'x') + "...");
}

}  // namespace
}  // namespace corbel
