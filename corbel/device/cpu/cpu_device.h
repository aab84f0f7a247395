#pragma once
#include <memory>
#include <string>
#include <vector>

#include "corbel/device/device_list.h"

namespace corbel {

/// The processor: every op, on the pool's threads, at one ISA level. settings.level names the level; when it is empty,
/// the environment's CORBEL_CPU_ISA does; when that is empty too, it is the best one the machine has. A level that is
/// unknown or that the machine lacks is refused.
Result<std::unique_ptr<Device>> make_cpu_device(const DeviceSettings& settings, ThreadPool& pool);

/// Levels with kernels of their own that this machine can run, best first: of "avx512bf16", "avx512", "v3" (AVX2),
/// "v2".
std::vector<std::string> cpu_device_levels();

}  // namespace corbel
