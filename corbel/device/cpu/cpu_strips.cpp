#include "corbel/device/cpu/cpu_strips.h"

#include <algorithm>
#include <string_view>

#include "corbel/device/cpu/cpu_finish.h"
#include "corbel/device/run_context.h"
#include "corbel/format/packed_format.h"

// Linear with strips of floats: rows of x are packed into tiles, then threads take ranges of neighbouring strips. Few
// rows of x read a range of strips in one go; of many, tile after tile passes by two strips in a cache.

namespace corbel::cpu {
namespace {

constexpr std::int64_t kLine = 64;
// Rows of x that share one reading of the weights, and the bytes they may take: they come from the third-level cache.
constexpr std::int64_t kMostBlockRows = 512;
constexpr std::int64_t kTileBytes = std::int64_t{8} << 20;
// Weights of one unit: long enough to stream, short enough that the threads end together.
constexpr std::int64_t kUnitBytes = 128 * 1024;
constexpr std::int64_t kMostUnitStrips = 16;
constexpr std::int64_t kPaddedColumns = 128;  // of x in a tile

constexpr std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

/// Kernels that share a form of x, one for each weight.
struct StripPath {
  StripKernel kernels[Linear::kMaxWeights];
  std::int64_t row_bytes = 0;  // of x in a tile
};

struct StripState {
  OpState op;
  StripPath few;  // below split_from_rows
  StripPath many;
  std::int64_t strips[Linear::kMaxWeights] = {};
  std::int64_t strip_bytes[Linear::kMaxWeights] = {};
  std::int64_t block_rows = 0;
  std::int64_t tile_rows = 0;
  std::int64_t panel_at = 0;     // in a worker's scratch
  std::int64_t panel_bytes = 0;  // of one of two

  std::int64_t dots_floats() const noexcept { return tile_rows * kMostUnitStrips * kStripRows; }
};

const StripState& strip_state(const Prepared<Linear>& self) noexcept {
  return *static_cast<const StripState*>(self.state());
}

/// The format's kernel; with `splits` the one that splits x where there are both.
const StripKernel* find_kernel(const Kernels& kernels, const Linear::Spec& spec, int w, bool splits) {
  const StripKernel* found = nullptr;
  for (const StripKernel& kernel : kernels.strips.formats) {
    if (kernel.format == nullptr || spec.outputs[w].format->name != kernel.format) continue;
    if (arithmetic_name(spec.arithmetic) != kernel.arithmetic) continue;
    if (found == nullptr || (kernel.splits != 0) == splits) found = &kernel;
  }
  return found;
}

StripPath make_path(const Kernels& kernels, const Linear::Spec& spec, bool splits) {
  StripPath path;
  for (int w = 0; w < spec.weights; ++w) path.kernels[w] = *find_kernel(kernels, spec, w, splits);
  path.row_bytes = round_up(spec.in_features, kPaddedColumns) * path.kernels[0].value_bytes;
  return path;
}

/// Rows of one pass over the weights, in tiles of about equal height.
struct StripRows {
  StripRows(const StripState& state, std::int64_t first_row, std::int64_t count) noexcept
      : path(count < state.op.split_from_rows ? &state.few : &state.many),
        first(first_row),
        rows(count),
        tiles((count + state.tile_rows - 1) / state.tile_rows) {}
  std::int64_t begin(std::int64_t tile) const noexcept { return tile * rows / tiles; }
  std::int64_t height(std::int64_t tile) const noexcept { return begin(tile + 1) - begin(tile); }
  std::byte* tile_at(const StripState& state, std::int64_t tile) const noexcept {
    return state.op.scratch->shared() + begin(tile) * path->row_bytes;
  }
  const StripPath* path;
  std::int64_t first;
  std::int64_t rows;
  std::int64_t tiles;
};

void pack_rows(const Prepared<Linear>& self, const TensorView& x, const StripRows& rows) noexcept {
  const StripState& state = strip_state(self);
  const Rows<const float> source(x);
  const auto pack = [&](std::int64_t tile) {
    PackStripRowsArgs args;
    args.x = source[rows.first + rows.begin(tile)];
    args.x_stride = x.row_stride;
    args.rows = rows.height(tile);
    args.in = self.spec().in_features;
    args.tile = rows.tile_at(state, tile);
    rows.path->kernels[0].pack(args);
  };
  // One tile takes less time than waking the other threads.
  if (rows.tiles == 1) return pack(0);
  state.op.pool->parallel_for(rows.tiles, [&](std::int64_t tile, int) { pack(tile); });
}

/// Some neighbouring strips of one weight, or of both when gated.
struct StripSpan {
  int weight;
  std::int64_t first;
  std::int64_t count;
};

/// The units of a call: those of output 0, then those of output 1, ...
struct SpanUnits {
  SpanUnits(const Linear::Spec& spec, const StripState& state, std::int64_t tiles) noexcept
      : outputs(spec.gated ? 1 : spec.weights) {
    for (int w = 0; w < outputs; ++w) {
      const std::int64_t bytes = state.strip_bytes[w] + (spec.gated ? state.strip_bytes[1] : 0);
      const std::int64_t most = tiles == 1 ? kMostUnitStrips : 2;
      size[w] = std::clamp<std::int64_t>(kUnitBytes / bytes / 2 * 2, 2, most);
      count[w] = (state.strips[w] + size[w] - 1) / size[w];
      total += count[w];
    }
  }
  StripSpan span(const StripState& state, std::int64_t unit) const noexcept {
    int w = 0;
    while (w + 1 < outputs && unit >= count[w]) unit -= count[w++];
    const std::int64_t first = unit * size[w];
    return {w, first, std::min(size[w], state.strips[w] - first)};
  }
  int outputs;
  std::int64_t size[Linear::kMaxWeights] = {};
  std::int64_t count[Linear::kMaxWeights] = {};
  std::int64_t total = 0;
};

/// One call's data on its way through a span.
struct SpanRun {
  const Prepared<Linear>& self;
  const Linear::Args& call;
  const StripRows& rows;
  StripSpan span;
  std::byte* memory;  // of the worker

  float* dots(int which) const noexcept {
    return reinterpret_cast<float*>(memory) + which * strip_state(self).dots_floats();
  }
  std::byte* panel(int which) const noexcept {
    return memory + strip_state(self).panel_at + which * strip_state(self).panel_bytes;
  }
};

/// Of weight `which` of the span.
StripArgs strip_args(const SpanRun& run, int which) noexcept {
  const StripState& state = strip_state(run.self);
  const int w = run.span.weight + which;
  StripArgs args;
  args.in = run.self.spec().in_features;
  args.strips = reinterpret_cast<const unsigned char*>(run.call.weights[w] + run.span.first * state.strip_bytes[w]);
  args.strip_bytes = state.strip_bytes[w];
  args.count = run.span.count;
  args.panel = run.panel(which);
  args.dots = run.dots(which);
  args.stride = run.span.count * kStripRows;
  return args;
}

/// A span by the direct way, or of at most two strips by panels.
void run_span(const SpanRun& run, bool by_panel) noexcept {
  const Linear::Spec& spec = run.self.spec();
  const StripState& state = strip_state(run.self);
  const int weights = spec.gated ? 2 : 1;
  const StripKernel* const kernels = run.rows.path->kernels + run.span.weight;
  StripArgs args[2];
  for (int i = 0; i < weights; ++i) {
    args[i] = strip_args(run, i);
    if (by_panel) kernels[i].unpack(args[i], run.panel(i));
  }
  const std::int64_t begin = run.span.first * kStripRows;
  FinishArgs finish;
  finish.dots = run.dots(0);
  finish.up = spec.gated ? run.dots(1) : nullptr;
  finish.stride = run.span.count * kStripRows;
  finish.count = std::min(finish.stride, spec.outputs[run.span.weight].features - begin);
  for (std::int64_t tile = 0; tile < run.rows.tiles; ++tile) {
    finish.rows = run.rows.height(tile);
    for (int i = 0; i < weights; ++i) {
      args[i].x = run.rows.tile_at(state, tile);
      args[i].rows = finish.rows;
      // The first tile asks for the next strips while it passes over these; the other tiles find them.
      args[i].fetch_bytes =
          tile == 0 && finish.rows > 1 ? std::min<std::int64_t>(run.span.count, 2) * args[i].strip_bytes : 0;
      by_panel ? kernels[i].dot_panel(args[i]) : kernels[i].dot(args[i]);
    }
    const OutputSpan span{run.span.weight, begin, run.rows.first + run.rows.begin(tile)};
    finish_outputs(spec, run.call, state.op.kernels->packed, span, finish);
  }
}

void run_unit(SpanRun run) noexcept {
  const StripKernel& kernel = run.rows.path->kernels[0];
  if (kernel.panel_bytes == nullptr || (run.rows.tiles == 1 && run.rows.rows <= kernel.most_direct_rows))
    return run_span(run, false);
  const StripSpan all = run.span;
  for (std::int64_t strip = 0; strip < all.count; strip += 2) {
    run.span = {all.weight, all.first + strip, std::min<std::int64_t>(2, all.count - strip)};
    run_span(run, true);
  }
}

void run_strip_linear(const Prepared<Linear>& self, const Linear::Args& call, RunContext&) noexcept {
  const StripState& state = strip_state(self);
  const std::int64_t count = call.x.rows();
  for (std::int64_t first = 0; first < count; first += state.block_rows) {
    const StripRows rows(state, first, std::min(state.block_rows, count - first));
    pack_rows(self, call.x, rows);
    const SpanUnits units(self.spec(), state, rows.tiles);
    state.op.pool->parallel_for(units.total, [&](std::int64_t unit, int worker) {
      run_unit({self, call, rows, units.span(state, unit), state.op.scratch->worker(worker)});
    });
  }
}

}  // namespace

bool has_strip_kernels(const Linear::Spec& spec, const Kernels& kernels) {
  const StripKernel* const first = find_kernel(kernels, spec, 0, true);
  for (int w = 0; w < spec.weights; ++w) {
    const StripKernel* const kernel = find_kernel(kernels, spec, w, true);
    if (kernel == nullptr || kernel->pack != first->pack) return false;
  }
  return true;
}

Result<Prepared<Linear>> prepare_strip_linear(const Linear::Spec& spec, const Device& device) {
  StripState state;
  CORBEL_ASSIGN(const OpState plain, cpu_device(device).state());
  state.few = make_path(*plain.kernels, spec, false);
  state.many = make_path(*plain.kernels, spec, true);
  state.tile_rows = plain.kernels->strips.tile_rows;
  for (int w = 0; w < spec.weights; ++w) {
    state.strips[w] = packed_strips(spec.outputs[w].features);
    state.strip_bytes[w] = strip_bytes(*spec.outputs[w].format, spec.in_features);
  }
  const std::int64_t row_bytes = std::max(state.few.row_bytes, state.many.row_bytes);
  state.block_rows =
      std::clamp(kTileBytes / row_bytes / state.tile_rows * state.tile_rows, state.tile_rows, kMostBlockRows);
  state.panel_at = 2 * state.dots_floats() * 4;
  const auto shared_bytes = static_cast<std::size_t>(round_up(state.block_rows * row_bytes, kLine));
  for (const StripPath* path : {&state.few, &state.many}) {
    if (const auto bytes = path->kernels[0].panel_bytes; bytes != nullptr)
      state.panel_bytes = std::max(state.panel_bytes, round_up(bytes(spec.in_features), kLine));
  }
  const auto worker_bytes = static_cast<std::size_t>(state.panel_at + 2 * state.panel_bytes);
  CORBEL_ASSIGN(state.op, cpu_device(device).state(worker_bytes, shared_bytes));
  return Prepared<Linear>(spec, run_strip_linear, std::make_shared<const StripState>(std::move(state)));
}

}  // namespace corbel::cpu
