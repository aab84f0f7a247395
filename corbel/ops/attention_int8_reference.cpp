#include <cmath>

#include "corbel/ops/attention_reference.h"

// One key block in the arithmetic of an int8 cache.

namespace corbel {

void quantize_query(const AttentionOpSpec& spec, const float* q, IntegerQuery& query) noexcept {
  const float scale = spec.softmax_scale * ExpConstants::kLog2E;
  float scaled[kMaxHeadDim];
  float largest = 0.0F;
  bool finite = true;
  for (std::int64_t d = 0; d < spec.page.head_dim; ++d) {
    scaled[d] = q[d] * scale;
    finite = finite && std::isfinite(scaled[d]);
    largest = std::max(largest, std::fabs(scaled[d]));
    query.integers[d] = 0;
  }
  query.unit = finite ? 0.0F : NAN;
  if (!finite || largest < kSmallestStored) return;
  query.unit = largest / kQueryIntegers;
  const float inverse = kQueryIntegers / largest;
  for (std::int64_t d = 0; d < spec.page.head_dim; ++d)
    query.integers[d] = static_cast<std::int32_t>(std::nearbyint(scaled[d] * inverse));
}

namespace {

void score_block(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, const KeyBlock& block,
                 const IntegerQuery& query, float* scores) noexcept {
  for (std::int64_t j = block.begin; j < block.end; ++j) {
    const HeadPage head = head_page(spec.page, cache, task.sequence, j, task.kv_head);
    std::int32_t sum = 0;
    for (std::int64_t d = 0; d < spec.page.head_dim; ++d) {
      const auto* key = reinterpret_cast<const std::int8_t*>(head.keys + spec.page.key_place(j % kPageTokens, d));
      sum += query.integers[d] * *key;
    }
    scores[j - block.begin] = static_cast<float>(sum) * query.unit * key_scale(head, j);
  }
}

/// part.out = part.out * a + the block's values, weighted with p.
void add_values(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, const KeyBlock& block,
                const float* p, float a, PartialSoftmax& part) noexcept {
  float weights[kKeyBlockTokens];
  float largest = 0.0F;
  for (std::int64_t j = block.begin; j < block.end; ++j) {
    const HeadPage head = head_page(spec.page, cache, task.sequence, j, task.kv_head);
    float& weight = weights[j - block.begin];
    weight = p[j - block.begin] * value_scale(head, j);
    largest = std::max(largest, weight);
  }
  const bool counts = largest >= kSmallestStored;
  const float unit = counts ? largest / kWeightIntegers : 0.0F;
  const float inverse = counts ? kWeightIntegers / largest : 0.0F;
  std::int32_t sums[kMaxHeadDim] = {};
  for (std::int64_t j = block.begin; j < block.end; ++j) {
    const float scaled = weights[j - block.begin] * inverse;
    const std::int32_t integer = std::isnan(scaled) ? 0 : static_cast<std::int32_t>(std::nearbyint(scaled));
    const HeadPage head = head_page(spec.page, cache, task.sequence, j, task.kv_head);
    for (std::int64_t d = 0; d < spec.page.head_dim; ++d) {
      const auto* value = reinterpret_cast<const std::int8_t*>(head.values + spec.page.value_place(j % kPageTokens, d));
      sums[d] += integer * *value;
    }
  }
  for (std::int64_t d = 0; d < spec.page.head_dim; ++d)
    part.out[d] = std::fma(part.out[d], a, static_cast<float>(sums[d]) * unit);
}

}  // namespace

void add_block_int8(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, const KeyBlock& block,
                    const IntegerQuery& query, PartialSoftmax& part) noexcept {
  float p[kKeyBlockTokens];
  score_block(spec, cache, task, block, query, p);
  const std::int64_t count = block.end - block.begin;
  float maximum = part.maximum;
  for (std::int64_t j = 0; j < count; ++j) maximum = std::max(maximum, p[j]);
  const float a = part.maximum == -HUGE_VALF ? 0.0F : exp2_f32(part.maximum - maximum);
  float lanes[kLanes] = {};
  for (std::int64_t j = 0; j < count; ++j) {
    p[j] = exp2_f32(p[j] - maximum);
    lanes[(block.begin + j) % kLanes] += p[j];
  }
  part.maximum = maximum;
  part.sum = std::fma(part.sum, a, add_lanes(lanes));
  add_values(spec, cache, task, block, p, a, part);
}

}  // namespace corbel
