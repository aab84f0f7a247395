#pragma once
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/device/cpu/kernels/kernels.h"

namespace corbel::cpu {

/// Kernels of the levels that this machine can run, best first.
const std::vector<Kernels>& usable_levels();

/// By name; an empty name is the best one. An unknown or unsupported level is refused with those the machine has.
Result<const Kernels*> find_level(std::string_view name);

/// AMX measures; all null where the machine has no AMX.
TileProbes usable_tile_probes();

}  // namespace corbel::cpu
