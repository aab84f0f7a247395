#pragma once
#include "corbel/device/cpu/cpu_ops.h"

namespace corbel::cpu {

/// Whether the level has kernels for all weights of this Linear: strips of floats, in f32 or bf16 arithmetic.
bool has_strip_kernels(const Linear::Spec& spec, const Kernels& kernels);

/// Linear with strips of floats. REQUIRES: has_strip_kernels.
Result<Prepared<Linear>> prepare_strip_linear(const Linear::Spec& spec, const Device& device);

}  // namespace corbel::cpu
