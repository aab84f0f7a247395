#pragma once
#include <algorithm>
#include <bit>

#include "corbel/ops/attention.h"
#include "corbel/ops/attention_exp2.h"
#include "corbel/ops/exact_lanes.h"
#include "corbel/ops/head_rows.h"
#include "corbel/ops/spec_check.h"

/// What the references of the cache and attention ops share: a token's place in the pages, and the attention of one
/// query head over one sequence. Internal to this folder.
namespace corbel {

inline constexpr std::int64_t kChunkTokens = kKeyBlockTokens * kChunkBlocks;

/// 2^x for x <= 0, as the attention of a bf16 cache takes it: below -100 it is 2^-100, 2^0 is exactly 1, NaN stays NaN.
/// Relative error at most 3e-6 (attention_test).
inline float exp2_f32(float x) noexcept {
  using C = Exp2Constants;
  const float bounded = x < C::kLow ? C::kLow : x;
  const float shifted = bounded + C::kRound;
  const float r = bounded - (shifted - C::kRound);
  float p = std::fma(C::kC4, r, C::kC3);
  p = std::fma(p, r, C::kC2);
  p = std::fma(p, r, C::kC1);
  p = std::fma(p, r, 1.0F);
  // The integer times 2^23 is added to the exponent; what the shift pushes out is the constant's own bits.
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) + (std::bit_cast<std::uint32_t>(shifted) << 23));
}

/// One head's keys and values of the page that a slot is in.
struct HeadPage {
  std::byte* keys;
  std::byte* values;
  std::byte* scales;  // of an int8 cache
};
inline HeadPage head_page(const KvPageSpec& page, const KvLayer& cache, std::int64_t sequence, std::int64_t slot,
                          std::int64_t kv_head) noexcept {
  const std::int32_t number = Rows<const std::int32_t>(cache.page_table)[sequence][slot / kPageTokens];
  std::byte* const begin = cache.pages + number * cache.page_stride_bytes;
  return {begin + page.keys_offset(kv_head), begin + page.values_offset(kv_head), begin + page.scales_offset(kv_head)};
}

inline constexpr float kSmallestStored = 0x1p-100F;  // no larger magnitude: zeros

inline float key_scale(const HeadPage& head, std::int64_t slot) noexcept {
  return to_float(reinterpret_cast<const bfloat16*>(head.scales + KvPageSpec::key_scale_place(slot % kPageTokens))[0]);
}
inline float value_scale(const HeadPage& head, std::int64_t slot) noexcept {
  return to_float(
      reinterpret_cast<const bfloat16*>(head.scales + KvPageSpec::value_scale_place(slot % kPageTokens))[0]);
}
inline float stored_number(DType dtype, const std::byte* place, float scale) noexcept {
  if (dtype == DType::f32) return *reinterpret_cast<const float*>(place);
  if (dtype == DType::bf16) return to_float(*reinterpret_cast<const bfloat16*>(place));
  return static_cast<float>(*reinterpret_cast<const std::int8_t*>(place)) * scale;
}

/// A token's key as f32 [head_dim].
inline void load_key(const KvPageSpec& page, const HeadPage& head, std::int64_t slot, float* key) noexcept {
  const float scale = page.dtype == DType::i8 ? key_scale(head, slot) : 1.0F;
  for (std::int64_t d = 0; d < page.head_dim; ++d)
    key[d] = stored_number(page.dtype, head.keys + page.key_place(slot % kPageTokens, d), scale);
}
inline void load_value(const KvPageSpec& page, const HeadPage& head, std::int64_t slot, float* value) noexcept {
  const float scale = page.dtype == DType::i8 ? value_scale(head, slot) : 1.0F;
  for (std::int64_t d = 0; d < page.head_dim; ++d)
    value[d] = stored_number(page.dtype, head.values + page.value_place(slot % kPageTokens, d), scale);
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

/// Where the visible slots [begin, end) of one key block are; at most kKeyBlockTokens of them.
struct KeyBlock {
  std::int64_t begin;
  std::int64_t end;
};

/// Running maximum, sum and output of a chunk.
struct PartialSoftmax {
  float maximum;
  float sum;
  float out[kMaxHeadDim];
};

Result<void> check_page(std::string_view op, const KvPageSpec& page);
Result<void> check_attention(std::string_view op, const AttentionOpSpec& spec);

/// Arithmetic of a bf16 cache. `q` as scale_query makes it.
void scale_query(const AttentionOpSpec& spec, const float* q, float* scaled) noexcept;
void add_block_bf16(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, const KeyBlock& block,
                    PartialSoftmax& part) noexcept;

/// Arithmetic of an int8 cache.
struct IntegerQuery {
  std::int32_t integers[kMaxHeadDim];
  float unit;
};
void quantize_query(const AttentionOpSpec& spec, const float* q, IntegerQuery& query) noexcept;
void add_block_int8(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, const KeyBlock& block,
                    const IntegerQuery& query, PartialSoftmax& part) noexcept;

/// All query heads of one row of a sequence, by the arithmetic of attention.h. row indexes q and out.
void attend_row(const AttentionOpSpec& spec, const KvLayer& cache, const HeadRows<const float>& q,
                const HeadRows<float>& out, const HeadTask& place, std::int64_t row) noexcept;

}  // namespace corbel
