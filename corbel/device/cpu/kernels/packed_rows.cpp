#include "corbel/device/cpu/kernels/activations.h"
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

// What follows the dot products.

namespace corbel::cpu::CORBEL_ISA {
namespace {

// Rows of outputs and residuals are far apart, where no processor looks for them by itself.
constexpr int64_t kRowsAhead = 6;

/// One row of a range of outputs.
template <typename Activate>
CORBEL_INLINE void finish_row(const FinishArgs& args, int64_t row, Activate activate) {
  const float* const dots = args.dots + row * args.stride;
  const float* const up = args.up == nullptr ? nullptr : args.up + row * args.stride;
  const float* const residual = args.residual == nullptr ? nullptr : args.residual + row * args.residual_stride;
  float* const out = args.out + row * args.out_stride;
  if (row + kRowsAhead < args.rows) {
    for (int64_t i = 0; i < args.count; i += 16) {
      __builtin_prefetch(out + kRowsAhead * args.out_stride + i);
      if (residual != nullptr) __builtin_prefetch(residual + kRowsAhead * args.residual_stride + i);
    }
  }
  for (int64_t i = 0; i < args.count; i += kWidth) {
    const int64_t lanes = args.count - i < kWidth ? args.count - i : kWidth;
    Floats value = load_some(dots + i, lanes);
    if (args.bias != nullptr) value = add(value, load_some(args.bias + i, lanes));
    value = activate(value);
    if (up != nullptr) {
      Floats other = load_some(up + i, lanes);
      if (args.up_bias != nullptr) other = add(other, load_some(args.up_bias + i, lanes));
      value = mul(value, other);
    }
    if (residual != nullptr) value = add(load_some(residual + i, lanes), value);
    store_some(out + i, value, lanes);
  }
}

void finish(const FinishArgs& args) {
  const auto rows = [&](auto activate) __attribute__((always_inline)) {
    for (int64_t row = 0; row < args.rows; ++row) finish_row(args, row, activate);
  };
  if (args.function == static_cast<int32_t>(Function::silu))
    rows([](Floats x) __attribute__((always_inline)) { return silu(x); });
  else if (args.function == static_cast<int32_t>(Function::gelu_tanh))
    rows([](Floats x) __attribute__((always_inline)) { return gelu_tanh(x); });
  else if (args.function == static_cast<int32_t>(Function::relu))
    rows([](Floats x) __attribute__((always_inline)) { return relu(x); });
  else
    rows([](Floats x) __attribute__((always_inline)) { return x; });
}

}  // namespace

void add_packed_rows(Kernels& table) { table.packed.finish = finish; }

}  // namespace corbel::cpu::CORBEL_ISA
