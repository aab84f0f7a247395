#pragma once
#include "corbel/device/cpu/cpu_ops.h"

namespace corbel::cpu {

/// Linear in int8 arithmetic, for weights in packed formats. A format with kernels of its own at the level
/// (kernels/packed_*.cpp) runs on them, any other is unpacked by its codec.
Result<Prepared<Linear>> prepare_packed_linear(const Linear::Spec& spec, const Device& device);

}  // namespace corbel::cpu
