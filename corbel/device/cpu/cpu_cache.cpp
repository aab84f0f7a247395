#include <algorithm>
#include <cstring>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/device/run_context.h"
#include "corbel/ops/head_rows.h"
#include "corbel/ops/spec_check.h"

// Writing, reading and copying cache pages.

namespace corbel::cpu {
namespace {

/// One head's keys and values of the page that a slot is in.
struct HeadPage {
  std::byte* keys;
  std::byte* values;
  std::byte* scales;
};
HeadPage head_page(const KvPageSpec& page, const KvLayer& cache, std::int64_t sequence, std::int64_t slot,
                   std::int64_t head) noexcept {
  const std::int64_t number = Rows<const std::int32_t>(cache.page_table)[sequence][slot / kPageTokens];
  std::byte* const begin = cache.pages + number * cache.page_stride_bytes;
  return {begin + page.keys_offset(head), begin + page.values_offset(head), begin + page.scales_offset(head)};
}

/// One token of a page of bricks: in a key brick its pairs stand a line apart, in a value brick its elements a pair.
template <typename T>
struct BrickToken {
  BrickToken(const KvPageSpec& page, const HeadPage& head, std::int64_t token) noexcept
      : keys(reinterpret_cast<T*>(head.keys + page.key_place(token, 0))),
        values(reinterpret_cast<T*>(head.values + page.value_place(token, 0))) {}
  T& key(std::int64_t d) const noexcept { return keys[d / 2 * kLine + d % 2]; }
  T& value(std::int64_t d) const noexcept {
    return values[d / KvPageSpec::kBrick * (kPageTokens / 2 * kLine) + d % KvPageSpec::kBrick * 2];
  }
  static constexpr std::int64_t kLine = 2 * KvPageSpec::kBrick;
  T* keys;
  T* values;
};

struct TokenPlace {
  const KvPageSpec& page;
  HeadPage head;
  std::int64_t token;  // in the page
};

bfloat16* scale_at(const TokenPlace& place, std::int64_t offset) noexcept {
  return reinterpret_cast<bfloat16*>(place.head.scales + offset);
}

void store_int8(const OpState& state, const TokenPlace& place, const float* key, const float* value) noexcept {
  constexpr std::uint16_t kNan = 0x7fc0;
  const std::int64_t head_dim = place.page.head_dim;
  std::int8_t keys[kMaxHeadDim];
  std::int8_t values[kMaxHeadDim];
  std::uint16_t key_scale = state.kernels->quantize_kv(key, head_dim, keys);
  std::uint16_t value_scale = state.kernels->quantize_kv(value, head_dim, values);
  if (key_scale == kNan || value_scale == kNan) {
    key_scale = value_scale = kNan;
    std::fill_n(keys, head_dim, std::int8_t{0});
    std::fill_n(values, head_dim, std::int8_t{0});
  }
  const BrickToken<std::int8_t> target(place.page, place.head, place.token);
  for (std::int64_t d = 0; d < head_dim; ++d) target.key(d) = keys[d];
  for (std::int64_t d = 0; d < head_dim; ++d) target.value(d) = values[d];
  scale_at(place, KvPageSpec::key_scale_place(place.token))->bits = key_scale;
  scale_at(place, KvPageSpec::value_scale_place(place.token))->bits = value_scale;
}

void store_token(const OpState& state, const TokenPlace& place, const float* key, const float* value) noexcept {
  const std::int64_t head_dim = place.page.head_dim;
  if (place.page.dtype == DType::f32) {
    const auto bytes = static_cast<std::size_t>(head_dim) * sizeof(float);
    std::memcpy(place.head.keys + place.page.key_place(place.token, 0), key, bytes);
    std::memcpy(place.head.values + place.page.value_place(place.token, 0), value, bytes);
    return;
  }
  if (place.page.dtype == DType::i8) return store_int8(state, place, key, value);
  const BrickToken<std::uint16_t> target(place.page, place.head, place.token);
  std::uint16_t rounded[kMaxHeadDim];
  state.kernels->to_bf16(key, head_dim, rounded);
  for (std::int64_t d = 0; d < head_dim; ++d) target.key(d) = rounded[d];
  state.kernels->to_bf16(value, head_dim, rounded);
  for (std::int64_t d = 0; d < head_dim; ++d) target.value(d) = rounded[d];
}

void load_token(const OpState& state, const TokenPlace& place, float* key, float* value) noexcept {
  const std::int64_t head_dim = place.page.head_dim;
  if (place.page.dtype == DType::f32) {
    const auto bytes = static_cast<std::size_t>(head_dim) * sizeof(float);
    std::memcpy(key, place.head.keys + place.page.key_place(place.token, 0), bytes);
    std::memcpy(value, place.head.values + place.page.value_place(place.token, 0), bytes);
    return;
  }
  if (place.page.dtype == DType::i8) {
    const BrickToken<std::int8_t> source(place.page, place.head, place.token);
    const float key_scale = to_float(*scale_at(place, KvPageSpec::key_scale_place(place.token)));
    const float value_scale = to_float(*scale_at(place, KvPageSpec::value_scale_place(place.token)));
    for (std::int64_t d = 0; d < head_dim; ++d) key[d] = static_cast<float>(source.key(d)) * key_scale;
    for (std::int64_t d = 0; d < head_dim; ++d) value[d] = static_cast<float>(source.value(d)) * value_scale;
    return;
  }
  const BrickToken<std::uint16_t> source(place.page, place.head, place.token);
  std::uint16_t stored[kMaxHeadDim];
  for (std::int64_t d = 0; d < head_dim; ++d) stored[d] = source.key(d);
  state.kernels->from_bf16(stored, head_dim, key);
  for (std::int64_t d = 0; d < head_dim; ++d) stored[d] = source.value(d);
  state.kernels->from_bf16(stored, head_dim, value);
}

void run_kv_append(const Prepared<KvAppend>& self, const KvAppend::Args& args, RunContext&) noexcept {
  const OpState& state = state_of(self);
  const KvPageSpec& page = self.spec().page;
  const HeadRows<const float> keys(args.key, page.head_dim);
  const HeadRows<const float> values(args.value, page.head_dim);
  const auto* sequences = static_cast<const std::int32_t*>(args.sequences.data);
  const auto* slots = static_cast<const std::int32_t*>(args.slots.data);
  // Each pair of elements goes to a line of its own, most of them in memory: as slow as this many in a row.
  constexpr std::int64_t kScattered = 8;
  for_rows(*state.pool, keys.rows(), 2 * kScattered * page.kv_heads * page.head_dim, [&](std::int64_t row, int) {
    for (std::int64_t head = 0; head < page.kv_heads; ++head) {
      const HeadPage place = head_page(page, args.cache, sequences[row], slots[row], head);
      store_token(state, {page, place, slots[row] % kPageTokens}, keys(row, head), values(row, head));
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
      const HeadPage place = head_page(page, args.cache, args.sequence, slot, head);
      load_token(state, {page, place, slot % kPageTokens}, keys(slot, head), values(slot, head));
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
