#include <algorithm>
#include <cstring>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/device/cpu/cpu_packed.h"
#include "corbel/device/cpu/cpu_strips.h"
#include "corbel/device/run_context.h"
#include "corbel/format/packed_format.h"
#include "corbel/ops/arithmetic.h"

// Linear: units of neighbouring outputs for a block of rows; dot products go to the worker's scratch, and what follows
// them is done there while they are in the cache.

namespace corbel::cpu {
namespace {

constexpr std::int64_t kMaxBlockRows = 256;
// A panel of x rows comes from the third-level cache, a tile of it at a time.
constexpr std::int64_t kPanelBytes = std::int64_t{4} << 20;
// Weights of one unit: large enough to stream, small enough that the threads end together.
constexpr std::int64_t kUnitBytes = 256 * 1024;
constexpr std::int64_t kUnitDots = 32 * 1024;  // dot products of one unit and weight: 128 KB of scratch
constexpr std::int64_t kOutputStep = 8;        // kernels take outputs by eights or fours

constexpr std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

using DotFunction = void (*)(const DotArgs&);

/// Rows of the panel begin an odd number of lines apart: at a power of two they would share the few places of one set
/// of the first-level cache.
constexpr std::int64_t x_stride_bytes(std::int64_t in, std::int64_t element_bytes) {
  return (round_up(in, 32) * element_bytes / 64 | 1) * 64;
}

struct LinearState {
  OpState op;
  // Null: rows are decoded to f32 first. In bf16 arithmetic the panel of x has the function, and strips beside rows
  // become rows of bf16.
  DotFunction dots[Linear::kMaxWeights] = {};
  std::int64_t weight_row_bytes[Linear::kMaxWeights] = {};
  std::int64_t block_rows = 0;
};

const LinearState& linear_state(const Prepared<Linear>& self) noexcept {
  return *static_cast<const LinearState*>(self.state());
}

DotFunction find_dot(const Kernels& kernels, Arithmetic arithmetic, const WeightFormat& format) {
  if (arithmetic == Arithmetic::bf16) return format.packed == nullptr ? kernels.dot_bf16_split : nullptr;
  if (&format == &f32_format()) return kernels.dot_f32;
  if (&format == &bf16_format()) return kernels.dot_bf16_f32;
  if (&format == &f16_format()) return kernels.dot_f16_f32;
  return nullptr;
}

/// Rows of x as the arithmetic takes them.
struct Panel {
  DotFunction dot;  // that takes x in this form; null: the weight's own
  const std::byte* data;
  std::int64_t stride_bytes;
  std::int64_t first_row;
  std::int64_t rows;
};

/// A range of outputs of one weight, or of both when gated.
struct OutputRange {
  int weight;
  std::int64_t begin;
  std::int64_t count;
};

/// Scratch of one worker: dot products of the weight, of the up weight, and decoded weight rows.
struct UnitMemory {
  explicit UnitMemory(std::byte* base) noexcept
      : dots(reinterpret_cast<float*>(base)), up(dots + kUnitDots), decoded(up + kUnitDots) {}
  float* dots;
  float* up;
  float* decoded;  // [kOutputStep, in]
};
std::size_t unit_memory_bytes(std::int64_t decoded_in) {
  return static_cast<std::size_t>(2 * kUnitDots + kOutputStep * decoded_in) * sizeof(float);
}

std::int64_t unit_outputs(const Linear::Spec& spec, const LinearState& state, std::int64_t rows, int weight) noexcept {
  std::int64_t row_bytes = state.weight_row_bytes[weight];
  if (spec.gated) row_bytes += state.weight_row_bytes[1];
  const std::int64_t by_bytes = kUnitBytes / std::max<std::int64_t>(1, row_bytes);
  const std::int64_t most = std::min(by_bytes, kUnitDots / rows) / kOutputStep * kOutputStep;
  return std::max(kOutputStep, most);
}

/// The units of a call: those of output 0, then those of output 1, ...
struct Units {
  Units(const Linear::Spec& spec, const LinearState& state, std::int64_t rows) noexcept
      : outputs(spec.gated ? 1 : spec.weights) {
    for (int w = 0; w < outputs; ++w) {
      size[w] = unit_outputs(spec, state, rows, w);
      count[w] = (spec.outputs[w].features + size[w] - 1) / size[w];
      total += count[w];
    }
  }
  OutputRange range(const Linear::Spec& spec, std::int64_t unit) const noexcept {
    int w = 0;
    while (w + 1 < outputs && unit >= count[w]) unit -= count[w++];
    const std::int64_t begin = unit * size[w];
    return {w, begin, std::min(size[w], spec.outputs[w].features - begin)};
  }
  int outputs;
  std::int64_t size[Linear::kMaxWeights] = {};
  std::int64_t count[Linear::kMaxWeights] = {};
  std::int64_t total = 0;
};

/// dots[row][output] for the range of one weight.
void dot_range(const Prepared<Linear>& self, const std::byte* weight, const OutputRange& range, const Panel& x,
               const UnitMemory& memory, float* dots) noexcept {
  const Linear::Spec& spec = self.spec();
  const LinearState& state = linear_state(self);
  DotArgs args;
  args.x = x.data;
  args.x_stride_bytes = x.stride_bytes;
  args.rows = x.rows;
  args.weight = weight + range.begin * state.weight_row_bytes[range.weight];
  args.weight_stride_bytes = state.weight_row_bytes[range.weight];
  args.outputs = range.count;
  args.in = spec.in_features;
  args.out = dots;
  args.out_stride = range.count;
  const DotFunction own = state.dots[range.weight];
  if (own != nullptr) return x.dot != nullptr ? x.dot(args) : own(args);

  // A format without a kernel of its own: a few rows at a time, decoded.
  const WeightFormat& format = *spec.outputs[range.weight].format;
  const bool rounds = x.dot != nullptr;
  const std::int64_t in = spec.in_features;
  float* const rows = rounds ? memory.decoded + in : memory.decoded;  // of bf16 behind the f32 row they come from
  args.weight = rows;
  args.weight_stride_bytes = in * static_cast<std::int64_t>(rounds ? sizeof(bfloat16) : sizeof(float));
  for (std::int64_t done = 0; done < range.count; done += kOutputStep) {
    args.outputs = std::min(kOutputStep, range.count - done);
    args.out = dots + done;
    for (std::int64_t o = 0; o < args.outputs; ++o) {
      float* const decoded = rounds ? memory.decoded : rows + o * in;
      format.decode_row(weight, in, range.begin + done + o, decoded);
      if (rounds) state.op.kernels->to_bf16(decoded, in, reinterpret_cast<bfloat16*>(rows) + o * in);
    }
    rounds ? x.dot(args) : state.op.kernels->dot_f32(args);
  }
}

void activate(const Kernels& kernels, Activation activation, float* values, std::int64_t count) noexcept {
  switch (activation) {
    case Activation::none: break;
    case Activation::silu: kernels.apply(Function::silu, values, count); break;
    case Activation::gelu_tanh: kernels.apply(Function::gelu_tanh, values, count); break;
    case Activation::relu: kernels.apply(Function::relu, values, count); break;
    case Activation::gelu:
      for (std::int64_t i = 0; i < count; ++i) values[i] = gelu_f32(values[i]);
      break;
  }
}

/// Bias, activation, gate and residual of one row of a range; `up` is used only when gated.
void finish_row(const Prepared<Linear>& self, const Linear::Args& args, const OutputRange& range, std::int64_t row,
                float* values, float* up) noexcept {
  const Linear::Spec& spec = self.spec();
  const Kernels& kernels = *linear_state(self).op.kernels;
  const int w = range.weight;
  const auto bias = [&](int weight) { return static_cast<const float*>(args.biases[weight].data) + range.begin; };
  if (spec.outputs[w].has_bias) kernels.add(values, bias(w), values, range.count);
  activate(kernels, spec.activation, values, range.count);
  if (spec.gated) {
    if (spec.outputs[1].has_bias) kernels.add(up, bias(1), up, range.count);
    kernels.multiply(values, up, values, range.count);
  }
  float* const out = Rows<float>(args.out[w])[row] + range.begin;
  if (spec.add_residual)
    kernels.add(Rows<const float>(args.residual)[row] + range.begin, values, out, range.count);
  else
    std::memcpy(out, values, static_cast<std::size_t>(range.count) * sizeof(float));
}

void run_unit(const Prepared<Linear>& self, const Linear::Args& args, const OutputRange& range, const Panel& x,
              int worker) noexcept {
  const Linear::Spec& spec = self.spec();
  const UnitMemory memory(linear_state(self).op.scratch->worker(worker));
  dot_range(self, args.weights[range.weight], range, x, memory, memory.dots);
  if (spec.gated) dot_range(self, args.weights[1], {1, range.begin, range.count}, x, memory, memory.up);
  for (std::int64_t row = 0; row < x.rows; ++row) {
    finish_row(self, args, range, x.first_row + row, memory.dots + row * range.count, memory.up + row * range.count);
  }
}

/// Rounds the rows to bf16 into the shared scratch when the arithmetic wants it.
Panel make_panel(const Prepared<Linear>& self, const TensorView& x, std::int64_t first_row,
                 std::int64_t rows) noexcept {
  const Linear::Spec& spec = self.spec();
  const OpState& op = linear_state(self).op;
  const Rows<const float> source(x);
  if (spec.arithmetic == Arithmetic::f32) {
    return {nullptr, reinterpret_cast<const std::byte*>(source[first_row]),
            x.row_stride * static_cast<std::int64_t>(sizeof(float)), first_row, rows};
  }
  const bool by_pairs = rows < op.split_from_rows;
  const std::int64_t stride = x_stride_bytes(spec.in_features, by_pairs ? 2 : 4);
  std::byte* const target = op.scratch->shared();
  for_rows(*op.pool, rows, spec.in_features, [&](std::int64_t row, int) {
    if (by_pairs)
      op.kernels->to_bf16(source[first_row + row], spec.in_features, target + row * stride);
    else
      op.kernels->split_bf16(source[first_row + row], spec.in_features,
                             reinterpret_cast<float*>(target + row * stride));
  });
  return {by_pairs ? op.kernels->dot_bf16_pairs : op.kernels->dot_bf16_split, target, stride, first_row, rows};
}

void run_linear(const Prepared<Linear>& self, const Linear::Args& args, RunContext&) noexcept {
  const Linear::Spec& spec = self.spec();
  const LinearState& state = linear_state(self);
  const std::int64_t rows = args.x.rows();
  for (std::int64_t first = 0; first < rows; first += state.block_rows) {
    const Panel x = make_panel(self, args.x, first, std::min(state.block_rows, rows - first));
    const Units units(spec, state, x.rows);
    state.op.pool->parallel_for(
        units.total, [&](std::int64_t unit, int worker) { run_unit(self, args, units.range(spec, unit), x, worker); });
  }
}

Result<Prepared<Linear>> prepare_linear(const Linear::Spec& spec, const Device& device) {
  if (spec.arithmetic == Arithmetic::int8) return prepare_packed_linear(spec, device);
  CORBEL_ASSIGN(const OpState plain, cpu_device(device).state());
  if (has_strip_kernels(spec, *plain.kernels)) return prepare_strip_linear(spec, device);
  LinearState state;
  const bool bf16 = spec.arithmetic == Arithmetic::bf16;
  const std::int64_t x_row_bytes = x_stride_bytes(spec.in_features, 4);
  state.block_rows = std::clamp<std::int64_t>(kPanelBytes / x_row_bytes, 32, kMaxBlockRows);
  const std::int64_t shared_bytes = bf16 ? state.block_rows * x_row_bytes : 0;
  std::int64_t decoded_in = 0;
  for (int w = 0; w < spec.weights; ++w) {
    const WeightFormat& format = *spec.outputs[w].format;
    state.dots[w] = find_dot(*plain.kernels, spec.arithmetic, format);
    state.weight_row_bytes[w] = format.matrix_bytes(kStripRows, spec.in_features) / kStripRows;
    if (state.dots[w] == nullptr) decoded_in = spec.in_features;
  }
  CORBEL_ASSIGN(state.op,
                cpu_device(device).state(unit_memory_bytes(decoded_in), static_cast<std::size_t>(shared_bytes)));
  return Prepared<Linear>(spec, run_linear, std::make_shared<const LinearState>(std::move(state)));
}

}  // namespace

void add_linear_op(OpTable& table) { table.entry<Linear>().prepare = prepare_linear; }

}  // namespace corbel::cpu
