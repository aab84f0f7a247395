#include "corbel/base/base64.h"

#include <gtest/gtest.h>

#include <array>
#include <string_view>

namespace corbel {
namespace {

std::string encoded(std::string_view text) { return base64_of(std::as_bytes(std::span(text))); }

TEST(Base64, GivesTheVectorsOfRfc4648) {
  EXPECT_EQ(encoded(""), "");
  EXPECT_EQ(encoded("f"), "Zg==");
  EXPECT_EQ(encoded("fo"), "Zm8=");
  EXPECT_EQ(encoded("foo"), "Zm9v");
  EXPECT_EQ(encoded("foob"), "Zm9vYg==");
  EXPECT_EQ(encoded("fooba"), "Zm9vYmE=");
  EXPECT_EQ(encoded("foobar"), "Zm9vYmFy");
}

TEST(Base64, UsesAllDigits) {
  constexpr std::array<std::byte, 3> kHigh = {std::byte{0xFB}, std::byte{0xEF}, std::byte{0xFF}};
  EXPECT_EQ(base64_of(kHigh), "++//");
}

}  // namespace
}  // namespace corbel
