#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "corbel/base/log.h"
#include "corbel/base/memory_block.h"
#include "corbel/device/op_table.h"
#include "corbel/device/tuning.h"

namespace corbel {

class ThreadPool;
struct LimitSettings;
struct MachineLimits;

/// What to do when a device lacks an op.
enum class MissingOps {
  strict,     // refuse by name
  reference,  // run the op's reference on the host, and log it once per op
};

struct DeviceInfo {
  std::string name;   // "cpu", "reference", "null"
  std::string level;  // numerics profile within the device: "avx512bf16", "v3", ...; empty if there is one only
  bool has_bf16_dot = false;
  int threads = 1;

  /// "cpu/avx512bf16": device plus level, as receipts name it.
  std::string profile() const { return level.empty() ? name : name + "/" + level; }
};

/// Memory of a device, freed with the object.
using DeviceMemory = MemoryBlock;

/// A place where ops run. Stateless between steps but for its threads and memory; made by applications, passed by
/// reference.
class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const noexcept { return info_; }
  const OpTable& table() const noexcept { return table_; }
  ThreadPool* pool() const noexcept { return pool_; }

  /// Zeroed memory that this device's ops can read and write.
  virtual Result<DeviceMemory> allocate(std::size_t bytes) { return allocate_host_memory(bytes); }
  /// Waits for everything enqueued since the last finish; the only wait, and the only place where a device's error
  /// appears.
  virtual Result<void> finish() { return {}; }
  /// Measures what the device can do at best (corbel/device/limits.h); takes about a second and much memory.
  virtual Result<MachineLimits> measure_limits(const LimitSettings& settings);
  /// Tries what moves speed and never a bit (corbel/device/tuning.h); takes some seconds.
  virtual Result<TuningReport> tune(const TuningProgress& progress);

  /// Checks the spec and readies the op: by the device's entry, or by policy when it has none.
  template <typename Op>
  Result<Prepared<Op>> prepare(const typename Op::Spec& spec) const;

 protected:
  explicit Device(DeviceInfo info, MissingOps missing, ThreadPool* pool = nullptr)
      : info_(std::move(info)), missing_(missing), pool_(pool) {}
  OpTable table_;

 private:
  Result<void> refuse_or_log_missing(std::string_view op) const;
  DeviceInfo info_;
  MissingOps missing_;
  ThreadPool* pool_;
};

/// Runs an op's reference in place of a kernel.
template <typename Op>
void run_reference(const Prepared<Op>& self, const typename Op::Args& args, RunContext&) noexcept {
  Op::reference(self.spec(), args);
}

template <typename Op>
Result<Prepared<Op>> Device::prepare(const typename Op::Spec& spec) const {
  CORBEL_TRY(Op::check(spec));
  if (const auto& entry = table_.template entry<Op>(); entry.prepare != nullptr) return entry.prepare(spec, *this);
  CORBEL_TRY(refuse_or_log_missing(Op::kName));
  return Prepared<Op>(spec, run_reference<Op>);
}

/// The empty table that already runs: every op is its reference, on the calling thread.
std::unique_ptr<Device> make_reference_device();

/// Prepares and does nothing: measures scratch, counts, checks wiring. Outputs are left as they are.
std::unique_ptr<Device> make_null_device();

}  // namespace corbel
