#include <cstring>

#include "corbel/ops/attention_reference.h"

namespace corbel {
namespace {

void store(DType dtype, float value, std::byte* place) noexcept {
  if (dtype == DType::f32)
    std::memcpy(place, &value, sizeof value);
  else
    *reinterpret_cast<bfloat16*>(place) = to_bfloat16(value);
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
      const HeadPage head = head_page(page, args.cache, sequences[r], slots[r], h);
      const std::int64_t token = slots[r] % kPageTokens;
      for (std::int64_t d = 0; d < page.head_dim; ++d) {
        store(page.dtype, keys(r, h)[d], head.keys + page.key_place(token, d));
        store(page.dtype, values(r, h)[d], head.values + page.value_place(token, d));
      }
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
      const HeadPage head = head_page(page, args.cache, args.sequence, slot, h);
      load_key(page, head, slot, keys(slot, h));
      load_value(page, head, slot, values(slot, h));
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
