#include "corbel/ops/attention_reference.h"

#include <cmath>

namespace corbel {

Result<void> check_page(std::string_view op, const KvPageSpec& page) {
  CORBEL_TRY(check_size(op, "page.kv_heads", page.kv_heads, kMaxSize / kMaxHeadDim));
  CORBEL_TRY(check_size(op, "page.head_dim", page.head_dim, kMaxHeadDim));
  if (page.dtype != DType::f32 && page.dtype != DType::bf16 && page.dtype != DType::i8)
    return refuse(op, cat("page.dtype is ", page.dtype, ", it must be f32, bf16 or i8"));
  return {};
}

Result<void> check_attention(std::string_view op, const AttentionOpSpec& spec) {
  CORBEL_TRY(check_page(op, spec.page));
  CORBEL_TRY(check_size(op, "q_heads", spec.q_heads, kMaxSize / kMaxHeadDim));
  if (spec.q_heads % spec.page.kv_heads != 0) {
    return refuse(op, cat("q_heads is ", spec.q_heads, ", it must be a multiple of page.kv_heads, which is ",
                          spec.page.kv_heads));
  }
  CORBEL_TRY(check_positive(op, "softmax_scale", spec.softmax_scale));
  return check_size(op, "window", spec.window, kMaxSize, 0);
}

namespace {

/// o[d] = o[d] * a.
void rescale(float* out, float a, std::int64_t head_dim) noexcept {
  for (std::int64_t d = 0; d < head_dim; ++d) out[d] *= a;
}

void add_block_f32(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, const KeyBlock& block,
                   PartialSoftmax& part) noexcept {
  const std::int64_t head_dim = spec.page.head_dim;
  float row[kMaxHeadDim];
  float p[kKeyBlockTokens];
  float maximum = part.maximum;
  for (std::int64_t j = block.begin; j < block.end; ++j) {
    load_key(spec.page, head_page(spec.page, cache, task.sequence, j, task.kv_head), j, row);
    p[j - block.begin] = spec.softmax_scale * dot_f32(task.q, row, head_dim);
    maximum = std::max(maximum, p[j - block.begin]);
  }
  const float a = part.maximum == -HUGE_VALF ? 0.0F : exp_f32(part.maximum - maximum);
  float lanes[kLanes] = {};
  for (std::int64_t j = block.begin; j < block.end; ++j) {
    p[j - block.begin] = exp_f32(p[j - block.begin] - maximum);
    lanes[j % kLanes] += p[j - block.begin];
  }
  part.maximum = maximum;
  part.sum = std::fma(part.sum, a, add_lanes(lanes));
  rescale(part.out, a, head_dim);
  for (std::int64_t j = block.begin; j < block.end; ++j) {
    load_value(spec.page, head_page(spec.page, cache, task.sequence, j, task.kv_head), j, row);
    const float weight = p[j - block.begin];
    for (std::int64_t d = 0; d < head_dim; ++d) part.out[d] = std::fma(weight, row[d], part.out[d]);
  }
}

/// A query as the cache's arithmetic takes it.
struct Query {
  float scaled[kMaxHeadDim + 1];
  IntegerQuery integer;
};

void attend_chunk(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, std::int64_t chunk_begin,
                  const Query& query, PartialSoftmax& part) noexcept {
  part.maximum = -HUGE_VALF;
  part.sum = 0.0F;
  std::fill_n(part.out, spec.page.head_dim, 0.0F);
  for (std::int64_t begin = chunk_begin; begin < chunk_begin + kChunkTokens; begin += kKeyBlockTokens) {
    const KeyBlock visible{std::max(begin, task.first_slot), std::min(begin + kKeyBlockTokens, task.slot + 1)};
    if (visible.begin >= visible.end) continue;
    if (spec.page.dtype == DType::f32)
      add_block_f32(spec, cache, task, visible, part);
    else if (spec.page.dtype == DType::bf16)
      add_block_bf16(spec, cache, task, visible, part);
    else
      add_block_int8(spec, cache, task, visible, query.integer, part);
  }
}

/// Joins a later chunk into `total`.
void join_chunk(const AttentionOpSpec& spec, const PartialSoftmax& later, PartialSoftmax& total) noexcept {
  const bool in_f32 = spec.page.dtype == DType::f32;
  const float maximum = std::max(total.maximum, later.maximum);
  const float a1 = in_f32 ? exp_f32(total.maximum - maximum) : exp2_f32(total.maximum - maximum);
  const float a2 = in_f32 ? exp_f32(later.maximum - maximum) : exp2_f32(later.maximum - maximum);
  total.maximum = maximum;
  total.sum = std::fma(total.sum, a1, later.sum * a2);
  for (std::int64_t d = 0; d < spec.page.head_dim; ++d) total.out[d] = std::fma(total.out[d], a1, later.out[d] * a2);
}

void attend_head(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& given) noexcept {
  HeadTask task = given;
  Query query;
  if (spec.page.dtype == DType::i8) quantize_query(spec, task.q, query.integer);
  if (spec.page.dtype == DType::bf16) {
    scale_query(spec, task.q, query.scaled);
    task.q = query.scaled;
  }
  PartialSoftmax total;
  PartialSoftmax part;
  const std::int64_t first_chunk = task.first_slot / kChunkTokens;
  const std::int64_t last_chunk = task.slot / kChunkTokens;
  attend_chunk(spec, cache, task, first_chunk * kChunkTokens, query, total);
  for (std::int64_t chunk = first_chunk + 1; chunk <= last_chunk; ++chunk) {
    attend_chunk(spec, cache, task, chunk * kChunkTokens, query, part);
    join_chunk(spec, part, total);
  }
  const float scale = 1.0F / total.sum;
  for (std::int64_t d = 0; d < spec.page.head_dim; ++d) task.out[d] = total.out[d] * scale;
}

}  // namespace

void attend_row(const AttentionOpSpec& spec, const KvLayer& cache, const HeadRows<const float>& q,
                const HeadRows<float>& out, const HeadTask& place, std::int64_t row) noexcept {
  HeadTask task = place;
  task.first_slot = spec.window == 0 ? 0 : std::max<std::int64_t>(0, task.slot - spec.window + 1);
  const std::int64_t group = spec.q_heads / spec.page.kv_heads;
  for (std::int64_t h = 0; h < spec.q_heads; ++h) {
    task.q = q(row, h);
    task.out = out(row, h);
    task.kv_head = h / group;
    run_exact([&] { attend_head(spec, cache, task); });
  }
}

}  // namespace corbel
