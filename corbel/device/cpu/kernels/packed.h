#pragma once
#include <stdint.h>

/// Kernels for packed weights (corbel/format/packed_format.h) in the int8 arithmetic of corbel/ops/linear.h.
///
/// Rows of x are quantized in tiles of up to kMostTileRows; a tile lies as [block][four columns][row][4 bytes], so that
/// four columns of a row are one broadcast. Weights go one of two ways: `dot` reads strips as they are stored, for few
/// rows; or strips are unpacked into a panel of two strips, in a cache, that all tiles of x then pass by.
///
///   panel         [block][64 fours of columns][2 strips][16 rows][4 bytes]; a byte is the integer + kPanelBias
///   panel scales  f32 [block][groups][2 strips][16 rows], offsets alike
///
/// With registers of 256 bits formats of codes and multipliers (corbel/format/indexed_format.h) multiply codes first:
/// vpmaddubsw adds pairs in 16 bits, exactly for all columns of a group, then vpmaddwd multiplies by the group's
/// multiplier. A panel's bytes are codes + kCodeBias then, with multipliers beside them.
///
///   panel multipliers  i32 [block][groups of code_group columns][2 strips][16 rows], in both halves of each
namespace corbel::cpu {

constexpr int64_t kBlockColumns = 256;
constexpr int64_t kBlockFours = 64;
constexpr int64_t kPanelRows = 32;  // weight rows: two strips
constexpr int64_t kPanelBlockBytes = kBlockColumns * kPanelRows;
constexpr int64_t kMostTileRows = 12;      // 12 x 2 sums, 2 weights, 1 x: 27 of 32 registers
constexpr int64_t kMostGroupedRows = 6;    // 6 x 2 integer sums, 6 x 2 float sums, 2 weights, 1 x, 1 scale: 28 of 32
constexpr int64_t kMostDirectRows = 8;     // a strip's sums in registers beside what unpacking needs
constexpr int64_t kMostWideRows = 16;      // integer sums alone in registers
constexpr int64_t kMostDirectGrouped = 4;  // with several groups a block there are float sums as well
constexpr int32_t kCodeBias = 64;          // codes are -63..63
constexpr int kGroupings = 5;              // groups of a block: 1 << 0 .. 1 << 4

/// Columns that may share a multiplier.
constexpr int64_t kCodeGroups[] = {16, 8};
constexpr int kCodeGroupings = 2;
constexpr int code_grouping(int64_t columns) { return columns == kCodeGroups[0] ? 0 : 1; }
constexpr int64_t code_groups(int grouping) { return kBlockColumns / kCodeGroups[grouping]; }  // of a block

/// A tile of quantized rows. By log2(groups of a block), where a weight has so many: integer sums begin at -bias times
/// the sum of x over the group, which takes the panel's bias back; offsets want the sums themselves.
struct QuantizedTile {
  int64_t rows = 0;
  int8_t* integers = nullptr;        // [blocks][64][rows][4]
  float* scales = nullptr;           // [blocks][rows]
  int32_t* starts[kGroupings] = {};  // [blocks][groups][rows]
  float* sums[kGroupings] = {};      // [blocks][groups][rows]; null where no weight has offsets
  // By kCodeGroups, null where no weight has codes: what takes kCodeBias back, for the first and the
  // second pair of columns of the group's fours. int16 [blocks][groups][rows][2], modulo 2^16 as sums in 16 bits are.
  int16_t* code_starts[kCodeGroupings] = {};
};

struct QuantizeArgs {
  const float* x = nullptr;
  int64_t x_stride = 0;
  int64_t in = 0;
  QuantizedTile tile;
  int64_t first_block = 0;  // of the blocks that are wanted now
  int64_t blocks = 0;
};

/// What a format's unpacking needs beyond the block.
struct PackedTables {
  alignas(64) uint8_t integers[128] = {};  // of indexed formats: integer + 128 of each index
  alignas(32) uint8_t codes[32] = {};      // codes + kCodeBias, of 4 bits and 5
  int32_t multipliers[8] = {};             // in both halves; repeated where there are fewer
};

struct UnpackArgs {
  const unsigned char* strip = nullptr;  // its first wanted block
  int64_t blocks = 0;
  const PackedTables* tables = nullptr;
  uint8_t* panel = nullptr;  // of this strip: its first line in the panel
  float* scales = nullptr;   // of this strip
  float* offsets = nullptr;
  int32_t* multipliers = nullptr;
};

/// A panel and one tile of x.
struct PanelArgs {
  QuantizedTile x;  // moved to the panel's first block
  const uint8_t* panel = nullptr;
  const float* scales = nullptr;
  const float* offsets = nullptr;  // null: the format has none
  const int32_t* multipliers = nullptr;
  int64_t blocks = 0;
  int64_t groups = 1;
  int64_t go_on = 0;  // 0: dots begin at zero
  // What the next panel will be made of, fetched meanwhile: a line per four columns, this many bytes apart (0: the same
  // line, when there is nothing left).
  const unsigned char* fetch = nullptr;
  int64_t fetch_step = 0;
  float* dots = nullptr;  // [x.rows][kPanelRows]
};

/// Strips as they are stored and one tile of at most the kernel's most_rows rows.
struct DirectArgs {
  QuantizedTile x;
  const unsigned char* strips = nullptr;
  int64_t count = 0;   // of strips
  int64_t blocks = 0;  // of a strip
  const PackedTables* tables = nullptr;
  float* dots = nullptr;  // [x.rows][stride]
  int64_t stride = 0;
};

/// What follows the dot products of a range of neighbouring outputs: + bias, activation, gate, + residual.
struct FinishArgs {
  const float* dots = nullptr;  // [rows][stride]
  const float* up = nullptr;    // the same of the up weight; null: not gated
  int64_t stride = 0;
  int64_t rows = 0;
  int64_t count = 0;
  const float* bias = nullptr;  // null: none
  const float* up_bias = nullptr;
  int32_t function = 0;             // of enum Function; negative: none
  const float* residual = nullptr;  // null: none
  int64_t residual_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
};

/// One format at one level.
struct PackedKernel {
  const char* format = nullptr;  // its name on disk; null: an empty place
  void (*unpack)(const UnpackArgs&) = nullptr;
  void (*dot)(const DirectArgs&) = nullptr;
  int64_t most_rows = 0;  // of one call of dot
  // Of a format whose panels have codes and multipliers:
  void (*panel)(const PanelArgs&) = nullptr;
  int64_t tile_rows = 0;
  int64_t code_group = 0;  // of kCodeGroups; 0: panels have integers
};
constexpr int kMostPackedKernels = 24;

struct PackedKernels {
  int32_t bias = 0;       // kPanelBias: 128 where bytes of a panel are unsigned, else 0
  int64_t tile_rows = 0;  // most rows of a tile
  int64_t grouped_tile_rows = 0;
  void (*quantize)(const QuantizeArgs&) = nullptr;
  void (*panel)(const PanelArgs&) = nullptr;
  void (*finish)(const FinishArgs&) = nullptr;
  PackedKernel formats[kMostPackedKernels];
};

}  // namespace corbel::cpu
