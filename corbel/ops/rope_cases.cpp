#include <array>
#include <cmath>

#include "corbel/ops/case_list.h"
#include "corbel/ops/case_shapes.h"
#include "corbel/ops/rope.h"

namespace corbel {
namespace {

std::vector<float> frequencies(std::int64_t rotary_dim, double base) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < rotary_dim; i += 2)
    values.push_back(static_cast<float>(std::pow(base, -static_cast<double>(i) / static_cast<double>(rotary_dim))));
  return values;
}

/// Positions first, first + step, ...; `axes` numbers per row, of which only the first counts.
struct PositionRun {
  std::int64_t rows;
  std::int64_t axes;
  std::int64_t first;
  std::int64_t step;
};

OpCase<RopeTable> table_case(const RopeTable::Spec& spec, const PositionRun& run, std::string_view scaling) {
  const auto make = [spec, run](CaseMemory& memory) {
    std::vector<std::int32_t> positions;
    std::vector<std::int32_t> lengths;
    for (std::int64_t r = 0; r < run.rows; ++r) {
      const auto position = static_cast<std::int32_t>(run.first + r * run.step);
      positions.push_back(position);
      for (std::int64_t axis = 1; axis < run.axes; ++axis) positions.push_back(-7);
      lengths.push_back(position + 1);
    }
    RopeTable::Args args;
    args.positions = memory.integers(positions, {run.rows, run.axes});
    args.rope_lengths = memory.integers(lengths, {run.rows});
    args.out = memory.output(DType::f32, {run.rows, 2, spec.rotary_dim / 2});
    return args;
  };
  return {cat("rotary_dim=", spec.rotary_dim, " ", scaling, " rows=", run.rows, " axes=", run.axes,
              " positions=", run.first, "+", run.step),
          spec, make};
}

struct ApplySize {
  RopeApply::Spec spec;
  std::int64_t rows;
  std::int64_t extra_columns = 0;  // x is part of wider rows
  bool hostile = false;
};

OpCase<RopeApply> apply_case(const ApplySize& size) {
  const RopeApply::Spec& spec = size.spec;
  const auto make = [size](CaseMemory& memory) {
    const RopeApply::Spec& s = size.spec;
    const std::int64_t columns = s.heads * s.head_dim;
    RopeApply::Args args;
    const Shape wide{size.rows, columns + size.extra_columns};
    const TensorView whole = size.hostile ? memory.hostile_rows(wide) : memory.input(DType::f32, wide);
    memory.compare(whole);
    args.x = whole;
    if (size.extra_columns > 0)
      args.x.shape = {size.rows, columns};
    else
      args.x = whole.reshaped({size.rows, s.heads, s.head_dim});
    args.table = memory.input(DType::f32, {size.rows, 2, s.rotary_dim / 2});
    return args;
  };
  return {cat("heads=", spec.heads, "x", spec.head_dim, " rotary_dim=", spec.rotary_dim,
              spec.layout == RopeApply::Layout::half ? " half" : " interleaved", " rows=", size.rows,
              size.extra_columns > 0 ? cat(" stride+", size.extra_columns) : "", size.hostile ? " hostile" : ""),
          spec, make};
}

}  // namespace

std::vector<OpCase<RopeTable>> RopeTable::cases(CaseScale scale) {
  std::vector<OpCase<RopeTable>> cases;
  const auto add = [&cases](std::int64_t dim, const PositionRun& run) {
    Spec spec{.rotary_dim = dim, .inv_freq = frequencies(dim, 10000.0)};
    cases.push_back(table_case(spec, run, "default"));
    spec.long_inv_freq = frequencies(dim, 5000000.0);
    spec.factor = 1.1902381F;
    spec.long_factor = 1.25F;
    spec.long_after = run.first + run.rows * run.step / 2;
    cases.push_back(table_case(spec, run, "long"));
    if (dim < 4) return;
    spec.long_inv_freq.clear();
    spec.dynamic_factor = 2.0;
    spec.dynamic_base = 10000.0;
    spec.long_after = std::max<std::int64_t>(1, spec.long_after);
    cases.push_back(table_case(spec, run, "dynamic"));
  };
  add(64, {17, 1, 0, 1});
  if (scale == CaseScale::quick) return cases;
  for (const std::int64_t dim : {2, 4, 6, 8, 16, 24, 80, 96, 128, 256}) {
    add(dim, {5, dim % 3 + 1, 0, 1});
    add(dim, {33, 1, 8190, 4099});
  }
  add(128, {2048, 1, 0, 1});
  add(64, {7, 3, 1048570, 11});
  return without_repeats(std::move(cases));
}

std::vector<OpCase<RopeApply>> RopeApply::cases(CaseScale scale) {
  std::vector<OpCase<RopeApply>> cases;
  for (const Layout layout : {Layout::half, Layout::interleaved}) {
    cases.push_back(apply_case({{32, 64, 64, layout}, 3}));
    cases.push_back(apply_case({{5, 24, 8, layout}, 12, 9, true}));
    if (scale == CaseScale::quick) continue;
    for (const std::int64_t head_dim : {2, 6, 8, 16, 24, 30, 34, 80, 96, 128, 256}) {
      cases.push_back(apply_case({{3, head_dim, head_dim, layout}, 7, head_dim % 5}));
      cases.push_back(apply_case({{2, head_dim, std::max<std::int64_t>(2, head_dim / 4 * 2), layout}, 6, 0, true}));
    }
    cases.push_back(apply_case({{4, 64, 64, layout}, 2048}));
    cases.push_back(apply_case({{8, 128, 64, layout}, 512, 64}));
  }
  if (scale == CaseScale::quick) return cases;
  constexpr std::array<std::int64_t, 6> kRows = {1, 2, 5, 8, 17, 32};
  for (const CaseShape& shape : case_shapes()) {
    const std::int64_t rotary_dim = shape.rotary_dim == 0 ? shape.head_dim : shape.rotary_dim;
    const Layout layout = shape.interleaved ? Layout::interleaved : Layout::half;
    for (const std::int64_t heads : {shape.q_heads, shape.kv_heads})
      cases.push_back(apply_case({{heads, shape.head_dim, rotary_dim, layout}, kRows[cases.size() % kRows.size()]}));
  }
  return without_repeats(std::move(cases));
}

}  // namespace corbel
