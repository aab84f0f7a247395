#include <algorithm>
#include <array>

#include "corbel/ops/case_list.h"
#include "corbel/ops/case_shapes.h"
#include "corbel/ops/normalization.h"
#include "corbel/ops/rows.h"

namespace corbel {
namespace {

/// A table of sizes that every op on whole rows is tried on.
struct RowSize {
  std::int64_t rows;
  std::int64_t hidden;
  std::int64_t extra_columns = 0;  // the row is part of a wider one
  bool in_place = false;
  bool hostile = false;
};

std::vector<RowSize> row_sizes(CaseScale scale) {
  std::vector<RowSize> sizes = {{1, 2048}, {3, 100, 0, true}, {12, 33, 5, false, true}, {5, 1024, 7, true}};
  if (scale == CaseScale::quick) return sizes;
  for (const std::int64_t hidden : {1, 2, 7, 15, 16, 17, 31, 33, 63, 65, 128, 129})
    for (const std::int64_t rows : {1, 2, 13}) sizes.push_back({rows, hidden, hidden % 3, hidden % 2 == 0, rows == 13});
  std::int64_t rows = 1;
  for (const CaseShape& shape : case_shapes()) {
    sizes.push_back({rows, shape.hidden, 0, rows % 2 == 1, rows % 4 == 0});
    rows = rows * 3 % 32 + 1;
  }
  // Norms of single heads see rows * heads rows of one head.
  sizes.insert(sizes.end(), {{2048, 64}, {512, 128, 0, true}, {1023, 80}, {37 * 16, 256}, {2048, 1024}});
  return sizes;
}

std::string describe(const RowSize& size) {
  return cat("rows=", size.rows, " hidden=", size.hidden,
             size.extra_columns > 0 ? cat(" stride+", size.extra_columns) : "", size.in_place ? " in place" : "",
             size.hostile ? " hostile" : "");
}

TensorView make_rows(const RowSize& size, CaseMemory& memory) {
  const Shape shape{size.rows, size.hidden + size.extra_columns};
  TensorView view = size.hostile ? memory.hostile_rows(shape, 3.0F) : memory.input(DType::f32, shape, 3.0F);
  view.shape = {size.rows, size.hidden};
  return view;
}

/// Where the result goes: `input` itself or a block of its own with the same stride.
TensorView make_out(const RowSize& size, const TensorView& input, CaseMemory& memory) {
  if (size.in_place) {
    TensorView whole = input;
    whole.shape = {size.rows, size.hidden + size.extra_columns};
    memory.compare(whole);
    return input;
  }
  TensorView out = memory.output(DType::f32, {size.rows, size.hidden + size.extra_columns});
  out.shape = {size.rows, size.hidden};
  return out;
}

std::vector<std::int32_t> random_order(std::int64_t count, std::int64_t below, CaseMemory& memory) {
  std::vector<std::int32_t> numbers;
  const TensorView random = memory.input(DType::f32, {count});
  for (std::int64_t i = 0; i < count; ++i) {
    const float unit = static_cast<const float*>(random.data)[i] * 0.5F + 0.5F;
    numbers.push_back(
        static_cast<std::int32_t>(std::min(below - 1, static_cast<std::int64_t>(unit * static_cast<float>(below)))));
  }
  return numbers;
}

}  // namespace

std::vector<OpCase<RmsNorm>> RmsNorm::cases(CaseScale scale) {
  std::vector<OpCase<RmsNorm>> cases;
  for (const RowSize& size : row_sizes(scale)) {
    const bool plus_one = cases.size() % 2 == 1;
    const Spec spec{size.hidden, cases.size() % 3 == 0 ? 1e-6F : 1e-5F, plus_one};
    cases.push_back({cat(describe(size), plus_one ? " gamma+1" : ""), spec, [size](CaseMemory& memory) {
                       Args args;
                       args.x = make_rows(size, memory);
                       args.gamma = memory.input(DType::f32, {size.hidden}, 2.0F);
                       args.out = make_out(size, args.x, memory);
                       return args;
                     }});
  }
  return without_repeats(std::move(cases));
}

std::vector<OpCase<LayerNorm>> LayerNorm::cases(CaseScale scale) {
  std::vector<OpCase<LayerNorm>> cases;
  for (const RowSize& size : row_sizes(scale)) {
    const bool has_beta = cases.size() % 2 == 0;
    cases.push_back(
        {cat(describe(size), has_beta ? " beta" : ""), Spec{size.hidden, 1e-5F}, [size, has_beta](CaseMemory& memory) {
           Args args;
           args.x = make_rows(size, memory);
           args.gamma = memory.input(DType::f32, {size.hidden}, 2.0F);
           if (has_beta) args.beta = memory.input(DType::f32, {size.hidden}, 1.0F);
           args.out = make_out(size, args.x, memory);
           return args;
         }});
  }
  return without_repeats(std::move(cases));
}

std::vector<OpCase<Add>> Add::cases(CaseScale scale) {
  std::vector<OpCase<Add>> cases;
  for (const RowSize& size : row_sizes(scale)) {
    const bool into_b = cases.size() % 2 == 1;
    cases.push_back({cat(describe(size), into_b ? " out=b" : " out=a"), Spec{size.hidden}, [=](CaseMemory& memory) {
                       Args args;
                       args.a = make_rows(size, memory);
                       args.b = make_rows(size, memory);
                       args.out = make_out(size, into_b ? args.b : args.a, memory);
                       return args;
                     }});
  }
  return without_repeats(std::move(cases));
}

std::vector<OpCase<GatherRows>> GatherRows::cases(CaseScale scale) {
  std::vector<OpCase<GatherRows>> cases;
  for (RowSize size : row_sizes(scale)) {
    size.in_place = false;
    const std::int64_t picked = size.rows / 2 + 1;
    cases.push_back({cat(describe(size), " picked=", picked), Spec{size.hidden}, [=](CaseMemory& memory) {
                       Args args;
                       args.x = make_rows(size, memory);
                       args.index = memory.integers(random_order(picked, size.rows, memory), {picked});
                       RowSize out = size;
                       out.rows = picked;
                       args.out = make_out(out, args.x, memory);
                       return args;
                     }});
  }
  return without_repeats(std::move(cases));
}

std::vector<OpCase<Embedding>> Embedding::cases(CaseScale scale) {
  std::vector<OpCase<Embedding>> cases;
  const auto add = [&cases](const Spec& spec, std::int64_t rows, std::int64_t offset) {
    cases.push_back({cat("entries=", spec.entries, " hidden=", spec.hidden, " ", spec.format->name, " rows=", rows,
                         " scale=", spec.scale, offset > 0 ? cat(" offset=", offset) : ""),
                     spec, [=](CaseMemory& memory) {
                       Args args;
                       args.table = memory.weight(*spec.format, spec.entries * spec.hidden, 1.0F, offset);
                       std::vector<std::int32_t> ids = random_order(rows, spec.entries, memory);
                       ids.front() = 0;
                       ids.back() = static_cast<std::int32_t>(spec.entries - 1);
                       args.ids = memory.integers(ids, {rows});
                       args.out = memory.output(DType::f32, {rows, spec.hidden});
                       return args;
                     }});
  };
  for (const WeightFormat* format : {&f32_format(), &bf16_format(), &f16_format()}) {
    add({1000, 256, format, 1.0F}, 17, 0);
    add({50, 33, format, 5.65685425F}, 9, 1);
    if (scale == CaseScale::quick) continue;
    for (const std::int64_t hidden : {1, 7, 15, 16, 17, 100}) add({77, hidden, format, 1.0F}, 31, hidden % 8);
    add({151936, 8, format, 1.0F}, 2048, 0);
  }
  if (scale == CaseScale::quick) return cases;
  constexpr std::array<std::int64_t, 4> kRows = {1, 2, 32, 129};
  for (const CaseShape& shape : case_shapes()) {
    const WeightFormat& format = cases.size() % 2 == 0 ? bf16_format() : f16_format();
    add({293, shape.hidden, &format, cases.size() % 3 == 0 ? 45.2548340F : 1.0F}, kRows[cases.size() % kRows.size()],
        0);
  }
  return without_repeats(std::move(cases));
}

}  // namespace corbel
