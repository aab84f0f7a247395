#include <algorithm>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/device/run_context.h"
#include "corbel/ops/head_rows.h"

namespace corbel::cpu {
namespace {

/// `count` rows of an i32 vector [rows], as a vector.
TensorView part_of(const TensorView& values, std::int64_t first, std::int64_t count) noexcept {
  TensorView part = values;
  part.data = static_cast<std::int32_t*>(values.data) + first;
  part.shape = {count};
  part.row_stride = count;
  return part;
}

/// The table is made once per step for all layers, in double: the reference, on row ranges.
void run_rope_table(const Prepared<RopeTable>& self, const RopeTable::Args& args, RunContext&) noexcept {
  const RopeTable::Spec& spec = self.spec();
  const std::int64_t rows = args.positions.rows();
  constexpr std::int64_t kRowsPerUnit = 16;
  const std::int64_t units = (rows + kRowsPerUnit - 1) / kRowsPerUnit;
  state_of(self).pool->parallel_for(units, [&](std::int64_t unit, int) {
    const std::int64_t first = unit * kRowsPerUnit;
    const std::int64_t count = std::min(kRowsPerUnit, rows - first);
    TensorView out = args.out;
    out.data = static_cast<float*>(args.out.data) + first * spec.rotary_dim;
    out.shape[0] = count;
    RopeTable::reference(spec, {.positions = args.positions.row_range(first, count),
                                .rope_lengths = part_of(args.rope_lengths, first, count),
                                .out = out});
  });
}

void run_rope_apply(const Prepared<RopeApply>& self, const RopeApply::Args& args, RunContext&) noexcept {
  const OpState& state = state_of(self);
  const RopeApply::Spec& spec = self.spec();
  const HeadRows<float> x(args.x, spec.head_dim);
  const auto* table = static_cast<const float*>(args.table.data);
  const std::int64_t half = spec.rotary_dim / 2;
  const auto rotate =
      spec.layout == RopeApply::Layout::half ? state.kernels->rope_half : state.kernels->rope_interleaved;
  for_rows(*state.pool, x.rows(), spec.heads * spec.rotary_dim, [&](std::int64_t row, int) {
    const float* const cosines = table + row * spec.rotary_dim;
    for (std::int64_t head = 0; head < spec.heads; ++head) rotate(x(row, head), cosines, cosines + half, half);
  });
}

}  // namespace

void add_rope_ops(OpTable& table) {
  table.entry<RopeTable>().prepare = [](const RopeTable::Spec& spec, const Device& device) {
    return prepare_plain<RopeTable>(spec, device, run_rope_table);
  };
  table.entry<RopeApply>().prepare = [](const RopeApply::Spec& spec, const Device& device) {
    return prepare_plain<RopeApply>(spec, device, run_rope_apply);
  };
}

}  // namespace corbel::cpu
