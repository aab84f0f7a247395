#include "corbel/device/cpu/cpu_packed.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "corbel/device/run_context.h"
#include "corbel/format/indexed_format.h"
#include "corbel/format/packed_format.h"
#include "corbel/ops/arithmetic.h"

// Linear with packed weights: rows of x are quantized into tiles, then threads take ranges of neighbouring strips.
// Few rows read strips as they are stored; many unpack two strips at a time into a panel that all tiles pass by.

namespace corbel::cpu {
namespace {

constexpr std::int64_t kLine = 64;
// Rows of x that share one unpacking of the weights, and the bytes they may take: they come from the third-level cache.
constexpr std::int64_t kMostBlockRows = 512;
constexpr std::int64_t kTileBytes = std::int64_t{4} << 20;
// Columns of a panel: 16 blocks are 128 KB, which stay in the second-level cache.
constexpr std::int64_t kPanelBlocks = 16;
// Weights of one unit: long enough to stream, short enough that the threads end together.
constexpr std::int64_t kUnitBytes = 64 * 1024;
constexpr std::int64_t kMostUnitStrips = 64;

constexpr std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

struct PackedWeight {
  const WeightFormat* format = nullptr;
  PackedKernel kernel;  // empty: unpacked by the codec
  PackedTables tables;
  std::int64_t strips = 0;
  std::int64_t strip_bytes = 0;
};

/// Where things lie in the shared scratch and in a worker's, in bytes.
struct PackedState {
  OpState op;
  PackedWeight weights[Linear::kMaxWeights];
  std::int64_t blocks = 0;
  std::int64_t block_rows = 0;
  std::int64_t tile_rows = 0;
  std::int64_t scales_at = 0;
  std::int64_t starts_at[kGroupings] = {};  // 0: unused
  std::int64_t sums_at[kGroupings] = {};
  std::int64_t panel_blocks = 0;
  std::int64_t panel_at = 0;
  std::int64_t panel_scales_at = 0;
  std::int64_t panel_offsets_at = 0;
};

const PackedState& packed_state(const Prepared<Linear>& self) noexcept {
  return *static_cast<const PackedState*>(self.state());
}

int grouping_of(const WeightFormat& format) { return std::countr_zero(static_cast<unsigned>(format.packed->groups)); }

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
  weight.strips = packed_strips(spec.outputs[w].features);
  weight.strip_bytes = strip_bytes(*weight.format, spec.in_features);
  for (const PackedKernel& kernel : kernels.packed.formats) {
    if (kernel.format != nullptr && weight.format->name == kernel.format) weight.kernel = kernel;
  }
  if (const IndexedLayout* layout = indexed_layout(*weight.format); layout != nullptr) {
    const std::array<std::int8_t, 128> table = index_table(*layout);
    for (int i = 0; i < 128; ++i) weight.tables.integers[i] = static_cast<std::uint8_t>(table[i] + 128);
  }
  return weight;
}

/// Tiles of x behind one another; a tile of rows [row, row + rows) begins at row in every array.
QuantizedTile tile_at(const PackedState& state, std::int64_t row, std::int64_t rows) noexcept {
  std::byte* const base = state.op.scratch->shared();
  QuantizedTile tile;
  tile.rows = rows;
  tile.integers = reinterpret_cast<std::int8_t*>(base) + row * state.blocks * kPackedColumns;
  tile.scales = reinterpret_cast<float*>(base + state.scales_at) + row * state.blocks;
  for (int grouping = 0; grouping < kGroupings; ++grouping) {
    const std::int64_t first = row * (state.blocks << grouping);
    if (state.starts_at[grouping] != 0)
      tile.starts[grouping] = reinterpret_cast<std::int32_t*>(base + state.starts_at[grouping]) + first;
    if (state.sums_at[grouping] != 0)
      tile.sums[grouping] = reinterpret_cast<float*>(base + state.sums_at[grouping]) + first;
  }
  return tile;
}

/// The same rows from another block of columns on.
QuantizedTile from_block(QuantizedTile tile, std::int64_t block) noexcept {
  tile.integers += block * kPackedColumns * tile.rows;
  tile.scales += block * tile.rows;
  for (int grouping = 0; grouping < kGroupings; ++grouping) {
    if (tile.starts[grouping] != nullptr) tile.starts[grouping] += (block << grouping) * tile.rows;
    if (tile.sums[grouping] != nullptr) tile.sums[grouping] += (block << grouping) * tile.rows;
  }
  return tile;
}

/// Rows of one pass over the weights, in tiles of about equal height: 16 are 8 + 8, not 12 + 4.
struct RowBlock {
  RowBlock(const PackedState& state, std::int64_t first_row, std::int64_t count) noexcept
      : first(first_row), rows(count), tiles((count + state.tile_rows - 1) / state.tile_rows) {}
  std::int64_t begin(std::int64_t tile) const noexcept { return tile * rows / tiles; }
  std::int64_t height(std::int64_t tile) const noexcept { return begin(tile + 1) - begin(tile); }
  std::int64_t first;
  std::int64_t rows;
  std::int64_t tiles;
};

void quantize_rows(const Prepared<Linear>& self, const TensorView& x, const RowBlock& block) noexcept {
  const PackedState& state = packed_state(self);
  const Rows<const float> source(x);
  const auto quantize = [&](std::int64_t tile) {
    QuantizeArgs args;
    args.x = source[block.first + block.begin(tile)];
    args.x_stride = x.row_stride;
    args.in = self.spec().in_features;
    args.tile = tile_at(state, block.begin(tile), block.height(tile));
    state.op.kernels->packed.quantize(args);
  };
  // One tile takes less time than waking the other threads.
  if (block.tiles == 1) return quantize(0);
  state.op.pool->parallel_for(block.tiles, [&](std::int64_t tile, int) { quantize(tile); });
}

/// Some neighbouring strips of one weight, or of both when gated.
struct StripRange {
  int weight;
  std::int64_t first;
  std::int64_t count;
};

/// The units of a call: those of output 0, then those of output 1, ...
struct StripUnits {
  StripUnits(const Linear::Spec& spec, const PackedState& state, std::int64_t rows) noexcept
      : outputs(spec.gated ? 1 : spec.weights) {
    for (int w = 0; w < outputs; ++w) {
      const std::int64_t bytes = state.weights[w].strip_bytes + (spec.gated ? state.weights[1].strip_bytes : 0);
      const std::int64_t most = rows <= kMostDirectRows ? kMostUnitStrips : std::max<std::int64_t>(2, 32 / rows * 2);
      size[w] = std::clamp<std::int64_t>(kUnitBytes / bytes / 2 * 2, 2, most);
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

/// Scratch of one worker.
struct WorkerMemory {
  WorkerMemory(const PackedState& state, int worker) noexcept : base(state.op.scratch->worker(worker)), at(state) {}
  /// Dot products of the first weight, and of the up weight.
  float* dots(int which) const noexcept { return reinterpret_cast<float*>(base) + which * dots_floats(at.block_rows); }
  std::uint8_t* panel() const noexcept { return reinterpret_cast<std::uint8_t*>(base + at.panel_at); }
  float* scales() const noexcept { return reinterpret_cast<float*>(base + at.panel_scales_at); }
  float* offsets() const noexcept { return reinterpret_cast<float*>(base + at.panel_offsets_at); }
  static std::int64_t dots_floats(std::int64_t block_rows) {
    return std::max(block_rows * kPanelRows, kMostDirectRows * kMostUnitStrips * kStripRows);
  }
  std::byte* base;
  const PackedState& at;
};

/// Strips by the codec, for formats without a kernel at this level.
void unpack_by_codec(const PackedCodec& codec, const UnpackArgs& args, std::int64_t block_bytes,
                     std::int32_t bias) noexcept {
  std::int8_t integers[kPackedColumns];
  float scales[kMostGroups];
  float offsets[kMostGroups];
  for (std::int64_t b = 0; b < args.blocks; ++b) {
    const auto* block = reinterpret_cast<const std::byte*>(args.strip + b * block_bytes);
    for (int row = 0; row < kStripRows; ++row) {
      codec.unpack_row(block, row, integers, scales, offsets);
      std::uint8_t* const to = args.panel + b * kPanelBlockBytes + row * 4;
      for (std::int64_t i = 0; i < kPackedColumns; ++i)
        to[i / 4 * 128 + i % 4] = static_cast<std::uint8_t>(integers[i] + bias);
      for (int g = 0; g < codec.groups; ++g) {
        const std::int64_t at = (b * codec.groups + g) * kPanelRows + row;
        args.scales[at] = scales[g];
        if (codec.has_offsets) args.offsets[at] = offsets[g];
      }
    }
  }
}

/// Two strips, some of their blocks, into the worker's panel. The last strip of an odd number is taken twice.
void unpack_pair(const PackedState& state, const PackedWeight& weight, const std::byte* strips, std::int64_t strip,
                 std::int64_t block, std::int64_t blocks, const WorkerMemory& memory) noexcept {
  for (int half = 0; half < 2; ++half) {
    const std::int64_t taken = std::min(strip + half, weight.strips - 1);
    UnpackArgs args;
    args.strip = reinterpret_cast<const unsigned char*>(strips + taken * weight.strip_bytes +
                                                        block * weight.format->block_bytes);
    args.blocks = blocks;
    args.tables = &weight.tables;
    args.panel = memory.panel() + half * kLine;
    args.scales = memory.scales() + half * kStripRows;
    args.offsets = memory.offsets() + half * kStripRows;
    if (weight.kernel.unpack != nullptr)
      weight.kernel.unpack(args);
    else
      unpack_by_codec(*weight.format->packed, args, weight.format->block_bytes, state.op.kernels->packed.bias);
  }
}

/// Up to two runs of bytes that the next panel will be made of, handed out tile by tile.
struct Ahead {
  const std::byte* begin[2] = {};
  std::int64_t bytes = 0;  // of each run
  int run = 0;
  std::int64_t done = 0;

  void take(std::int64_t lines, PanelArgs& args) noexcept {
    if (done >= bytes && run == 0 && begin[1] != nullptr) {
      run = 1;
      done = 0;
    }
    const bool any = done < bytes;
    args.fetch = reinterpret_cast<const unsigned char*>(begin[run] + (any ? done : 0));
    args.fetch_step = any ? kLine : 0;
    done += lines * kLine;
  }
};

/// What comes after the blocks [block, block + count) of a pair of strips: its other blocks, or the next pair.
Ahead find_ahead(const PackedState& state, const PackedWeight& weight, const std::byte* strips, std::int64_t strip,
                 std::int64_t block, std::int64_t count) noexcept {
  Ahead ahead;
  const std::byte* const pair = strips + strip * weight.strip_bytes;
  if (block + count < state.blocks) {
    ahead.begin[0] = pair + (block + count) * weight.format->block_bytes;
    ahead.begin[1] = strip + 1 < weight.strips ? ahead.begin[0] + weight.strip_bytes : nullptr;
    ahead.bytes = std::min(count, state.blocks - block - count) * weight.format->block_bytes;
  } else {
    const std::int64_t left = std::clamp<std::int64_t>(weight.strips - strip - 2, 0, 2);
    ahead.begin[0] = left > 0 ? pair + 2 * weight.strip_bytes : pair;
    if (left == 0) return ahead;
    ahead.bytes = std::min(state.panel_blocks, state.blocks) * weight.format->block_bytes;
    if (state.panel_blocks == state.blocks)
      ahead.bytes *= left;  // strips without a gap
    else
      ahead.begin[1] = left > 1 ? ahead.begin[0] + weight.strip_bytes : nullptr;
  }
  return ahead;
}

/// dots [rows][32] of two strips.
void dot_pair(const PackedState& state, const PackedWeight& weight, const std::byte* strips, std::int64_t strip,
              const RowBlock& rows, const WorkerMemory& memory, float* dots) noexcept {
  const PackedCodec& codec = *weight.format->packed;
  for (std::int64_t block = 0; block < state.blocks; block += state.panel_blocks) {
    PanelArgs args;
    args.blocks = std::min(state.panel_blocks, state.blocks - block);
    unpack_pair(state, weight, strips, strip, block, args.blocks, memory);
    args.panel = memory.panel();
    args.scales = memory.scales();
    args.offsets = codec.has_offsets ? memory.offsets() : nullptr;
    args.groups = codec.groups;
    args.go_on = block > 0 ? 1 : 0;
    Ahead ahead = find_ahead(state, weight, strips, strip, block, args.blocks);
    for (std::int64_t tile = 0; tile < rows.tiles; ++tile) {
      args.x = from_block(tile_at(state, rows.begin(tile), rows.height(tile)), block);
      args.dots = dots + rows.begin(tile) * kPanelRows;
      ahead.take(args.blocks * kBlockFours, args);
      state.op.kernels->packed.panel(args);
    }
  }
}

/// dots [rows][count * 16] of strips as they are stored.
void dot_direct(const PackedState& state, const PackedWeight& weight, const std::byte* strips, const StripRange& range,
                std::int64_t rows, float* dots) noexcept {
  DirectArgs args;
  args.x = tile_at(state, 0, rows);
  args.strips = reinterpret_cast<const unsigned char*>(strips + range.first * weight.strip_bytes);
  args.count = range.count;
  args.blocks = state.blocks;
  args.tables = &weight.tables;
  args.dots = dots;
  args.stride = range.count * kStripRows;
  weight.kernel.dot(args);
}

/// What follows the dot products of outputs [begin, begin + args.count).
void finish_range(const Prepared<Linear>& self, const Linear::Args& call, int w, std::int64_t begin,
                  const RowBlock& rows, FinishArgs args) noexcept {
  const Linear::Spec& spec = self.spec();
  const PackedKernels& kernels = packed_state(self).op.kernels->packed;
  const auto bias = [&](int weight) {
    return spec.outputs[weight].has_bias ? static_cast<const float*>(call.biases[weight].data) + begin : nullptr;
  };
  args.rows = rows.rows;
  args.bias = bias(w);
  args.up_bias = spec.gated ? bias(1) : nullptr;
  args.function = -1;
  if (spec.activation == Activation::silu) args.function = static_cast<int>(Function::silu);
  if (spec.activation == Activation::gelu_tanh) args.function = static_cast<int>(Function::gelu_tanh);
  if (spec.activation == Activation::relu) args.function = static_cast<int>(Function::relu);
  if (spec.activation == Activation::gelu) {  // no kernel: bias first, in place
    float* const dots = const_cast<float*>(args.dots);
    for (std::int64_t row = 0; row < args.rows; ++row) {
      for (std::int64_t i = 0; i < args.count; ++i) {
        float& value = dots[row * args.stride + i];
        value = gelu_f32(args.bias != nullptr ? value + args.bias[i] : value);
      }
    }
    args.bias = nullptr;
  }
  const Rows<float> out(call.out[w]);
  args.out = out[rows.first] + begin;
  args.out_stride = call.out[w].row_stride;
  if (spec.add_residual) {
    args.residual = Rows<const float>(call.residual)[rows.first] + begin;
    args.residual_stride = call.residual.row_stride;
  }
  kernels.finish(args);
}

void run_range(const Prepared<Linear>& self, const Linear::Args& call, const StripRange& range, const RowBlock& rows,
               int worker) noexcept {
  const Linear::Spec& spec = self.spec();
  const PackedState& state = packed_state(self);
  const WorkerMemory memory(state, worker);
  const std::int64_t features = spec.outputs[range.weight].features;
  const int weights = spec.gated ? 2 : 1;
  bool direct = true;
  for (int i = 0; i < weights; ++i) {
    const PackedKernel& kernel = state.weights[range.weight + i].kernel;
    direct = direct && kernel.dot != nullptr && rows.rows <= kernel.most_rows;
  }
  const std::int64_t step = direct ? range.count : 2;
  for (std::int64_t strip = range.first; strip < range.first + range.count; strip += step) {
    for (int i = 0; i < weights; ++i) {
      const PackedWeight& weight = state.weights[range.weight + i];
      const std::byte* const strips = call.weights[range.weight + i];
      if (direct)
        dot_direct(state, weight, strips, range, rows.rows, memory.dots(i));
      else
        dot_pair(state, weight, strips, strip, rows, memory, memory.dots(i));
    }
    FinishArgs args;
    args.dots = memory.dots(0);
    args.up = spec.gated ? memory.dots(1) : nullptr;
    args.stride = step * kStripRows;
    args.count = std::min(args.stride, features - strip * kStripRows);
    finish_range(self, call, range.weight, strip * kStripRows, rows, args);
  }
}

void run_packed_linear(const Prepared<Linear>& self, const Linear::Args& call, RunContext&) noexcept {
  const PackedState& state = packed_state(self);
  const std::int64_t rows = call.x.rows();
  for (std::int64_t first = 0; first < rows; first += state.block_rows) {
    const RowBlock block(state, first, std::min(state.block_rows, rows - first));
    quantize_rows(self, call.x, block);
    const StripUnits units(self.spec(), state, block.rows);
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
    const int grouping = grouping_of(format);
    const std::int64_t bytes = rows * (state.blocks << grouping) * 4;
    if (state.starts_at[grouping] == 0) state.starts_at[grouping] = places.take(bytes);
    if (format.packed->has_offsets && state.sums_at[grouping] == 0) state.sums_at[grouping] = places.take(bytes);
  }
  return places.bytes();
}

/// Lays out a worker's scratch; how many bytes.
std::int64_t place_panel(const Linear::Spec& spec, PackedState& state) {
  std::int64_t groups = 1;
  for (int w = 0; w < spec.weights; ++w)
    groups = std::max<std::int64_t>(groups, state.weights[w].format->packed->groups);
  Places places;
  places.take(2 * WorkerMemory::dots_floats(state.block_rows) * 4);
  state.panel_blocks = std::min(state.blocks, kPanelBlocks);
  state.panel_at = places.take(state.panel_blocks * kPanelBlockBytes);
  state.panel_scales_at = places.take(state.panel_blocks * groups * kPanelRows * 4);
  state.panel_offsets_at = places.take(state.panel_blocks * groups * kPanelRows * 4);
  return places.bytes();
}

}  // namespace

Result<Prepared<Linear>> prepare_packed_linear(const Linear::Spec& spec, const Device& device) {
  PackedState state;
  CORBEL_ASSIGN(const OpState plain, cpu_device(device).state());
  const PackedKernels& kernels = plain.kernels->packed;
  state.blocks = packed_blocks(spec.in_features);
  state.tile_rows = kernels.tile_rows;
  for (int w = 0; w < spec.weights; ++w) {
    state.weights[w] = make_weight(spec, w, *plain.kernels);
    const PackedCodec& codec = *state.weights[w].format->packed;
    if (codec.groups > 1 || codec.has_offsets) state.tile_rows = kernels.grouped_tile_rows;
  }
  const std::int64_t row_bytes = state.blocks * kPackedColumns;
  state.block_rows = std::clamp(kTileBytes / row_bytes / state.tile_rows * state.tile_rows, state.tile_rows,
                                kMostBlockRows / state.tile_rows * state.tile_rows);
  const auto shared_bytes = static_cast<std::size_t>(place_tiles(spec, state));
  const auto worker_bytes = static_cast<std::size_t>(place_panel(spec, state));
  CORBEL_ASSIGN(state.op, cpu_device(device).state(worker_bytes, shared_bytes));
  return Prepared<Linear>(spec, run_packed_linear, std::make_shared<const PackedState>(std::move(state)));
}

}  // namespace corbel::cpu
