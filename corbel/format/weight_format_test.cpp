#include "corbel/format/weight_format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <vector>

namespace corbel {
namespace {

std::vector<float> round_trip(const WeightFormat& format, const std::vector<float>& values) {
  const auto count = static_cast<std::int64_t>(values.size());
  // One byte off: formats must not care for alignment.
  std::vector<std::byte> stored(static_cast<std::size_t>(format.bytes(count)) + 1);
  std::vector<float> decoded(values.size());
  format.encode(values.data(), count, stored.data() + 1);
  format.decode(stored.data() + 1, count, decoded.data());
  return decoded;
}

TEST(WeightFormats, AreFoundByTheirNameOnDisk) {
  std::set<std::string_view> names;
  for (const WeightFormat* format : weight_formats()) {
    EXPECT_TRUE(names.insert(format->name).second) << format->name << " is there twice";
    EXPECT_EQ(*find_weight_format(format->name), format);
  }
  EXPECT_EQ(*find_weight_format("bf16"), &bf16_format());
  const Result<const WeightFormat*> unknown = find_weight_format("q4x");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::unsupported);
  EXPECT_EQ(unknown.error().message.substr(0, 51), "weight format \"q4x\" is unknown; known: f32, bf16, f");
}

TEST(WeightFormats, StayWithinTheirRelativeErrorAtOddAddresses) {
  std::mt19937 random(3);
  std::vector<float> values;
  for (int i = 0; i < 4096; ++i) {
    const float mantissa = 1.0f + static_cast<float>(random() & 0x7fffff) * 0x1p-23f;
    values.push_back(std::ldexp(i % 2 == 0 ? mantissa : -mantissa, static_cast<int>(random() % 28) - 14));
  }
  // The worst places: half-way between 1 and its neighbour.
  values.insert(values.end(), {1.0f + 0x1p-8f, 1.0f + 0x1p-11f, 1.0f, -1.0f});
  const auto blocks = [](const WeightFormat& format, std::size_t count) { return count % format.block_values == 0; };
  for (const WeightFormat* format : weight_formats()) {
    if (format->encode == nullptr) continue;
    ASSERT_TRUE(blocks(*format, values.size())) << format->name;
    const std::vector<float> decoded = round_trip(*format, values);
    double worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      worst = std::max(worst, std::abs((double{decoded[i]} - values[i]) / values[i]));
    EXPECT_LE(worst, format->relative_error) << format->name;
    EXPECT_GE(worst, 0.999 * format->relative_error) << format->name << ": the stated bound is not reached";
  }
}

TEST(WeightFormats, StoreTheBytesThatOtherProgramsWrite) {
  // torch: tensor([1.5, -2.0]).to(dtype).view(uint8)
  const std::vector<float> values{1.5f, -2.0f};
  const auto stored = [&](const WeightFormat& format) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(format.bytes(2)));
    format.encode(values.data(), 2, bytes.data());
    std::vector<int> numbers;
    for (const std::byte byte : bytes) numbers.push_back(static_cast<int>(byte));
    return numbers;
  };
  EXPECT_EQ(stored(f32_format()), (std::vector<int>{0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0}));
  EXPECT_EQ(stored(bf16_format()), (std::vector<int>{0xc0, 0x3f, 0, 0xc0}));
  EXPECT_EQ(stored(f16_format()), (std::vector<int>{0, 0x3e, 0, 0xc0}));
}

TEST(WeightFormats, CarryNoValuesAtAll) {
  for (const WeightFormat* format : weight_formats()) {
    if (format->encode == nullptr) continue;
    format->decode(nullptr, 0, nullptr);
    format->encode(nullptr, 0, nullptr);
    EXPECT_EQ(format->bytes(0), 0);
  }
}

}  // namespace
}  // namespace corbel
