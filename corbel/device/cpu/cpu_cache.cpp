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
};
HeadPage head_page(const KvPageSpec& page, const KvLayer& cache, std::int64_t sequence, std::int64_t slot,
                   std::int64_t head) noexcept {
  const std::int64_t number = Rows<const std::int32_t>(cache.page_table)[sequence][slot / kPageTokens];
  std::byte* const begin = cache.pages + number * cache.page_stride_bytes;
  return {begin + page.keys_offset(head), begin + page.values_offset(head)};
}

/// One token of a bf16 page: in a key brick its pairs stand a line apart, in a value brick its elements a pair apart.
struct Bf16Token {
  Bf16Token(const KvPageSpec& page, const HeadPage& head, std::int64_t token) noexcept
      : keys(head.keys + page.key_place(token, 0)), values(head.values + page.value_place(token, 0)) {}
  std::byte* key(std::int64_t d) const noexcept { return keys + d / 2 * KvPageSpec::kLineBytes + d % 2 * 2; }
  std::byte* value(std::int64_t d) const noexcept {
    constexpr std::int64_t kBrickBytes = kPageTokens / 2 * KvPageSpec::kLineBytes;
    return values + d / KvPageSpec::kBrick * kBrickBytes + d % KvPageSpec::kBrick * 4;
  }
  std::byte* keys;
  std::byte* values;
};

struct TokenPlace {
  const KvPageSpec& page;
  HeadPage head;
  std::int64_t token;  // in the page
};

void store_token(const OpState& state, const TokenPlace& place, const float* key, const float* value) noexcept {
  const std::int64_t head_dim = place.page.head_dim;
  if (place.page.dtype == DType::f32) {
    const auto bytes = static_cast<std::size_t>(head_dim) * sizeof(float);
    std::memcpy(place.head.keys + place.page.key_place(place.token, 0), key, bytes);
    std::memcpy(place.head.values + place.page.value_place(place.token, 0), value, bytes);
    return;
  }
  const Bf16Token target(place.page, place.head, place.token);
  std::uint16_t rounded[kMaxHeadDim + 1];
  rounded[head_dim] = 0;  // beside the last element of an odd head_dim
  state.kernels->to_bf16(key, head_dim, rounded);
  for (std::int64_t d = 0; d < head_dim; d += 2) std::memcpy(target.key(d), rounded + d, 4);
  state.kernels->to_bf16(value, head_dim, rounded);
  for (std::int64_t d = 0; d < head_dim; ++d) std::memcpy(target.value(d), rounded + d, 2);
}

void load_token(const OpState& state, const TokenPlace& place, float* key, float* value) noexcept {
  const std::int64_t head_dim = place.page.head_dim;
  if (place.page.dtype == DType::f32) {
    const auto bytes = static_cast<std::size_t>(head_dim) * sizeof(float);
    std::memcpy(key, place.head.keys + place.page.key_place(place.token, 0), bytes);
    std::memcpy(value, place.head.values + place.page.value_place(place.token, 0), bytes);
    return;
  }
  const Bf16Token source(place.page, place.head, place.token);
  std::uint16_t stored[kMaxHeadDim];
  for (std::int64_t d = 0; d < head_dim; ++d) std::memcpy(stored + d, source.key(d), 2);
  state.kernels->from_bf16(stored, head_dim, key);
  for (std::int64_t d = 0; d < head_dim; ++d) std::memcpy(stored + d, source.value(d), 2);
  state.kernels->from_bf16(stored, head_dim, value);
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
