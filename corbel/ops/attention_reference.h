#pragma once
#include <algorithm>

#include "corbel/ops/attention.h"
#include "corbel/ops/exact_lanes.h"
#include "corbel/ops/head_rows.h"
#include "corbel/ops/spec_check.h"

/// What the references of the cache and attention ops share: a token's place in the pages, and the attention of one
/// query head over one sequence. Internal to this folder.
namespace corbel {

inline constexpr std::int64_t kChunkTokens = kKeyBlockTokens * kChunkBlocks;

/// Address of a token's key of one head; its value is page.half_bytes() further on.
inline std::byte* key_address(const KvPageSpec& page, const KvLayer& cache, std::int64_t sequence, std::int64_t slot,
                              std::int64_t kv_head) noexcept {
  const std::int32_t number = Rows<const std::int32_t>(cache.page_table)[sequence][slot / kPageTokens];
  return cache.pages + number * cache.page_stride_bytes + page.key_offset(kv_head, slot % kPageTokens);
}

/// head_dim stored values as f32.
inline void load_head(DType dtype, const std::byte* stored, std::int64_t count, float* values) noexcept {
  if (dtype == DType::f32) {
    const auto* source = reinterpret_cast<const float*>(stored);
    for (std::int64_t d = 0; d < count; ++d) values[d] = source[d];
  } else {
    const auto* source = reinterpret_cast<const bfloat16*>(stored);
    for (std::int64_t d = 0; d < count; ++d) values[d] = to_float(source[d]);
  }
}

/// One query head of one row.
struct HeadTask {
  const float* q = nullptr;
  float* out = nullptr;
  std::int64_t sequence = 0;
  std::int64_t kv_head = 0;
  std::int64_t first_slot = 0;  // first visible one
  std::int64_t slot = 0;        // last visible one: the row's own
};

/// Running maximum, sum and output of a chunk.
struct PartialSoftmax {
  float maximum;
  float sum;
  float out[kMaxHeadDim];
};

Result<void> check_page(std::string_view op, const KvPageSpec& page);
Result<void> check_attention(std::string_view op, const AttentionOpSpec& spec);

/// All query heads of one row of a sequence, by the arithmetic of attention.h. row indexes q and out.
void attend_row(const AttentionOpSpec& spec, const KvLayer& cache, const HeadRows<const float>& q,
                const HeadRows<float>& out, const HeadTask& place, std::int64_t row) noexcept;

}  // namespace corbel
