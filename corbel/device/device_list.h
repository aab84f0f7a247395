#pragma once
#include <memory>
#include <string>
#include <vector>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device.h"
#include "corbel/device/tuning.h"

namespace corbel {

struct DeviceSettings {
  MissingOps missing_ops = MissingOps::strict;
  std::string level;  // forces an ISA level ("v3"); empty: the best the machine has
  Tuning tuning;      // what Device::tune found; names that are missing have the device's defaults
};

/// A device that this program was linked with.
struct DeviceEntry {
  std::string name;
  /// The pool is borrowed and outlives the device.
  Result<std::unique_ptr<Device>> (*make)(const DeviceSettings& settings, ThreadPool& pool);
  /// Numerics levels this machine can run, best first.
  std::vector<std::string> (*levels)();
};

/// Generated from the build's list of device folders; applications and tests link it.
std::vector<DeviceEntry> linked_devices();

}  // namespace corbel
