#include "corbel/tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace corbel {
namespace {

// The compiler's own half type is the independent oracle.
__extension__ using Half = _Float16;

std::uint16_t oracle_bits(float value) { return std::bit_cast<std::uint16_t>(static_cast<Half>(value)); }
float oracle_value(std::uint16_t bits) { return static_cast<float>(std::bit_cast<Half>(bits)); }

TEST(Float16, EveryOneOfThe65536ValuesDecodesLikeTheCompilersHalf) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float mine = to_float(float16{static_cast<std::uint16_t>(bits)});
    const float theirs = oracle_value(static_cast<std::uint16_t>(bits));
    if (std::isnan(theirs)) {
      ASSERT_TRUE(std::isnan(mine)) << bits;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(mine), std::bit_cast<std::uint32_t>(theirs)) << bits;
    }
  }
}

TEST(Float16, EveryOneOfThe65536ValuesSurvivesARoundTrip) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float16 value{static_cast<std::uint16_t>(bits)};
    const bool nan = (bits & 0x7fffu) > 0x7c00u;
    // A NaN keeps its sign and payload and becomes quiet.
    ASSERT_EQ(to_float16(to_float(value)).bits, nan ? bits | 0x0200u : bits) << bits;
  }
}

TEST(Float16, EncodesLikeTheCompilersHalfAroundEveryPlaceWhereRoundingTurns) {
  // Each finite value, the middle to its neighbour, and the floats just beside both.
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const float low = oracle_value(static_cast<std::uint16_t>(bits));
    const float high = bits == 0x7bff ? 65536.0f : oracle_value(static_cast<std::uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    for (const float center : {low, middle}) {
      for (const float value : {std::nextafter(center, -1.0f), center, std::nextafter(center, 1e9f)}) {
        ASSERT_EQ(to_float16(value).bits, oracle_bits(value)) << value;
        ASSERT_EQ(to_float16(-value).bits, oracle_bits(-value)) << -value;
      }
    }
  }
}

TEST(Float16, EncodesLikeTheCompilersHalfForRandomFloatBits) {
  std::mt19937 random(1);
  for (int i = 0; i < 2'000'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    ASSERT_EQ(to_float16(value).bits, oracle_bits(value)) << value;
  }
}

TEST(Float16, OverflowsToInfinityFrom65520On) {
  EXPECT_EQ(to_float16(65519.996f).bits, 0x7bff);
  EXPECT_EQ(to_float16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(to_float16(-3e38f).bits, 0xfc00);
  EXPECT_EQ(to_float16(std::numeric_limits<float>::infinity()).bits, 0x7c00);
  EXPECT_EQ(to_float16(0x1p-25f).bits, 0);              // a tie with zero, which is even
  EXPECT_EQ(to_float16(0x1.000002p-25f).bits, 0x0001);  // just above it
  EXPECT_EQ(to_float16(-0.0f).bits, 0x8000);
}

/// Nearest bfloat16 by trying both neighbours in double.
std::uint16_t nearest_bfloat16(float value) {
  const auto low_bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
  const auto high_bits = static_cast<std::uint16_t>(low_bits + 1);
  const auto as_double = [](std::uint16_t bits) {
    // Infinity stands for 2^128, the next value that a larger exponent would give.
    return (bits & 0x7fff) == 0x7f80 ? std::copysign(0x1p128, (bits & 0x8000) != 0 ? -1.0 : 1.0)
                                     : static_cast<double>(to_float(bfloat16{bits}));
  };
  const double down = std::abs(static_cast<double>(value) - as_double(low_bits));
  const double up = std::abs(as_double(high_bits) - static_cast<double>(value));
  if (down != up) return down < up ? low_bits : high_bits;
  return low_bits % 2 == 0 ? low_bits : high_bits;
}

TEST(BFloat16, RoundsToTheNearestAndTiesToEven) {
  std::mt19937 random(2);
  for (std::uint32_t upper = 0; upper <= 0xffff; ++upper) {
    if ((upper & 0x7f80u) == 0x7f80u) continue;
    for (const std::uint32_t lower :
         {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu, static_cast<std::uint32_t>(random() & 0xffff)}) {
      const auto value = std::bit_cast<float>(upper << 16 | lower);
      ASSERT_EQ(to_bfloat16(value).bits, nearest_bfloat16(value)) << value;
    }
  }
}

TEST(BFloat16, KeepsInfinityAndNan) {
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::infinity()).bits, 0x7f80);
  EXPECT_EQ(to_bfloat16(-std::numeric_limits<float>::infinity()).bits, 0xff80);
  // A NaN whose payload sits in the lower half must not become infinity.
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0x7fffffffu)))));
}

TEST(DType, NamesAndSizesAgreeWithTheTypes) {
  EXPECT_EQ(dtype_bytes(DType::f32), static_cast<std::int64_t>(sizeof(float)));
  EXPECT_EQ(dtype_bytes(DType::bf16), static_cast<std::int64_t>(sizeof(bfloat16)));
  EXPECT_EQ(dtype_bytes(DType::f16), static_cast<std::int64_t>(sizeof(float16)));
  EXPECT_EQ(dtype_bytes(DType::i8), 1);
  EXPECT_EQ(dtype_bytes(DType::i64), 8);
  EXPECT_EQ(to_string(DType::bf16), "bf16");
}

}  // namespace
}  // namespace corbel
