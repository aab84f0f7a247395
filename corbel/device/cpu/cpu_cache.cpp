#include <algorithm>
#include <cstring>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/device/run_context.h"
#include "corbel/ops/head_rows.h"

// Writing, reading and copying cache pages.

namespace corbel::cpu {
namespace {

std::byte* key_address(const KvPageSpec& page, const KvLayer& cache, std::int64_t sequence, std::int64_t slot,
                       std::int64_t head) noexcept {
  const std::int64_t number = Rows<const std::int32_t>(cache.page_table)[sequence][slot / kPageTokens];
  return cache.pages + number * cache.page_stride_bytes + page.key_offset(head, slot % kPageTokens);
}

void store_head(const OpState& state, const KvPageSpec& page, const float* values, std::byte* stored) noexcept {
  if (page.dtype == DType::bf16)
    state.kernels->to_bf16(values, page.head_dim, stored);
  else
    std::memcpy(stored, values, static_cast<std::size_t>(page.head_dim) * sizeof(float));
}

void load_head(const OpState& state, const KvPageSpec& page, const std::byte* stored, float* values) noexcept {
  if (page.dtype == DType::bf16)
    state.kernels->from_bf16(stored, page.head_dim, values);
  else
    std::memcpy(values, stored, static_cast<std::size_t>(page.head_dim) * sizeof(float));
}

void run_kv_append(const Prepared<KvAppend>& self, const KvAppend::Args& args, RunContext&) noexcept {
  const OpState& state = state_of(self);
  const KvPageSpec& page = self.spec().page;
  const HeadRows<const float> keys(args.key, page.head_dim);
  const HeadRows<const float> values(args.value, page.head_dim);
  const auto* sequences = static_cast<const std::int32_t*>(args.sequences.data);
  const auto* slots = static_cast<const std::int32_t*>(args.slots.data);
  for_rows(*state.pool, keys.rows(), 2 * page.kv_heads * page.head_dim, [&](std::int64_t row, int) {
    for (std::int64_t head = 0; head < page.kv_heads; ++head) {
      std::byte* const key = key_address(page, args.cache, sequences[row], slots[row], head);
      store_head(state, page, keys(row, head), key);
      store_head(state, page, values(row, head), key + page.half_bytes());
    }
  });
}

void run_kv_export(const Prepared<KvExport>& self, const KvExport::Args& args, RunContext&) noexcept {
  const OpState& state = state_of(self);
  const KvPageSpec& page = self.spec().page;
  const HeadRows<float> keys(args.keys, page.head_dim);
  const HeadRows<float> values(args.values, page.head_dim);
  for_rows(*state.pool, keys.rows(), 2 * page.kv_heads * page.head_dim, [&](std::int64_t slot, int) {
    for (std::int64_t head = 0; head < page.kv_heads; ++head) {
      const std::byte* const key = key_address(page, args.cache, args.sequence, slot, head);
      load_head(state, page, key, keys(slot, head));
      load_head(state, page, key + page.half_bytes(), values(slot, head));
    }
  });
}

void run_kv_copy(const Prepared<KvCopy>& self, const KvCopy::Args& args, RunContext&) noexcept {
  const KvPageSpec& page = self.spec().page;
  const auto* source = static_cast<const std::int32_t*>(args.source.data);
  const auto* destination = static_cast<const std::int32_t*>(args.destination.data);
  for_rows(*state_of(self).pool, args.source.shape[0], page.page_bytes() / 4, [&](std::int64_t i, int) {
    std::memcpy(args.cache.pages + destination[i] * args.cache.page_stride_bytes,
                args.cache.pages + source[i] * args.cache.page_stride_bytes,
                static_cast<std::size_t>(page.page_bytes()));
  });
}

}  // namespace

void add_cache_ops(OpTable& table) {
  table.entry<KvAppend>().prepare = [](const KvAppend::Spec& spec, const Device& device) {
    return prepare_plain<KvAppend>(spec, device, run_kv_append);
  };
  table.entry<KvExport>().prepare = [](const KvExport::Spec& spec, const Device& device) {
    return prepare_plain<KvExport>(spec, device, run_kv_export);
  };
  table.entry<KvCopy>().prepare = [](const KvCopy::Spec& spec, const Device& device) {
    return prepare_plain<KvCopy>(spec, device, run_kv_copy);
  };
}

}  // namespace corbel::cpu
