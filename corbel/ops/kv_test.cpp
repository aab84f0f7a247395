#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "corbel/ops/attention.h"
#include "corbel/ops/test_cache.h"

namespace corbel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(KvCache, GivesBackWhatWasAppendedRoundedToItsDtype) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
    const KvPageSpec page{3, 5, dtype};
    Cache cache(page, 2, 70, 8);
    std::vector<float> keys(70 * 15);
    std::vector<float> values(70 * 15);
    KvExport::reference({page},
                        {cache.layer(), 1, make_view(keys.data(), {70, 3, 5}), make_view(values.data(), {70, 3, 5})});
    for (std::int64_t i = 0; i < 70 * 15; ++i) {
      ASSERT_EQ(keys[i], cache.key(1, i / 15, i / 5 % 3, i % 5));
      ASSERT_EQ(values[i], cache.value(1, i / 15, i / 5 % 3, i % 5));
    }
  }
}

TEST(KvCache, OfInt8IsWithinHalfAStepOfTheLargestElement) {
  const KvPageSpec page{2, 40, DType::i8};
  Cache cache(page, 1, 64, 9);
  const auto* keys = static_cast<const float*>(cache.keys().data);
  for (std::int64_t row = 0; row < 128; ++row) {
    float largest = 0.0F;
    for (std::int64_t d = 0; d < 40; ++d) largest = std::max(largest, std::fabs(keys[row * 40 + d]));
    std::vector<float> stored_keys(64 * 80);
    std::vector<float> stored_values(64 * 80);
    KvExport::reference({page}, {cache.layer(), 0, make_view(stored_keys.data(), {64, 2, 40}),
                                 make_view(stored_values.data(), {64, 2, 40})});
    for (std::int64_t d = 0; d < 40; ++d) {
      // A scale rounded to bf16 is off by 2^-8 at most.
      ASSERT_LE(std::fabs(stored_keys[row * 40 + d] - keys[row * 40 + d]), largest / 254 * (1 + 0x1p-8 + 1e-5));
    }
  }
}

TEST(KvCache, OfInt8HoldsNanWhereAKeyOrAValueIsNotFiniteAndZerosWhereAllIsTiny) {
  const KvPageSpec page{1, 2, DType::i8};
  std::vector<std::byte> bytes(page.page_bytes());
  std::vector<std::int32_t> sequences(4, 0);
  std::vector<std::int32_t> slots = {0, 1, 2, 3};
  std::vector<std::int32_t> table = {0};
  const KvLayer layer{bytes.data(), page.page_bytes(), make_view(table.data(), {1, 1})};
  const std::vector<float> key = {1, 2, HUGE_VALF, 2, 1e-35F, 0, 1, -127};
  const std::vector<float> value = {1, NAN, 1, 2, 3, -3, 0, 0};
  KvAppend::reference({page}, {make_view(key.data(), {4, 1, 2}), make_view(value.data(), {4, 1, 2}),
                               make_view(sequences.data(), {4}), make_view(slots.data(), {4}), layer});
  std::vector<float> keys(8);
  std::vector<float> values(8);
  KvExport::reference({page}, {layer, 0, make_view(keys.data(), {4, 1, 2}), make_view(values.data(), {4, 1, 2})});
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(std::isnan(keys[i]) && std::isnan(values[i])) << i;
  EXPECT_THAT(std::vector<float>(keys.begin() + 4, keys.end()), ElementsAre(0, 0, 1, -127));
  EXPECT_EQ(values[4], -values[5]);
  EXPECT_NEAR(values[4], 3.0F, 3.0F / 254);
  EXPECT_EQ(values[6], 0.0F);
}

TEST(KvCache, KeepsKeysOfAHeadTogetherThenValues) {
  const KvPageSpec page{2, 2, DType::f32};
  std::vector<float> pages(2 * 2 * 64 * 2, 0.0F);
  std::vector<float> key = {1, 2, 3, 4};
  std::vector<float> value = {5, 6, 7, 8};
  std::vector<std::int32_t> numbers = {0, 3};
  std::vector<std::int32_t> table = {0};
  const KvLayer layer{reinterpret_cast<std::byte*>(pages.data()), page.page_bytes(), make_view(table.data(), {1, 1})};
  KvAppend::reference({page}, {make_view(key.data(), {1, 2, 2}), make_view(value.data(), {1, 2, 2}),
                               make_view(&numbers[0], {1}), make_view(&numbers[1], {1}), layer});
  EXPECT_THAT(std::vector<float>(pages.begin() + 6, pages.begin() + 8), ElementsAre(1, 2));
  EXPECT_THAT(std::vector<float>(pages.begin() + 128 + 6, pages.begin() + 128 + 8), ElementsAre(3, 4));
  EXPECT_THAT(std::vector<float>(pages.begin() + 256 + 6, pages.begin() + 256 + 8), ElementsAre(5, 6));
  EXPECT_EQ(std::count_if(pages.begin(), pages.end(), [](float x) { return x != 0.0F; }), 8);
}

TEST(KvCopy, CopiesWholePagesAndNothingBetweenThem) {
  const KvPageSpec page{1, 1, DType::f32};
  const std::int64_t stride = page.page_bytes() + 8;
  std::vector<float> bytes(3 * stride / 4);
  std::iota(bytes.begin(), bytes.end(), 0.0F);
  std::vector<float> expected = bytes;
  std::copy_n(bytes.begin() + 2 * stride / 4, page.page_bytes() / 4, expected.begin());
  std::vector<std::int32_t> source = {2};
  std::vector<std::int32_t> destination = {0};
  const KvLayer layer{reinterpret_cast<std::byte*>(bytes.data()), stride, make_view(source.data(), {1, 1})};
  KvCopy::reference({page}, {layer, make_view(source.data(), {1}), make_view(destination.data(), {1})});
  EXPECT_EQ(bytes, expected);
}

TEST(KvOps, RefuseAPageThatIsNone) {
  EXPECT_THAT(refusal<KvAppend>({{0, 8, DType::f32}}), HasSubstr("op \"kv_append\": page.kv_heads is 0"));
  EXPECT_THAT(refusal<KvExport>({{1, 0, DType::f32}}), HasSubstr("op \"kv_export\": page.head_dim is 0"));
  EXPECT_THAT(refusal<KvCopy>({{1, 8, DType::u8}}), HasSubstr("op \"kv_copy\": page.dtype is u8"));
}

}  // namespace
}  // namespace corbel
