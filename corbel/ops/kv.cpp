#include <cstring>

#include "corbel/ops/attention_reference.h"

namespace corbel {
namespace {

void store_head(DType dtype, const float* values, std::int64_t count, std::byte* stored) noexcept {
  if (dtype == DType::f32) {
    std::memcpy(stored, values, static_cast<std::size_t>(count) * sizeof(float));
  } else {
    auto* target = reinterpret_cast<bfloat16*>(stored);
    for (std::int64_t d = 0; d < count; ++d) target[d] = to_bfloat16(values[d]);
  }
}

}  // namespace

Result<void> KvAppend::check(const Spec& spec) { return check_page(kName, spec.page); }

void KvAppend::reference(const Spec& spec, const Args& args) noexcept {
  const KvPageSpec& page = spec.page;
  const HeadRows<const float> keys(args.key, page.head_dim);
  const HeadRows<const float> values(args.value, page.head_dim);
  const auto* sequences = static_cast<const std::int32_t*>(args.sequences.data);
  const auto* slots = static_cast<const std::int32_t*>(args.slots.data);
  for (std::int64_t r = 0; r < keys.rows(); ++r) {
    for (std::int64_t h = 0; h < page.kv_heads; ++h) {
      std::byte* key = key_address(page, args.cache, sequences[r], slots[r], h);
      store_head(page.dtype, keys(r, h), page.head_dim, key);
      store_head(page.dtype, values(r, h), page.head_dim, key + page.half_bytes());
    }
  }
}

Result<void> KvExport::check(const Spec& spec) { return check_page(kName, spec.page); }

void KvExport::reference(const Spec& spec, const Args& args) noexcept {
  const KvPageSpec& page = spec.page;
  const HeadRows<float> keys(args.keys, page.head_dim);
  const HeadRows<float> values(args.values, page.head_dim);
  for (std::int64_t slot = 0; slot < keys.rows(); ++slot) {
    for (std::int64_t h = 0; h < page.kv_heads; ++h) {
      const std::byte* key = key_address(page, args.cache, args.sequence, slot, h);
      load_head(page.dtype, key, page.head_dim, keys(slot, h));
      load_head(page.dtype, key + page.half_bytes(), page.head_dim, values(slot, h));
    }
  }
}

Result<void> KvCopy::check(const Spec& spec) { return check_page(kName, spec.page); }

void KvCopy::reference(const Spec& spec, const Args& args) noexcept {
  const auto* source = static_cast<const std::int32_t*>(args.source.data);
  const auto* destination = static_cast<const std::int32_t*>(args.destination.data);
  for (std::int64_t i = 0; i < args.source.shape[0]; ++i) {
    std::memcpy(args.cache.pages + destination[i] * args.cache.page_stride_bytes,
                args.cache.pages + source[i] * args.cache.page_stride_bytes,
                static_cast<std::size_t>(spec.page.page_bytes()));
  }
}

}  // namespace corbel
