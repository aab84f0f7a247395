#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "corbel/ops/attention.h"
#include "corbel/ops/op.h"

/// What tests of attention and of its cache share.
namespace corbel {

/// One or more sequences of equal length, filled through kv_append, pages in descending order.
class Cache {
 public:
  Cache(const KvPageSpec& page, std::int64_t sequences, std::int64_t tokens, std::uint64_t seed)
      : page_(page), tokens_(tokens), memory_(seed) {
    const std::int64_t pages = (tokens + kPageTokens - 1) / kPageTokens;
    std::vector<std::int32_t> table(sequences * pages);
    std::iota(table.rbegin(), table.rend(), 0);
    std::vector<std::int32_t> rows;
    std::vector<std::int32_t> slots;
    for (std::int32_t s = 0; s < sequences; ++s)
      for (std::int32_t t = 0; t < tokens; ++t) rows.push_back(s), slots.push_back(t);
    const auto count = static_cast<std::int64_t>(rows.size());
    keys_ = memory_.input(DType::f32, {count, page.kv_heads, page.head_dim}, 2.0F);
    values_ = memory_.input(DType::f32, {count, page.kv_heads, page.head_dim});
    layer_ = {static_cast<std::byte*>(memory_.zeroed(sequences * pages * page.page_bytes()).data), page.page_bytes(),
              memory_.integers(table, {sequences, pages})};
    KvAppend::reference({page},
                        {keys_, values_, memory_.integers(rows, {count}), memory_.integers(slots, {count}), layer_});
  }

  const KvLayer& layer() const { return layer_; }
  CaseMemory& memory() { return memory_; }

  /// Key or value as it was stored.
  double stored(const TensorView& view, std::int64_t sequence, std::int64_t slot, std::int64_t head,
                std::int64_t d) const {
    const float* const given =
        static_cast<const float*>(view.data) + ((sequence * tokens_ + slot) * page_.kv_heads + head) * page_.head_dim;
    if (page_.dtype != DType::i8) return page_.dtype == DType::bf16 ? to_float(to_bfloat16(given[d])) : given[d];
    const float scale = scale_of(given);
    return static_cast<double>(std::nearbyint(given[d] * (1.0F / scale))) * scale;
  }
  float scale_of(const float* given) const {
    float largest = 0.0F;
    for (std::int64_t d = 0; d < page_.head_dim; ++d) largest = std::max(largest, std::fabs(given[d]));
    return to_float(to_bfloat16(largest / 127.0F));
  }
  /// Of an int8 cache's value.
  double value_scale(std::int64_t sequence, std::int64_t slot, std::int64_t head) const {
    return scale_of(static_cast<const float*>(values_.data) +
                    ((sequence * tokens_ + slot) * page_.kv_heads + head) * page_.head_dim);
  }
  double key(std::int64_t s, std::int64_t slot, std::int64_t h, std::int64_t d) const {
    return stored(keys_, s, slot, h, d);
  }
  double value(std::int64_t s, std::int64_t slot, std::int64_t h, std::int64_t d) const {
    return stored(values_, s, slot, h, d);
  }
  const TensorView& keys() const { return keys_; }
  const TensorView& values() const { return values_; }

 private:
  KvPageSpec page_;
  std::int64_t tokens_;
  CaseMemory memory_;
  TensorView keys_;
  TensorView values_;
  KvLayer layer_;
};

template <typename Op>
std::string refusal(const typename Op::Spec& spec) {
  const Result<void> checked = Op::check(spec);
  return checked ? std::string("accepted") : checked.error().message;
}

}  // namespace corbel
