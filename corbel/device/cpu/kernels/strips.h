#pragma once
#include <stdint.h>

/// Kernels for strips of floats (corbel/format/float_strips.h) in the f32 and bf16 arithmetic of corbel/ops/linear.h.
///
/// Rows of x are packed in tiles of up to tile_rows; what a tile looks like is between a kernel's `pack` and `dot`. A
/// register holds 16 rows of the weight, so a dot product's 16 sums are registers of their own (or passes over the
/// strip, when there are many rows of x), and are added in the order of the contract without moving a lane.
namespace corbel::cpu {

constexpr int64_t kStripPanelRows = 32;  // weight rows of a panel: two strips

struct PackStripRowsArgs {
  const float* x = nullptr;
  int64_t x_stride = 0;  // floats
  int64_t rows = 0;
  int64_t in = 0;
  void* tile = nullptr;
};

/// Strips, or a panel made of two of them, and one tile of x.
struct StripArgs {
  const void* x = nullptr;
  int64_t rows = 0;
  int64_t in = 0;
  const unsigned char* strips = nullptr;  // the first of `count`
  int64_t strip_bytes = 0;
  int64_t count = 0;
  int64_t fetch_bytes = 0;  // memory is asked for so far ahead of what is read; 0: not
  const void* panel = nullptr;
  float* dots = nullptr;  // [rows][stride], 16 for each strip
  int64_t stride = 0;
};

/// One format in one arithmetic.
struct StripKernel {
  const char* format = nullptr;      // its name on disk; null: an empty place
  const char* arithmetic = nullptr;  // arithmetic_name()
  int32_t splits = 0;                // x is split into odd and even elements (OpState::split_from_rows)
  int64_t value_bytes = 0;           // of x in a tile, whose rows are padded to 128 values
  int64_t most_direct_rows = 0;      // of one call of dot; more go by the panel, where there is one
  void (*pack)(const PackStripRowsArgs&) = nullptr;
  void (*dot)(const StripArgs&) = nullptr;
  // Null: there is no panel, dot takes whole tiles. Else two strips (the last of an odd number is taken twice) become a
  // panel in a cache.
  int64_t (*panel_bytes)(int64_t in) = nullptr;
  void (*unpack)(const StripArgs&, void* panel) = nullptr;
  void (*dot_panel)(const StripArgs&) = nullptr;
};
constexpr int kMostStripKernels = 8;

struct StripKernels {
  int64_t tile_rows = 0;
  StripKernel formats[kMostStripKernels];
};

}  // namespace corbel::cpu
