#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "corbel/base/bytes_text.h"
#include "corbel/engine/step_runner.h"

namespace corbel {

/// Memory that this process may still take. Negative limit: none is set.
struct AvailableMemory {
  std::int64_t machine_bytes = -1;      // MemAvailable: free, or file cache that the kernel would give up
  std::int64_t group_bytes = -1;        // left of the tightest control group, its own file cache counted as free
  std::int64_t group_limit_bytes = -1;  // that group's limit
  /// The smaller of the two; -1 when nothing is known.
  std::int64_t bytes() const noexcept;
};

/// Reads what the kernel says. Anything unreadable counts as unknown.
///
/// meminfo      text of /proc/meminfo
/// membership   text of /proc/self/cgroup
/// group_root   where the control groups are mounted, "/sys/fs/cgroup"; version 2 (memory.max) and 1
///              (memory.limit_in_bytes), every ancestor looked at
AvailableMemory available_memory(std::string_view meminfo, std::string_view membership, const std::string& group_root);

/// The same of this machine and process.
AvailableMemory available_memory();

/// What running a model takes, beside what there is.
struct MemoryPlan {
  std::int64_t weight_bytes = 0;  // mapped files and private copies
  std::int64_t kv_bytes = 0;
  std::int64_t scratch_bytes = 0;
  std::int64_t context_tokens = 0;
  std::int64_t longest_context_tokens = 0;  // that would fit, in whole pages; 0: none does
  AvailableMemory available;

  std::int64_t total_bytes() const noexcept { return weight_bytes + kv_bytes + scratch_bytes; }
  bool fits() const noexcept { return available.bytes() < 0 || total_bytes() <= available.bytes(); }
  /// "weights 2.47 GB + KV 0.13 GB (4096 tokens) + scratch 0.02 GB = 2.62 GB; available 14.1 GB, cgroup 7.9 of 8.0 GB"
  std::string summary() const;
  /// Refuses a plan that does not fit, with the longest context that would. `flag` asks for a context.
  Result<void> check(std::string_view flag = "--context") const;
};

MemoryPlan plan_memory(const TextModel& model, const RunnerLimits& limits, const AvailableMemory& available);

}  // namespace corbel
