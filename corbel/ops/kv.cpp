#include <algorithm>
#include <cmath>
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

bool all_finite(const float* x, std::int64_t count) noexcept {
  return std::all_of(x, x + count, [](float value) { return std::isfinite(value); });
}

/// Integers of a key or value, and its scale.
bfloat16 quantize(const float* x, std::int64_t count, std::int8_t* integers) noexcept {
  float largest = 0.0F;
  for (std::int64_t d = 0; d < count; ++d) largest = std::max(largest, std::fabs(x[d]));
  std::fill_n(integers, count, std::int8_t{0});
  if (largest < kSmallestStored) return to_bfloat16(0.0F);
  // A scale rounded down by 2^-8 at most: 127 (1 + 2^-8) is below 127.5, integers stay within 127.
  const bfloat16 scale = to_bfloat16(largest / 127.0F);
  const float inverse = 1.0F / to_float(scale);
  for (std::int64_t d = 0; d < count; ++d) integers[d] = static_cast<std::int8_t>(std::nearbyint(x[d] * inverse));
  return scale;
}

void store_int8(const KvPageSpec& page, const HeadPage& head, std::int64_t token, const float* key,
                const float* value) noexcept {
  std::int8_t keys[kMaxHeadDim] = {};
  std::int8_t values[kMaxHeadDim] = {};
  bfloat16 scales[2] = {to_bfloat16(NAN), to_bfloat16(NAN)};
  if (all_finite(key, page.head_dim) && all_finite(value, page.head_dim)) {
    scales[0] = quantize(key, page.head_dim, keys);
    scales[1] = quantize(value, page.head_dim, values);
  }
  std::memcpy(head.scales + KvPageSpec::key_scale_place(token), &scales[0], sizeof(bfloat16));
  std::memcpy(head.scales + KvPageSpec::value_scale_place(token), &scales[1], sizeof(bfloat16));
  for (std::int64_t d = 0; d < page.head_dim; ++d) {
    std::memcpy(head.keys + page.key_place(token, d), keys + d, 1);
    std::memcpy(head.values + page.value_place(token, d), values + d, 1);
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
      const HeadPage head = head_page(page, args.cache, sequences[r], slots[r], h);
      const std::int64_t token = slots[r] % kPageTokens;
      if (page.dtype == DType::i8) {
        store_int8(page, head, token, keys(r, h), values(r, h));
        continue;
      }
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
