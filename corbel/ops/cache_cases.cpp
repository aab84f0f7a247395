#include "corbel/ops/cache_cases.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "corbel/ops/attention_reference.h"
#include "corbel/ops/case_list.h"
#include "corbel/ops/case_shapes.h"

namespace corbel {

std::vector<std::int64_t> tokens_of(const std::vector<Span>& spans) {
  std::vector<std::int64_t> tokens;
  for (const Span& span : spans) {
    tokens.resize(std::max(tokens.size(), static_cast<std::size_t>(span.sequence + 1)), 0);
    std::int64_t& count = tokens[static_cast<std::size_t>(span.sequence)];
    count = std::max(count, span.first + span.rows);
  }
  return tokens;
}

PageNumbers place_pages(const std::vector<std::int64_t>& tokens) {
  PageNumbers numbers;
  std::int64_t used = 0;
  for (const std::int64_t count : tokens) {
    const std::int64_t pages = (count + kPageTokens - 1) / kPageTokens;
    numbers.columns = std::max(numbers.columns, pages + 1);
    used += pages;
  }
  numbers.pages = used + 2;
  // A step that shares no factor with the number of pages visits each once, in an order far from ascending.
  std::int64_t step = numbers.pages * 5 / 8 + 1;
  while (std::gcd(step, numbers.pages) != 1) ++step;
  std::int64_t next = 1;
  for (const std::int64_t count : tokens) {
    for (std::int64_t column = 0; column < numbers.columns; ++column) {
      const bool has_page = column * kPageTokens < count;
      numbers.table.push_back(has_page ? static_cast<std::int32_t>(next) : -1);
      if (has_page) next = (next + step) % numbers.pages;
    }
  }
  return numbers;
}

KvLayer view_layer(const CachePlan& plan, const PageNumbers& numbers, void* pages, CaseMemory& memory) {
  const auto sequences = static_cast<std::int64_t>(plan.tokens.size());
  return {static_cast<std::byte*>(pages), plan.page.page_bytes() + plan.extra_stride_bytes,
          memory.integers(numbers.table, {sequences, numbers.columns})};
}

namespace {

/// Scales between 2^-8 and 2^-6; hostile: also zero and nearly so.
void fill_scales(const CachePlan& plan, const HeadPage& head, std::int64_t valid_tokens) {
  for (std::int64_t token = 0; token < kPageTokens; ++token) {
    for (const std::int64_t place : {KvPageSpec::key_scale_place(token), KvPageSpec::value_scale_place(token)}) {
      const auto random = std::to_integer<int>(head.scales[place]);
      float scale = static_cast<float>(64 + random % 192) * 0x1p-14F;
      if (plan.hostile && random % 5 == 0) scale = 0.0F;
      if (plan.hostile && random % 5 == 1) scale *= 0x1p-95F;
      const bfloat16 stored = to_bfloat16(token < valid_tokens ? scale : 0.0F);
      std::memcpy(head.scales + place, &stored, sizeof stored);
    }
  }
}

/// Zeroes what no token of the page fills; hostile: also zeros, negative zeros and subnormals among the others.
void fill_head(const CachePlan& plan, const HeadPage& head, std::int64_t valid_tokens) {
  const KvPageSpec& page = plan.page;
  const std::int64_t element = page.element_bytes();
  std::vector<std::byte> keys(static_cast<std::size_t>(page.keys_bytes()), std::byte{0});
  std::vector<std::byte> values(static_cast<std::size_t>(page.values_bytes()), std::byte{0});
  std::int64_t i = 0;
  const auto keep = [&](std::byte* from, std::byte* to) {
    std::memcpy(to, from, static_cast<std::size_t>(element));
    if (!plan.hostile) return;
    // Zeros, negative zeros and subnormals of both signs (the upper bytes decide in both dtypes).
    if (i % 5 == 1) std::memset(to, 0, static_cast<std::size_t>(element));
    if (element > 1 && i % 5 == 2) to[element - 1] &= std::byte{0x80}, to[element - 2] &= std::byte{0x7f};
  };
  for (std::int64_t token = 0; token < valid_tokens; ++token) {
    for (std::int64_t d = 0; d < page.head_dim; ++d, ++i) {
      keep(head.keys + page.key_place(token, d), keys.data() + page.key_place(token, d));
      keep(head.values + page.value_place(token, d), values.data() + page.value_place(token, d));
    }
  }
  std::memcpy(head.keys, keys.data(), keys.size());
  std::memcpy(head.values, values.data(), values.size());
  if (page.dtype == DType::i8) fill_scales(plan, head, valid_tokens);
}

/// Random numbers as an int8 cache holds them; fill_scales does the rest.
void make_integers(const TensorView& bytes) {
  auto* const numbers = static_cast<std::int8_t*>(bytes.data);
  std::uint32_t state = 0;
  std::memcpy(&state, numbers, sizeof state);
  for (std::int64_t i = 0; i < bytes.shape.elements() * 4; ++i) {
    state = state * 1664525U + 1013904223U;
    numbers[i] = static_cast<std::int8_t>(static_cast<std::int32_t>(state >> 8) % 255 - 127);
  }
}

void make_nan(const CachePlan& plan, const PageNumbers& numbers, const KvLayer& layer) {
  const KvPageSpec& page = plan.page;
  std::byte* const begin = layer.pages + numbers.table[plan.nan_slot / kPageTokens] * layer.page_stride_bytes;
  for (std::int64_t head = 0; head < page.kv_heads; ++head) {
    if (page.dtype == DType::i8)
      std::memset(begin + page.scales_offset(head) + KvPageSpec::key_scale_place(plan.nan_slot % kPageTokens), 0x7f, 2);
    else
      std::memset(begin + page.keys_offset(head) + page.key_place(plan.nan_slot % kPageTokens, 0), 0xff,
                  static_cast<std::size_t>(page.element_bytes()));
  }
}

}  // namespace

KvLayer make_filled_cache(const CachePlan& plan, CaseMemory& memory) {
  const PageNumbers numbers = place_pages(plan.tokens);
  const std::int64_t stride = plan.page.page_bytes() + plan.extra_stride_bytes;
  const DType given = plan.page.dtype == DType::i8 ? DType::f32 : plan.page.dtype;
  const TensorView random = memory.input(given, {numbers.pages, stride / dtype_bytes(given)});
  if (plan.page.dtype == DType::i8) make_integers(random);
  const KvLayer layer = view_layer(plan, numbers, random.data, memory);
  std::vector<std::int64_t> valid(numbers.pages, -1);
  for (std::size_t s = 0; s < plan.tokens.size(); ++s) {
    for (std::int64_t column = 0; column * kPageTokens < plan.tokens[s]; ++column)
      valid[numbers.table[s * numbers.columns + column]] = std::min(kPageTokens, plan.tokens[s] - column * kPageTokens);
  }
  for (std::int64_t number = 0; number < numbers.pages; ++number) {
    std::byte* page = layer.pages + number * stride;
    if (valid[number] < 0) {
      std::memset(page, 0xff, static_cast<std::size_t>(stride));
      continue;
    }
    for (std::int64_t head = 0; head < plan.page.kv_heads; ++head) {
      fill_head(plan,
                {page + plan.page.keys_offset(head), page + plan.page.values_offset(head),
                 page + plan.page.scales_offset(head)},
                valid[number]);
    }
  }
  if (plan.nan_slot >= 0) make_nan(plan, numbers, layer);
  return layer;
}

std::string describe(const CachePlan& plan) {
  return cat("kv=", plan.page.kv_heads, "x", plan.page.head_dim, " ", dtype_name(plan.page.dtype));
}

std::vector<OpCase<KvAppend>> KvAppend::cases(CaseScale scale) {
  std::vector<OpCase<KvAppend>> cases;
  const auto add = [&cases](const KvPageSpec& page, const std::vector<Span>& spans, std::int64_t extra) {
    const CachePlan plan{page, tokens_of(spans), extra % 2 * 128};
    std::int64_t rows = 0;
    for (const Span& span : spans) rows += span.rows;
    const auto make = [=](CaseMemory& memory) {
      std::vector<std::int32_t> sequences;
      std::vector<std::int32_t> slots;
      for (const Span& span : spans) {
        for (std::int64_t i = 0; i < span.rows; ++i) {
          sequences.push_back(static_cast<std::int32_t>(span.sequence));
          slots.push_back(static_cast<std::int32_t>(span.first + i));
        }
      }
      const std::int64_t columns = page.kv_heads * page.head_dim;
      Args args;
      args.key = memory.hostile_rows({rows, columns + extra});
      args.value = memory.input(DType::f32, {rows, columns + extra}, 3.0F);
      for (TensorView* view : {&args.key, &args.value}) {
        if (extra == 0)
          *view = view->reshaped({rows, page.kv_heads, page.head_dim});
        else
          view->shape = {rows, columns};
      }
      args.sequences = memory.integers(sequences, {rows});
      args.slots = memory.integers(slots, {rows});
      const PageNumbers numbers = place_pages(plan.tokens);
      const TensorView pages = memory.zeroed(numbers.pages * (page.page_bytes() + plan.extra_stride_bytes));
      args.cache = view_layer(plan, numbers, pages.data, memory);
      return args;
    };
    cases.push_back({cat(describe(plan), " rows=", rows, extra > 0 ? cat(" stride+", extra) : ""), {page}, make});
  };
  for (const DType dtype : kCacheTypes) {
    add({2, 64, dtype}, {{1, 60, 10}, {0, 0, 1}}, 0);
    add({3, 17, dtype}, {{0, 127, 3}, {1, 5, 1}}, 5);
    if (scale == CaseScale::quick) continue;
    for (const int head_dim : kCaseHeadDims)
      add({2, head_dim, dtype}, {{2, 0, 65}, {0, 130, 1}, {1, 63, 2}}, head_dim % 7);
    add({1, 32, dtype}, {{0, 0, 2048}}, 0);
  }
  if (scale == CaseScale::quick) return cases;
  for (const CaseShape& shape : case_shapes())
    add({shape.kv_heads, shape.head_dim, kCacheTypes[cases.size() % kCacheTypes.size()]}, {{0, 30, 5}, {1, 64, 1}}, 0);
  return without_repeats(std::move(cases));
}

std::vector<OpCase<KvExport>> KvExport::cases(CaseScale scale) {
  std::vector<OpCase<KvExport>> cases;
  const auto add = [&cases](const KvPageSpec& page, std::int64_t tokens) {
    const CachePlan plan{page, {70, tokens, 3}, 64, true};
    const auto make = [=](CaseMemory& memory) {
      const Shape shape{tokens, page.kv_heads, page.head_dim};
      return Args{make_filled_cache(plan, memory), 1, memory.output(DType::f32, shape),
                  memory.output(DType::f32, shape)};
    };
    cases.push_back({cat(describe(plan), " tokens=", tokens), {page}, make});
  };
  for (const DType dtype : kCacheTypes) {
    add({2, 64, dtype}, 65);
    if (scale == CaseScale::quick) continue;
    for (const std::int64_t tokens : {1, 63, 64, 129, 1025}) add({3, 24, dtype}, tokens);
    for (const int head_dim : kCaseHeadDims) add({1, head_dim, dtype}, 77);
  }
  return without_repeats(std::move(cases));
}

std::vector<OpCase<KvCopy>> KvCopy::cases(CaseScale scale) {
  std::vector<OpCase<KvCopy>> cases;
  const auto add = [&cases](const KvPageSpec& page, const std::vector<std::int32_t>& source,
                            const std::vector<std::int32_t>& destination) {
    const auto make = [=](CaseMemory& memory) {
      constexpr std::int64_t kPages = 9;
      const std::int64_t stride = page.page_bytes() + 64;
      const auto count = static_cast<std::int64_t>(source.size());
      Args args;
      args.cache.pages = static_cast<std::byte*>(memory.in_place(DType::f32, {kPages, stride / 4}).data);
      args.cache.page_stride_bytes = stride;
      args.cache.page_table = memory.integers({0}, {1, 1});
      args.source = memory.integers(source, {count});
      args.destination = memory.integers(destination, {count});
      return args;
    };
    cases.push_back(
        {cat("kv=", page.kv_heads, "x", page.head_dim, " ", dtype_name(page.dtype), " pages=", source.size()),
         {page},
         make});
  };
  for (const DType dtype : kCacheTypes) {
    add({2, 64, dtype}, {8, 0}, {3, 1});
    if (scale == CaseScale::quick) continue;
    add({1, 7, dtype}, {2}, {5});
    add({3, 24, dtype}, {4, 4, 7, 0}, {1, 8, 2, 3});
    add({8, 128, dtype}, {0, 1, 2, 3}, {8, 7, 6, 5});
  }
  return without_repeats(std::move(cases));
}

}  // namespace corbel
