#include <algorithm>
#include <array>
#include <cmath>

#include "corbel/ops/cache_cases.h"
#include "corbel/ops/case_list.h"
#include "corbel/ops/case_shapes.h"

namespace corbel {
namespace {

std::string join(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size() && i < 6; ++i) text += cat(i > 0 ? "," : "", numbers[i]);
  return numbers.size() > 6 ? cat(text, ",... (", numbers.size(), ")") : text;
}

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
              plan.in_place ? " out=q" : "", plan.hostile ? " hostile" : "",
              plan.cache.nan_slot >= 0 ? cat(" nan=", plan.cache.nan_slot) : ""),
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
  return {cat("q_heads=", spec.q_heads, " ", describe(plan.cache), " window=", plan.window,
              " tokens=", join(plan.cache.tokens), plan.in_place ? " out=q" : "", plan.hostile ? " hostile" : "",
              plan.cache.nan_slot >= 0 ? cat(" nan=", plan.cache.nan_slot) : ""),
          spec, make};
}

constexpr std::array kGroups = {1, 4, 7, 8};

/// Plans without spans: decode takes them as they are, prefill adds spans to them.
std::vector<AttentionPlan> small_plans() {
  std::vector<AttentionPlan> plans;
  int number = 0;
  for (const DType dtype : kCacheTypes) {
    for (const int head_dim : kCaseHeadDims) {
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
  const KvPageSpec int8{2, 64, DType::i8};
  cases.push_back(decode_case({.cache = {{1, 40, DType::f32}, {129, 1030}}, .group = 3, .window = 100}));
  cases.push_back(decode_case({.cache = {int8, {1, 65, 300}}, .group = 4}));
  if (scale == CaseScale::quick) return cases;
  int number = 0;
  for (AttentionPlan plan : small_plans()) {
    const std::array<std::vector<std::int64_t>, 4> lengths = {
        {{1}, {63, 64, 65}, {127, 128, 129, 2, 700}, {1023, 1024, 1025, 40}}};
    plan.cache.tokens = lengths[number++ % lengths.size()];
    cases.push_back(decode_case(plan));
  }
  for (const std::int64_t window : {0, 1, 63, 128, 1000, 1024}) {
    for (const KvPageSpec& page : {bf16, int8}) {
      cases.push_back(
          decode_case({.cache = {page, {2100, 1, 1023, 1024, 1025, 1151, 1152, 1153}}, .group = 2, .window = window}));
    }
  }
  for (const DType dtype : kCacheTypes) {
    for (const std::int64_t slot : {0, 77, 1024}) {
      AttentionPlan plan{.cache = {{1, 32, dtype}, {1025, 90}}, .group = 2};
      plan.cache.nan_slot = slot;
      cases.push_back(decode_case(plan));
    }
  }
  for (const CaseShape& shape : case_shapes()) {
    AttentionPlan plan{.cache = {{shape.kv_heads, shape.head_dim, kCacheTypes[number % kCacheTypes.size()]}, {}},
                       .group = shape.q_heads / shape.kv_heads,
                       .window = shape.window};
    plan.cache.tokens = std::array<std::vector<std::int64_t>, 3>{{{200}, {1, 77, 128}, {1100, 5}}}[number++ % 3];
    cases.push_back(decode_case(plan));
  }
  std::vector<std::int64_t> many;
  for (std::int64_t r = 0; r < 32; ++r) many.push_back(1 + r * r * 2);
  for (const KvPageSpec& page : {bf16, int8}) cases.push_back(decode_case({.cache = {page, many}, .group = 4}));
  return without_repeats(std::move(cases));
}

std::vector<OpCase<AttentionPrefill>> AttentionPrefill::cases(CaseScale scale) {
  std::vector<OpCase<AttentionPrefill>> cases;
  const auto add = [&cases](AttentionPlan plan, const std::vector<Span>& spans) {
    plan.spans = spans;
    plan.cache.tokens = tokens_of(spans);
    cases.push_back(prefill_case(plan));
  };
  const KvPageSpec bf16{2, 64, DType::bf16};
  add({.cache = {bf16, {}}, .group = 4}, {{1, 0, 70}, {0, 3, 5}});
  const KvPageSpec int8{2, 64, DType::i8};
  add({.cache = {{1, 40, DType::f32}, {}}, .group = 3, .window = 50}, {{0, 120, 20}});
  add({.cache = {int8, {}}, .group = 4}, {{1, 0, 70}, {0, 3, 5}});
  if (scale == CaseScale::quick) return cases;
  const std::array<std::vector<Span>, 5> spans = {{{{0, 0, 1}},
                                                   {{0, 0, 33}, {2, 60, 9}},
                                                   {{1, 126, 5}, {0, 0, 17}},
                                                   {{0, 1020, 8}},
                                                   {{0, 63, 3}, {1, 0, 64}, {2, 250, 16}}}};
  int number = 0;
  for (const AttentionPlan& plan : small_plans()) add(plan, spans[number++ % spans.size()]);
  for (const std::int64_t window : {0, 1, 63, 128, 1000}) {
    for (const KvPageSpec& page : {bf16, int8})
      add({.cache = {page, {}}, .group = 2, .window = window}, {{0, 0, 300}, {1, 1000, 40}, {2, 2090, 10}});
  }
  for (const DType dtype : kCacheTypes) {
    AttentionPlan plan{.cache = {{1, 32, dtype}, {}}, .group = 2};
    plan.cache.nan_slot = 100;
    add(plan, {{0, 90, 20}, {1, 0, 5}});
  }
  for (const CaseShape& shape : case_shapes()) {
    const AttentionPlan plan{.cache = {{shape.kv_heads, shape.head_dim, kCacheTypes[number % kCacheTypes.size()]}, {}},
                             .group = shape.q_heads / shape.kv_heads,
                             .window = shape.window};
    add(plan, std::array<std::vector<Span>, 3>{{{{0, 0, 40}}, {{0, 100, 7}, {1, 0, 3}}, {{0, 130, 2}}}}[number++ % 3]);
  }
  add({.cache = {{1, 16, DType::bf16}, {}}, .group = 2}, {{0, 0, 2048}});
  add({.cache = {{1, 16, DType::i8}, {}}, .group = 2}, {{0, 0, 2048}});
  add({.cache = {{1, 64, DType::f32}, {}}, .group = 1, .window = 200}, {{0, 0, 700}, {1, 17, 333}});
  return without_repeats(std::move(cases));
}

}  // namespace corbel
