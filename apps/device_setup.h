#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "apps/command_line.h"
#include "corbel/base/thread_pool.h"
#include "corbel/blocks/block.h"
#include "corbel/device/device_list.h"

namespace corbel::app {

/// What the flags say about where and how to run; the same for every command that runs a model.
struct DeviceChoice {
  std::string device;  // empty: the first one this program was linked with
  std::string missing_ops = "strict";
  std::string strategy = "balanced";
  std::string kv_cache = "auto";
  std::optional<std::int64_t> threads;

  void add_flags(CommandLine& line);
  /// Refuses values out of range, before anything is loaded: wrong usage.
  Result<void> validate() const;
  Strategy chosen_strategy() const;
  std::optional<DType> chosen_kv_cache() const;  // empty: auto
};

/// A device and the threads it borrows.
struct OpenDevice {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Device> device;
  std::filesystem::path tuning;  // where this device's tuning is kept; empty: nowhere
};

/// Makes the device: one of the linked ones, or "reference". CORBEL_CPU_ISA forces an ISA level.
Result<OpenDevice> open_device(const DeviceChoice& choice);

}  // namespace corbel::app
