#include "corbel/device/cpu/cpu_packed.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "corbel/device/cpu/cpu_finish.h"
#include "corbel/device/cpu/cpu_packed_state.h"
#include "corbel/device/run_context.h"
#include "corbel/format/indexed_format.h"

// Linear with packed weights: rows of x are quantized into tiles, then threads take ranges of neighbouring strips.

namespace corbel::cpu {
namespace {

constexpr std::int64_t kLine = 64;
// Bytes that rows of x which share one unpacking of the weights may take.
constexpr std::int64_t kTileBytes = std::int64_t{4} << 20;

// Of a row: quantized together, and how many of all rows are not worth a second thread.
constexpr std::int64_t kQuantizedBlocks = 4;
constexpr std::int64_t kFewQuantizedBlocks = 64;

constexpr std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

/// Scratch handed out piece by piece.
class Places {
 public:
  std::int64_t take(std::int64_t bytes) noexcept {
    const std::int64_t at = bytes_;
    bytes_ += round_up(bytes, kLine);
    return at;
  }
  std::int64_t bytes() const noexcept { return bytes_; }

 private:
  std::int64_t bytes_ = 0;
};

PackedWeight make_weight(const Linear::Spec& spec, int w, const Kernels& kernels) {
  PackedWeight weight;
  weight.format = spec.outputs[w].format;
  weight.grouping = std::countr_zero(static_cast<unsigned>(weight.format->packed->groups));
  weight.strips = packed_strips(spec.outputs[w].features);
  weight.strip_bytes = strip_bytes(*weight.format, spec.in_features);
  for (const PackedKernel& kernel : kernels.packed.formats) {
    if (kernel.format != nullptr && weight.format->name == kernel.format) weight.kernel = kernel;
  }
  if (const IndexedLayout* layout = indexed_layout(*weight.format); layout != nullptr) {
    const std::array<std::int8_t, 128> table = index_table(*layout);
    for (int i = 0; i < 128; ++i) weight.tables.integers[i] = static_cast<std::uint8_t>(table[i] + 128);
    for (int i = 0; i < std::min(32, 1 << layout->code_bits); ++i)
      weight.tables.codes[i] = static_cast<std::uint8_t>(layout->codes[i] + kCodeBias);
    for (int i = 0; i < 8; ++i)
      weight.tables.multipliers[i] = static_cast<std::int32_t>(
          0x10001U * static_cast<std::uint16_t>(layout->multipliers[i % (1 << layout->group_bits)]));
  }
  return weight;
}

void quantize_rows(const Prepared<Linear>& self, const TensorView& x, const RowBlock& rows) noexcept {
  const PackedState& state = packed_state(self);
  const Rows<const float> source(x);
  const std::int64_t chunks = (state.blocks + kQuantizedBlocks - 1) / kQuantizedBlocks;
  const auto quantize = [&](std::int64_t tile, std::int64_t first, std::int64_t count) {
    QuantizeArgs args;
    args.x = source[rows.first + rows.begin(tile)];
    args.x_stride = x.row_stride;
    args.in = self.spec().in_features;
    args.tile = tile_at(state, rows.begin(tile), rows.height(tile));
    args.first_block = first;
    args.blocks = std::min(count, state.blocks - first);
    state.op.kernels->packed.quantize(args);
  };
  // Little work takes less time than waking the other threads.
  if (rows.rows * state.blocks < kFewQuantizedBlocks) {
    for (std::int64_t tile = 0; tile < rows.tiles; ++tile) quantize(tile, 0, state.blocks);
    return;
  }
  state.op.pool->parallel_for(rows.tiles * chunks, [&](std::int64_t unit, int) {
    quantize(unit / chunks, unit % chunks * kQuantizedBlocks, kQuantizedBlocks);
  });
}

/// The units of a call: those of output 0, then those of output 1, ...
struct StripUnits {
  StripUnits(const Linear::Spec& spec, const PackedState& state, const RowBlock& rows) noexcept
      : outputs(spec.gated ? 1 : spec.weights) {
    for (int w = 0; w < outputs; ++w) {
      const std::int64_t bytes = state.weights[w].strip_bytes + (spec.gated ? state.weights[1].strip_bytes : 0);
      const std::int64_t most = rows.direct ? std::min(kMostUnitStrips, kMostDirectDots / rows.rows)
                                            : std::max<std::int64_t>(2, 32 / rows.rows * 2);
      size[w] = std::clamp<std::int64_t>(state.op.tuning.unit_bytes / bytes / 2 * 2, 2, most);
      count[w] = (state.weights[w].strips + size[w] - 1) / size[w];
      total += count[w];
    }
  }
  StripRange range(const PackedState& state, std::int64_t unit) const noexcept {
    int w = 0;
    while (w + 1 < outputs && unit >= count[w]) unit -= count[w++];
    const std::int64_t first = unit * size[w];
    return {w, first, std::min(size[w], state.weights[w].strips - first)};
  }
  int outputs;
  std::int64_t size[Linear::kMaxWeights] = {};
  std::int64_t count[Linear::kMaxWeights] = {};
  std::int64_t total = 0;
};

void run_range(const Prepared<Linear>& self, const Linear::Args& call, const StripRange& range, const RowBlock& rows,
               int worker) noexcept {
  const Linear::Spec& spec = self.spec();
  const PackedState& state = packed_state(self);
  const WorkerMemory memory(state, worker);
  const std::int64_t features = spec.outputs[range.weight].features;
  const int weights = spec.gated ? 2 : 1;
  const std::int64_t step = rows.direct ? range.count : 2;
  for (std::int64_t strip = range.first; strip < range.first + range.count; strip += step) {
    const OutputSpan span{range.weight, strip * kStripRows, rows.first};
    const std::int64_t outputs = std::min(step * kStripRows, features - strip * kStripRows);
    fetch_outputs(spec, call, span, rows.rows, outputs);
    for (int i = 0; i < weights; ++i) {
      const PackedWeight& weight = state.weights[range.weight + i];
      const std::byte* const strips = call.weights[range.weight + i];
      if (rows.direct)
        dot_direct(state, weight, strips, range, rows, memory.dots(i));
      else
        dot_pair(state, weight, strips, strip, rows, memory, memory.dots(i));
    }
    FinishArgs args;
    args.dots = memory.dots(0);
    args.up = spec.gated ? memory.dots(1) : nullptr;
    args.stride = step * kStripRows;
    args.count = outputs;
    args.rows = rows.rows;
    finish_outputs(spec, call, state.op.kernels->packed, span, args);
  }
}

void run_packed_linear(const Prepared<Linear>& self, const Linear::Args& call, RunContext&) noexcept {
  const PackedState& state = packed_state(self);
  const std::int64_t rows = call.x.rows();
  for (std::int64_t first = 0; first < rows; first += state.block_rows) {
    const RowBlock block(state, first, std::min(state.block_rows, rows - first));
    quantize_rows(self, call.x, block);
    const StripUnits units(self.spec(), state, block);
    state.op.pool->parallel_for(units.total, [&](std::int64_t unit, int worker) {
      run_range(self, call, units.range(state, unit), block, worker);
    });
  }
}

/// Lays out the shared scratch; how many bytes.
std::int64_t place_tiles(const Linear::Spec& spec, PackedState& state) {
  const std::int64_t rows = state.block_rows;
  Places places;
  places.take(rows * state.blocks * kPackedColumns);
  state.scales_at = places.take(rows * state.blocks * 4);
  for (int w = 0; w < spec.weights; ++w) {
    const WeightFormat& format = *state.weights[w].format;
    const int grouping = state.weights[w].grouping;
    const std::int64_t bytes = rows * (state.blocks << grouping) * 4;
    if (state.starts_at[grouping] == 0) state.starts_at[grouping] = places.take(bytes);
    if (format.packed->has_offsets && state.sums_at[grouping] == 0) state.sums_at[grouping] = places.take(bytes);
    if (const PackedKernel& kernel = state.weights[w].kernel; kernel.code_group > 0) {
      const int which = code_grouping(kernel.code_group);
      if (state.code_starts_at[which] == 0)
        state.code_starts_at[which] = places.take(rows * state.blocks * code_groups(which) * 4);
    }
  }
  return places.bytes();
}

/// Lays out a worker's scratch; how many bytes.
std::int64_t place_panel(const Linear::Spec& spec, PackedState& state) {
  std::int64_t groups = 1;
  std::int64_t multipliers = 0;
  for (int w = 0; w < spec.weights; ++w) {
    groups = std::max<std::int64_t>(groups, state.weights[w].format->packed->groups);
    if (const PackedKernel& kernel = state.weights[w].kernel; kernel.code_group > 0)
      multipliers = std::max(multipliers, code_groups(code_grouping(kernel.code_group)));
  }
  Places places;
  places.take(2 * WorkerMemory::dots_floats(state.block_rows) * 4);
  state.panel_blocks = std::min(state.blocks, kPanelBlocks);
  state.panel_at = places.take(state.panel_blocks * kPanelBlockBytes);
  state.panel_scales_at = places.take(state.panel_blocks * groups * kPanelRows * 4);
  state.panel_offsets_at = places.take(state.panel_blocks * groups * kPanelRows * 4);
  state.panel_multipliers_at = places.take(state.panel_blocks * multipliers * kPanelRows * 4);
  return places.bytes();
}

}  // namespace

Result<Prepared<Linear>> prepare_packed_linear(const Linear::Spec& spec, const Device& device) {
  PackedState state;
  CORBEL_ASSIGN(const OpState plain, cpu_device(device).state());
  const PackedKernels& kernels = plain.kernels->packed;
  state.blocks = packed_blocks(spec.in_features);
  state.tile_rows = kernels.tile_rows;
  state.direct_rows = kMostWideRows;
  for (int w = 0; w < spec.weights; ++w) {
    state.weights[w] = make_weight(spec, w, *plain.kernels);
    state.direct_rows = std::min(state.direct_rows, state.weights[w].kernel.most_rows);
    const PackedCodec& codec = *state.weights[w].format->packed;
    if (codec.groups > 1 || codec.has_offsets) state.tile_rows = std::min(state.tile_rows, kernels.grouped_tile_rows);
    if (const std::int64_t rows = state.weights[w].kernel.tile_rows; rows > 0)
      state.tile_rows = std::min(state.tile_rows, rows);
  }
  const CpuTuning& tuning = plain.tuning;
  state.most_direct_rows = state.direct_rows * (state.direct_rows == kMostWideRows ? tuning.direct_tiles : 1);
  const std::int64_t row_bytes = state.blocks * kPackedColumns;
  state.block_rows = std::clamp(kTileBytes / row_bytes / state.tile_rows * state.tile_rows, state.tile_rows,
                                tuning.block_rows / state.tile_rows * state.tile_rows);
  const auto shared_bytes = static_cast<std::size_t>(place_tiles(spec, state));
  const auto worker_bytes = static_cast<std::size_t>(place_panel(spec, state));
  CORBEL_ASSIGN(state.op, cpu_device(device).state(worker_bytes, shared_bytes));
  return Prepared<Linear>(spec, run_packed_linear, std::make_shared<const PackedState>(std::move(state)));
}

}  // namespace corbel::cpu