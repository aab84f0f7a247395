#pragma once
#include <algorithm>
#include <bit>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/format/packed_format.h"

/// What a Linear of packed weights keeps between its calls, and how a call's rows and strips are cut.
namespace corbel::cpu {

// Columns of a panel: 8 blocks are 64 KB, which stay in the second-level cache beside those columns of all rows.
constexpr std::int64_t kPanelBlocks = 8;
constexpr std::int64_t kMostUnitStrips = 64;
constexpr std::int64_t kMostDirectDots = kMostDirectRows * kMostUnitStrips;  // strips x rows of one unit

struct PackedWeight {
  const WeightFormat* format = nullptr;
  PackedKernel kernel;  // empty: unpacked by the codec
  PackedTables tables;
  int grouping = 0;  // log2 of the groups of a block
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
  std::int64_t direct_rows = 0;  // of a tile that strips are read for as they are stored; 0: a weight has no way to
  std::int64_t most_direct_rows = 0;  // of several such tiles: more of them gain by a panel
  std::int64_t scales_at = 0;
  std::int64_t starts_at[kGroupings] = {};  // 0: unused
  std::int64_t sums_at[kGroupings] = {};
  std::int64_t code_starts_at[kCodeGroupings] = {};
  std::int64_t panel_blocks = 0;
  std::int64_t panel_at = 0;
  std::int64_t panel_scales_at = 0;
  std::int64_t panel_offsets_at = 0;
  std::int64_t panel_multipliers_at = 0;
};

inline const PackedState& packed_state(const Prepared<Linear>& self) noexcept {
  return *static_cast<const PackedState*>(self.state());
}

/// Tiles of x behind one another; a tile of rows [row, row + rows) begins at row in every array.
QuantizedTile tile_at(const PackedState& state, std::int64_t row, std::int64_t rows) noexcept;

/// Rows of one pass over the weights, in tiles of about equal height: for few rows strips are read as they are stored
/// (`direct`), by one tile after the other; many share a panel.
struct RowBlock {
  RowBlock(const PackedState& state, std::int64_t first_row, std::int64_t count) noexcept
      : first(first_row),
        rows(count),
        direct(count <= state.most_direct_rows),
        tiles(tiles_of(count, direct ? state.direct_rows : state.tile_rows)) {}
  static std::int64_t tiles_of(std::int64_t count, std::int64_t most) noexcept { return (count + most - 1) / most; }
  std::int64_t begin(std::int64_t tile) const noexcept { return tile * rows / tiles; }
  std::int64_t height(std::int64_t tile) const noexcept { return begin(tile + 1) - begin(tile); }
  std::int64_t first;
  std::int64_t rows;
  bool direct;
  std::int64_t tiles;
};

/// Some neighbouring strips of one weight, or of both when gated.
struct StripRange {
  int weight;
  std::int64_t first;
  std::int64_t count;
};

/// Scratch of one worker.
struct WorkerMemory {
  WorkerMemory(const PackedState& state, int worker) noexcept : base(state.op.scratch->worker(worker)), at(state) {}
  /// Dot products of the first weight, and of the up weight.
  float* dots(int which) const noexcept { return reinterpret_cast<float*>(base) + which * dots_floats(at.block_rows); }
  std::uint8_t* panel() const noexcept { return reinterpret_cast<std::uint8_t*>(base + at.panel_at); }
  float* scales() const noexcept { return reinterpret_cast<float*>(base + at.panel_scales_at); }
  float* offsets() const noexcept { return reinterpret_cast<float*>(base + at.panel_offsets_at); }
  std::int32_t* multipliers() const noexcept { return reinterpret_cast<std::int32_t*>(base + at.panel_multipliers_at); }
  static std::int64_t dots_floats(std::int64_t block_rows) {
    return std::max(block_rows * kPanelRows, kMostDirectDots * kStripRows);
  }
  std::byte* base;
  const PackedState& at;
};

/// dots [rows][32] of the strips `strip` and the next one, by way of the worker's panel.
void dot_pair(const PackedState& state, const PackedWeight& weight, const std::byte* strips, std::int64_t strip,
              const RowBlock& rows, const WorkerMemory& memory, float* dots) noexcept;

/// dots [rows][count * 16] of strips as they are stored; rows of a direct block.
void dot_direct(const PackedState& state, const PackedWeight& weight, const std::byte* strips, const StripRange& range,
                const RowBlock& rows, float* dots) noexcept;

}  // namespace corbel::cpu
