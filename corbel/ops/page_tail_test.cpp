#include "corbel/ops/page_tail.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "corbel/ops/attention.h"

namespace corbel {
namespace {

/// A page with `tokens` tokens appended to a zeroed one: what stands behind them is zero.
std::vector<std::byte> page_of(const KvPageSpec& page, std::int32_t tokens) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(page.page_bytes()));
  std::vector<float> keys(static_cast<std::size_t>(tokens * page.kv_heads * page.head_dim));
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = 0.5F + static_cast<float>(i % 37);
  std::vector<std::int32_t> sequences(static_cast<std::size_t>(tokens)), slots(static_cast<std::size_t>(tokens));
  for (std::int32_t i = 0; i < tokens; ++i) slots[static_cast<std::size_t>(i)] = i;
  std::int32_t table = 0;
  const TensorView rows = make_view(keys.data(), {tokens, page.kv_heads * page.head_dim});
  KvAppend::reference({page}, {rows,
                               rows,
                               make_view(sequences.data(), {tokens}),
                               make_view(slots.data(), {tokens}),
                               {bytes.data(), page.page_bytes(), make_view(&table, {1, 1})}});
  return bytes;
}

TEST(ClearPageTail, LeavesWhatAppendingOnlyTheFirstTokensWouldHaveWritten) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
    for (const std::int64_t head_dim : {16, 33, 80}) {
      const KvPageSpec page{.kv_heads = 2, .head_dim = head_dim, .dtype = dtype};
      for (const std::int32_t tokens : {1, 17, 63, 64}) {
        std::vector<std::byte> bytes = page_of(page, 64);
        clear_page_tail(page, tokens, bytes.data());
        EXPECT_EQ(bytes, page_of(page, tokens)) << head_dim << " tokens " << tokens;
      }
    }
  }
}

}  // namespace
}  // namespace corbel
