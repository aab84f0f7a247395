#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "corbel/ops/attention.h"
#include "corbel/ops/case_shapes.h"

namespace corbel {
namespace {

/// Several sequences whose pages lie in shuffled order among pages of nobody, at a stride that may exceed the page.
struct CachePlan {
  KvPageSpec page;
  std::vector<std::int64_t> tokens;  // valid ones per sequence
  std::int64_t extra_stride_bytes = 0;
  bool hostile = false;
};

struct PageNumbers {
  std::int64_t pages = 0;
  std::int64_t columns = 0;
  std::vector<std::int32_t> table;  // [sequences, columns]; -1 where a sequence has no page
};

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

/// Random keys and values at the valid slots, zeros behind them in their page, and NaN in pages of nobody.
KvLayer make_filled_cache(const CachePlan& plan, CaseMemory& memory) {
  const PageNumbers numbers = place_pages(plan.tokens);
  const std::int64_t element = dtype_bytes(plan.page.dtype);
  const std::int64_t stride = plan.page.page_bytes() + plan.extra_stride_bytes;
  const TensorView random = memory.input(plan.page.dtype, {numbers.pages, stride / element});
  const KvLayer layer = view_layer(plan, numbers, random.data, memory);
  std::vector<std::int64_t> valid(numbers.pages, -1);
  for (std::size_t s = 0; s < plan.tokens.size(); ++s) {
    for (std::int64_t column = 0; column * kPageTokens < plan.tokens[s]; ++column)
      valid[numbers.table[s * numbers.columns + column]] =
          std::min(kPageTokens, plan.tokens[s] - column * kPageTokens);
  }
  for (std::int64_t number = 0; number < numbers.pages; ++number) {
    std::byte* page = layer.pages + number * stride;
    if (valid[number] < 0) {
      std::memset(page, 0xff, static_cast<std::size_t>(stride));
      continue;
    }
    for (std::int64_t block = 0; block < 2 * plan.page.kv_heads; ++block) {
      std::byte* head = page + plan.page.key_offset(block, 0);
      const std::int64_t token_bytes = plan.page.head_dim * element;
      std::memset(head + valid[number] * token_bytes, 0,
                  static_cast<std::size_t>((kPageTokens - valid[number]) * token_bytes));
      if (!plan.hostile) continue;
      // Zeros, negative zeros and subnormals of both signs among the values (the upper bytes decide in both dtypes).
      for (std::int64_t i = 0; i < valid[number] * plan.page.head_dim; ++i) {
        std::byte* value = head + i * element;
        if (i % 5 == 1) std::memset(value, 0, static_cast<std::size_t>(element));
        if (i % 5 == 2) value[element - 1] &= std::byte{0x80}, value[element - 2] &= std::byte{0x7f};
      }
    }
  }
  return layer;
}

std::string describe(const CachePlan& plan) {
  return cat("kv=", plan.page.kv_heads, "x", plan.page.head_dim, " ", dtype_name(plan.page.dtype));
}

std::string join(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size() && i < 6; ++i) text += cat(i > 0 ? "," : "", numbers[i]);
  return numbers.size() > 6 ? cat(text, ",... (", numbers.size(), ")") : text;
}

/// A span of a prefill: rows at slots first .. first + rows - 1 of a sequence.
struct Span {
  std::int64_t sequence;
  std::int64_t first;
  std::int64_t rows;
};

struct AttentionPlan {
  CachePlan cache;
  std::int64_t group = 1;  // query heads per key head
  std::int64_t window = 0;
  std::vector<Span> spans;  // empty for decode
  bool in_place = false;    // out is q
  std::int64_t extra_columns = 0;
  bool hostile = false;
};

AttentionOpSpec make_spec(const AttentionPlan& plan) {
  return {plan.cache.page, plan.group * plan.cache.page.kv_heads,
          1.0F / std::sqrt(static_cast<float>(plan.cache.page.head_dim)), plan.window};
}

struct QueryViews {
  TensorView q;
  TensorView out;
};

QueryViews make_queries(const AttentionPlan& plan, std::int64_t rows, CaseMemory& memory) {
  const AttentionOpSpec spec = make_spec(plan);
  const std::int64_t columns = spec.q_heads * spec.page.head_dim;
  const Shape shape{rows, columns + plan.extra_columns};
  const auto narrow = [&](TensorView view) {
    if (plan.extra_columns == 0) return view.reshaped({rows, spec.q_heads, spec.page.head_dim});
    view.shape = {rows, columns};
    return view;
  };
  // Amplitude 4: scores spread over several units, so that some slots get nearly all weight.
  const TensorView q = plan.hostile ? memory.hostile_rows(shape, 4.0F) : memory.input(DType::f32, shape, 4.0F);
  if (plan.in_place) {
    memory.compare(q);
    return {narrow(q), narrow(q)};
  }
  return {narrow(q), narrow(memory.output(DType::f32, shape))};
}

OpCase<AttentionPrefill> prefill_case(const AttentionPlan& plan) {
  std::string spans;
  for (const Span& span : plan.spans) spans += cat(spans.empty() ? "" : ",", span.first, "+", span.rows);
  const auto make = [plan](CaseMemory& memory) {
    std::vector<std::int32_t> table;
    std::vector<std::int32_t> slots;
    for (const Span& span : plan.spans) {
      for (const std::int64_t number : {span.sequence, static_cast<std::int64_t>(slots.size()), span.rows})
        table.push_back(static_cast<std::int32_t>(number));
      for (std::int64_t i = 0; i < span.rows; ++i) slots.push_back(static_cast<std::int32_t>(span.first + i));
    }
    // Two decode rows behind the spans, which this op must not touch.
    slots.insert(slots.end(), {1 << 28, 1 << 28});
    const auto rows = static_cast<std::int64_t>(slots.size());
    AttentionPrefill::Args args;
    const QueryViews views = make_queries(plan, rows, memory);
    args.q = views.q;
    args.out = views.out;
    args.spans = memory.integers(table, {static_cast<std::int64_t>(plan.spans.size()), 3});
    args.slots = memory.integers(slots, {rows});
    args.cache = make_filled_cache(plan.cache, memory);
    return args;
  };
  const AttentionOpSpec spec = make_spec(plan);
  return {cat("q_heads=", spec.q_heads, " ", describe(plan.cache), " window=", plan.window, " spans=", spans,
              plan.in_place ? " out=q" : "", plan.hostile ? " hostile" : ""),
          spec, make};
}

OpCase<AttentionDecode> decode_case(const AttentionPlan& plan) {
  const auto make = [plan](CaseMemory& memory) {
    // Rows of the page table in another order than the rows of the step.
    const auto rows = static_cast<std::int64_t>(plan.cache.tokens.size());
    std::vector<std::int32_t> sequences;
    std::vector<std::int32_t> slots;
    for (std::int64_t r = 0; r < rows; ++r) {
      sequences.push_back(static_cast<std::int32_t>(rows - 1 - r));
      slots.push_back(static_cast<std::int32_t>(plan.cache.tokens[rows - 1 - r] - 1));
    }
    AttentionDecode::Args args;
    const QueryViews views = make_queries(plan, rows, memory);
    args.q = views.q;
    args.out = views.out;
    args.sequences = memory.integers(sequences, {rows});
    args.slots = memory.integers(slots, {rows});
    args.cache = make_filled_cache(plan.cache, memory);
    return args;
  };
  const AttentionOpSpec spec = make_spec(plan);
  return {cat("q_heads=", spec.q_heads, " ", describe(plan.cache), " window=", plan.window, " tokens=",
              join(plan.cache.tokens), plan.in_place ? " out=q" : "", plan.hostile ? " hostile" : ""),
          spec, make};
}

constexpr std::array kHeadDims = {8, 16, 24, 80, 96, 128, 256};
constexpr std::array kGroups = {1, 4, 7, 8};

/// Plans without spans: decode takes them as they are, prefill adds spans to them.
std::vector<AttentionPlan> small_plans() {
  std::vector<AttentionPlan> plans;
  int number = 0;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const int head_dim : kHeadDims) {
      for (const int group : kGroups) {
        AttentionPlan plan{.cache = {{1 + number % 3, head_dim, dtype}, {}}, .group = group};
        plan.cache.extra_stride_bytes = number % 2 * 192;
        plan.in_place = number % 3 == 1;
        plan.extra_columns = number % 5 == 2 ? 11 : 0;
        plan.hostile = plan.cache.hostile = number % 4 == 3;
        plan.window = std::array{0, 0, 1, 63, 128, 1000, 0}[number % 7];
        plans.push_back(plan);
        ++number;
      }
    }
  }
  return plans;
}

}  // namespace

std::vector<OpCase<AttentionDecode>> AttentionDecode::cases(CaseScale scale) {
  std::vector<OpCase<AttentionDecode>> cases;
  const KvPageSpec bf16{2, 64, DType::bf16};
  cases.push_back(decode_case({.cache = {bf16, {1, 65, 300}}, .group = 4}));
  cases.push_back(decode_case({.cache = {{1, 40, DType::f32}, {129, 1030}}, .group = 3, .window = 100}));
  if (scale == CaseScale::quick) return cases;
  int number = 0;
  for (AttentionPlan plan : small_plans()) {
    const std::array<std::vector<std::int64_t>, 4> lengths = {
        {{1}, {63, 64, 65}, {127, 128, 129, 2, 700}, {1023, 1024, 1025, 40}}};
    plan.cache.tokens = lengths[number++ % lengths.size()];
    cases.push_back(decode_case(plan));
  }
  for (const std::int64_t window : {0, 1, 63, 128, 1000, 1024})
    cases.push_back(decode_case(
        {.cache = {bf16, {2100, 1, 1023, 1024, 1025, 1151, 1152, 1153}}, .group = 2, .window = window}));
  for (const CaseShape& shape : case_shapes()) {
    AttentionPlan plan{.cache = {{shape.kv_heads, shape.head_dim, number % 2 == 0 ? DType::bf16 : DType::f32}, {}},
                       .group = shape.q_heads / shape.kv_heads,
                       .window = shape.window};
    plan.cache.tokens = std::array<std::vector<std::int64_t>, 3>{{{200}, {1, 77, 128}, {1100, 5}}}[number++ % 3];
    cases.push_back(decode_case(plan));
  }
  std::vector<std::int64_t> many;
  for (std::int64_t r = 0; r < 32; ++r) many.push_back(1 + r * r * 2);
  cases.push_back(decode_case({.cache = {bf16, many}, .group = 4}));
  return cases;
}

std::vector<OpCase<AttentionPrefill>> AttentionPrefill::cases(CaseScale scale) {
  std::vector<OpCase<AttentionPrefill>> cases;
  const auto add = [&cases](AttentionPlan plan, const std::vector<Span>& spans) {
    plan.spans = spans;
    plan.cache.tokens.clear();
    for (const Span& span : spans) {
      plan.cache.tokens.resize(std::max<std::size_t>(plan.cache.tokens.size(), span.sequence + 1), 0);
      plan.cache.tokens[span.sequence] = std::max(plan.cache.tokens[span.sequence], span.first + span.rows);
    }
    cases.push_back(prefill_case(plan));
  };
  const KvPageSpec bf16{2, 64, DType::bf16};
  add({.cache = {bf16, {}}, .group = 4}, {{1, 0, 70}, {0, 3, 5}});
  add({.cache = {{1, 40, DType::f32}, {}}, .group = 3, .window = 50}, {{0, 120, 20}});
  if (scale == CaseScale::quick) return cases;
  const std::array<std::vector<Span>, 5> kSpans = {{{{0, 0, 1}},
                                                    {{0, 0, 33}, {2, 60, 9}},
                                                    {{1, 126, 5}, {0, 0, 17}},
                                                    {{0, 1020, 8}},
                                                    {{0, 63, 3}, {1, 0, 64}, {2, 250, 16}}}};
  int number = 0;
  for (const AttentionPlan& plan : small_plans()) add(plan, kSpans[number++ % kSpans.size()]);
  for (const std::int64_t window : {0, 1, 63, 128, 1000})
    add({.cache = {bf16, {}}, .group = 2, .window = window}, {{0, 0, 300}, {1, 1000, 40}, {2, 2090, 10}});
  for (const CaseShape& shape : case_shapes()) {
    const AttentionPlan plan{
        .cache = {{shape.kv_heads, shape.head_dim, number % 2 == 0 ? DType::bf16 : DType::f32}, {}},
        .group = shape.q_heads / shape.kv_heads,
        .window = shape.window};
    add(plan, std::array<std::vector<Span>, 3>{{{{0, 0, 40}}, {{0, 100, 7}, {1, 0, 3}}, {{0, 130, 2}}}}[number++ % 3]);
  }
  add({.cache = {{1, 16, DType::bf16}, {}}, .group = 2}, {{0, 0, 2048}});
  add({.cache = {{1, 64, DType::f32}, {}}, .group = 1, .window = 200}, {{0, 0, 700}, {1, 17, 333}});
  return cases;
}

std::vector<OpCase<KvAppend>> KvAppend::cases(CaseScale scale) {
  std::vector<OpCase<KvAppend>> cases;
  const auto add = [&cases](const KvPageSpec& page, const std::vector<Span>& spans, std::int64_t extra) {
    CachePlan plan{page, {}, extra % 2 * 128};
    std::int64_t rows = 0;
    for (const Span& span : spans) {
      plan.tokens.resize(std::max<std::size_t>(plan.tokens.size(), span.sequence + 1), 0);
      plan.tokens[span.sequence] = std::max(plan.tokens[span.sequence], span.first + span.rows);
      rows += span.rows;
    }
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
  for (const DType dtype : {DType::f32, DType::bf16}) {
    add({2, 64, dtype}, {{1, 60, 10}, {0, 0, 1}}, 0);
    add({3, 17, dtype}, {{0, 127, 3}, {1, 5, 1}}, 5);
    if (scale == CaseScale::quick) continue;
    for (const int head_dim : kHeadDims) add({2, head_dim, dtype}, {{2, 0, 65}, {0, 130, 1}, {1, 63, 2}}, head_dim % 7);
    add({1, 32, dtype}, {{0, 0, 2048}}, 0);
  }
  if (scale == CaseScale::quick) return cases;
  for (const CaseShape& shape : case_shapes())
    add({shape.kv_heads, shape.head_dim, cases.size() % 2 == 0 ? DType::bf16 : DType::f32}, {{0, 30, 5}, {1, 64, 1}}, 0);
  return cases;
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
  for (const DType dtype : {DType::f32, DType::bf16}) {
    add({2, 64, dtype}, 65);
    if (scale == CaseScale::quick) continue;
    for (const std::int64_t tokens : {1, 63, 64, 129, 1025}) add({3, 24, dtype}, tokens);
    for (const int head_dim : kHeadDims) add({1, head_dim, dtype}, 77);
  }
  return cases;
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
    cases.push_back({cat("kv=", page.kv_heads, "x", page.head_dim, " ", dtype_name(page.dtype), " pages=",
                         source.size()), {page}, make});
  };
  for (const DType dtype : {DType::f32, DType::bf16}) {
    add({2, 64, dtype}, {8, 0}, {3, 1});
    if (scale == CaseScale::quick) continue;
    add({1, 7, dtype}, {2}, {5});
    add({3, 24, dtype}, {4, 4, 7, 0}, {1, 8, 2, 3});
    add({8, 128, dtype}, {0, 1, 2, 3}, {8, 7, 6, 5});
  }
  return cases;
}

}  // namespace corbel
