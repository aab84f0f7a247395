#include <cmath>

#include "corbel/ops/attention_reference.h"

// One key block in the arithmetic of a bf16 cache. Sums run in 16 lanes, each lane one score, or one element of the
// output: a line of the page's bricks.

namespace corbel {
namespace {

/// lanes[l] = sum of x[i] * y[i][l], i ascending, every step flushed.
void chain_lanes(const float* x, const float (*y)[kLanes], std::int64_t count, float (&lanes)[kLanes]) noexcept {
  chain_flushed(
      count, [x](std::int64_t i, int) { return x[i]; }, [y](std::int64_t i, int l) { return y[i][l]; }, lanes);
}

float stored_bf16(const std::byte* place) noexcept {
  return flush_subnormal(to_float(*reinterpret_cast<const bfloat16*>(place)));
}

/// Dot products of q with the visible keys of a block.
void score_block(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, const KeyBlock& block,
                 float* dots) noexcept {
  const std::int64_t padded = 2 * spec.page.key_lines();
  float keys[kMaxHeadDim + 1][kLanes];
  for (std::int64_t first = block.begin; first < block.end; first += kLanes) {
    const std::int64_t count = std::min<std::int64_t>(kLanes, block.end - first);
    for (std::int64_t i = 0; i < padded; ++i)
      for (float& lane : keys[i]) lane = 0.0F;
    for (std::int64_t j = 0; j < count; ++j) {
      const HeadPage head = head_page(spec.page, cache, task.sequence, first + j, task.kv_head);
      for (std::int64_t d = 0; d < spec.page.head_dim; ++d)  // odd elements first
        keys[d ^ 1][j] = stored_bf16(head.keys + spec.page.key_place((first + j) % kPageTokens, d));
    }
    float lanes[kLanes];
    chain_lanes(task.q, keys, padded, lanes);
    std::copy_n(lanes, count, dots + (first - block.begin));
  }
}

/// part.out = part.out * a + the block's values, weighted; `p` begins at the block's first pair and is zero where a
/// slot is not visible.
void add_values(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, const KeyBlock& block,
                const float* p, float a, PartialSoftmax& part) noexcept {
  const std::int64_t begin = block.begin / 2 * 2;
  const std::int64_t count = (block.end + 1) / 2 * 2 - begin;
  float weights[kKeyBlockTokens];
  float values[kKeyBlockTokens][kLanes];
  for (std::int64_t i = 0; i < count; ++i) weights[i] = p[i ^ 1];  // odd slots first
  for (std::int64_t d = 0; d < spec.page.head_dim; d += kLanes) {
    const std::int64_t width = std::min<std::int64_t>(kLanes, spec.page.head_dim - d);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t slot = begin + (i ^ 1);
      for (float& lane : values[i]) lane = 0.0F;
      if (slot < block.begin || slot >= block.end) continue;
      const HeadPage head = head_page(spec.page, cache, task.sequence, slot, task.kv_head);
      for (std::int64_t l = 0; l < width; ++l)
        values[i][l] = stored_bf16(head.values + spec.page.value_place(slot % kPageTokens, d + l));
    }
    float lanes[kLanes];
    chain_lanes(weights, values, count, lanes);
    for (std::int64_t l = 0; l < width; ++l) part.out[d + l] = std::fma(part.out[d + l], a, lanes[l]);
  }
}

}  // namespace

void scale_query(const AttentionOpSpec& spec, const float* q, float* scaled) noexcept {
  const float scale = spec.softmax_scale * ExpConstants::kLog2E;
  if (spec.page.head_dim % 2 != 0) scaled[spec.page.head_dim - 1] = 0.0F;
  for (std::int64_t d = 0; d < spec.page.head_dim; ++d)
    scaled[d ^ 1] = flush_subnormal(to_float(to_bfloat16(q[d] * scale)));
}

void add_block_bf16(const AttentionOpSpec& spec, const KvLayer& cache, const HeadTask& task, const KeyBlock& block,
                    PartialSoftmax& part) noexcept {
  float dots[kKeyBlockTokens];
  score_block(spec, cache, task, block, dots);
  const std::int64_t count = block.end - block.begin;
  float maximum = part.maximum;
  for (std::int64_t j = 0; j < count; ++j) maximum = std::max(maximum, dots[j]);
  const float a = part.maximum == -HUGE_VALF ? 0.0F : exp2_f32(part.maximum - maximum);
  float p[kKeyBlockTokens] = {};  // by place in the whole block
  const std::int64_t offset = block.begin % kKeyBlockTokens;
  for (std::int64_t j = 0; j < count; ++j) p[offset + j] = to_float(to_bfloat16(exp2_f32(dots[j] - maximum)));
  float lanes[kLanes] = {};
  for (std::int64_t j = 0; j < kKeyBlockTokens; j += 2) {
    float& lane = lanes[j / 2 % kLanes];
    lane = (lane + p[j + 1]) + p[j];
  }
  part.maximum = maximum;
  part.sum = std::fma(part.sum, a, add_lanes(lanes));
  add_values(spec, cache, task, block, p + offset / 2 * 2, a, part);
}

}  // namespace corbel
