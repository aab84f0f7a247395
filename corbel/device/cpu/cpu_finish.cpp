#include "corbel/device/cpu/cpu_finish.h"

#include "corbel/ops/arithmetic.h"

namespace corbel::cpu {
namespace {

constexpr std::int64_t kLineFloats = 16;

#if defined(__x86_64__)
// In a state to be written, which the compiler would only do with a newer processor as its least.
void fetch_to_write(const float* at) noexcept { asm volatile("prefetchw %0" : : "m"(*at)); }
#else
void fetch_to_write(const float* at) noexcept { __builtin_prefetch(at, 1); }
#endif

}  // namespace

void fetch_outputs(const Linear::Spec& spec, const Linear::Args& call, const OutputSpan& span, std::int64_t rows,
                   std::int64_t count) noexcept {
  const Rows<float> out(call.out[span.weight]);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* const to = out[span.first_row + row] + span.begin;
    for (std::int64_t i = 0; i < count; i += kLineFloats) fetch_to_write(to + i);
    if (!spec.add_residual) continue;
    const float* const from = Rows<const float>(call.residual)[span.first_row + row] + span.begin;
    if (from == to) continue;
    for (std::int64_t i = 0; i < count; i += kLineFloats) __builtin_prefetch(from + i);
  }
}

void finish_outputs(const Linear::Spec& spec, const Linear::Args& call, const PackedKernels& kernels,
                    const OutputSpan& span, FinishArgs args) noexcept {
  const auto bias = [&](int weight) {
    return spec.outputs[weight].has_bias ? static_cast<const float*>(call.biases[weight].data) + span.begin : nullptr;
  };
  args.bias = bias(span.weight);
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
  const Rows<float> out(call.out[span.weight]);
  args.out = out[span.first_row] + span.begin;
  args.out_stride = call.out[span.weight].row_stride;
  if (spec.add_residual) {
    args.residual = Rows<const float>(call.residual)[span.first_row] + span.begin;
    args.residual_stride = call.residual.row_stride;
  }
  kernels.finish(args);
}

}  // namespace corbel::cpu
