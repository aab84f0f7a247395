#include "corbel/device/cpu/cpu_packed_state.h"

// Dot products of packed strips with tiles of x: few rows read strips as they are stored; many unpack two strips at a
// time into a panel that all tiles pass by.

namespace corbel::cpu {
namespace {

constexpr std::int64_t kLine = 64;

/// What this weight's kernels read of a tile, from a block of columns on. Called for every panel and tile: what other
/// weights need of it is left out.
QuantizedTile tile_for(const PackedState& state, const PackedWeight& weight, std::int64_t row, std::int64_t rows,
                       std::int64_t block) noexcept {
  std::byte* const base = state.op.scratch->shared();
  QuantizedTile tile;
  tile.rows = rows;
  const std::int64_t at = row * state.blocks + block * rows;
  tile.integers = reinterpret_cast<std::int8_t*>(base) + at * kPackedColumns;
  tile.scales = reinterpret_cast<float*>(base + state.scales_at) + at;
  const int grouping = weight.grouping;
  tile.starts[grouping] = reinterpret_cast<std::int32_t*>(base + state.starts_at[grouping]) + (at << grouping);
  if (weight.format->packed->has_offsets)
    tile.sums[grouping] = reinterpret_cast<float*>(base + state.sums_at[grouping]) + (at << grouping);
  if (weight.kernel.code_group > 0) {
    const int which = code_grouping(weight.kernel.code_group);
    tile.code_starts[which] =
        reinterpret_cast<std::int16_t*>(base + state.code_starts_at[which]) + at * code_groups(which) * 2;
  }
  return tile;
}

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
    args.multipliers = memory.multipliers() + half * kStripRows;
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

}  // namespace

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
  for (int which = 0; which < kCodeGroupings; ++which) {
    if (state.code_starts_at[which] == 0) continue;
    tile.code_starts[which] = reinterpret_cast<std::int16_t*>(base + state.code_starts_at[which]) +
                              row * state.blocks * code_groups(which) * 2;
  }
  return tile;
}

void dot_pair(const PackedState& state, const PackedWeight& weight, const std::byte* strips, std::int64_t strip,
              const RowBlock& rows, const WorkerMemory& memory, float* dots) noexcept {
  const PackedCodec& codec = *weight.format->packed;
  const auto panel = weight.kernel.panel != nullptr ? weight.kernel.panel : state.op.kernels->packed.panel;
  for (std::int64_t block = 0; block < state.blocks; block += state.panel_blocks) {
    PanelArgs args;
    args.blocks = std::min(state.panel_blocks, state.blocks - block);
    unpack_pair(state, weight, strips, strip, block, args.blocks, memory);
    args.panel = memory.panel();
    args.scales = memory.scales();
    args.offsets = codec.has_offsets ? memory.offsets() : nullptr;
    args.multipliers = memory.multipliers();
    args.groups = codec.groups;
    args.go_on = block > 0 ? 1 : 0;
    Ahead ahead = find_ahead(state, weight, strips, strip, block, args.blocks);
    for (std::int64_t tile = 0; tile < rows.tiles; ++tile) {
      args.x = tile_for(state, weight, rows.begin(tile), rows.height(tile), block);
      args.dots = dots + rows.begin(tile) * kPanelRows;
      ahead.take(args.blocks * kBlockFours, args);
      panel(args);
    }
  }
}

void dot_direct(const PackedState& state, const PackedWeight& weight, const std::byte* strips, const StripRange& range,
                const RowBlock& rows, float* dots) noexcept {
  DirectArgs args;
  args.blocks = state.blocks;
  args.tables = &weight.tables;
  args.stride = range.count * kStripRows;
  // Several tiles: each strip is still in a cache when the next of them comes by.
  args.count = rows.tiles == 1 ? range.count : 1;
  for (std::int64_t strip = 0; strip < range.count; strip += args.count) {
    args.strips = reinterpret_cast<const unsigned char*>(strips + (range.first + strip) * weight.strip_bytes);
    for (std::int64_t tile = 0; tile < rows.tiles; ++tile) {
      args.x = tile_for(state, weight, rows.begin(tile), rows.height(tile), 0);
      args.dots = dots + rows.begin(tile) * args.stride + strip * kStripRows;
      weight.kernel.dot(args);
    }
  }
}

}  // namespace corbel::cpu
