#pragma once
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

/// The activations of corbel/ops/arithmetic.h, sixteen at a time with the same operations. Kernel sources only.
namespace corbel::cpu::CORBEL_ISA {

CORBEL_INLINE Floats silu(Floats x) {
  const Floats one = broadcast(1.0F);
  return div(x, add(one, exp(sub(zero(), x))));
}

CORBEL_INLINE Floats tanh(Floats x) {
  const Floats one = broadcast(1.0F);
  const Floats minus_one = broadcast(-1.0F);
  const Floats middle = sub(one, div(broadcast(2.0F), add(exp(mul(broadcast(2.0F), x)), one)));
  return select(less(broadcast(9.0F), x), one, select(less(x, broadcast(-9.0F)), minus_one, middle));
}

CORBEL_INLINE Floats gelu_tanh(Floats x) {
  const Floats cube = mul(mul(x, x), x);
  const Floats inner = mul(broadcast(0.7978845608F), fma(broadcast(0.044715F), cube, x));
  return mul(mul(broadcast(0.5F), x), add(broadcast(1.0F), tanh(inner)));
}

CORBEL_INLINE Floats relu(Floats x) { return select(less(zero(), x), x, select(unordered(x), x, zero())); }

CORBEL_INLINE Floats load_some(const float* p, int64_t lanes) {
  return lanes == kWidth ? load(p) : load_first(p, lanes);
}
CORBEL_INLINE void store_some(float* p, Floats a, int64_t lanes) {
  if (lanes == kWidth)
    store(p, a);
  else
    store_first(p, a, lanes);
}

}  // namespace corbel::cpu::CORBEL_ISA
