#pragma once
#include <string>
#include <string_view>

namespace corbel {

/// Processors that the CPU quota of a process's control groups allows, rounded up; 0 when there is no quota.
///
/// membership   text of /proc/self/cgroup
/// root         where the control groups are mounted, "/sys/fs/cgroup"
///
/// The tightest quota of the group and its ancestors counts: `cpu.max` (version 2), `cpu.cfs_quota_us` over
/// `cpu.cfs_period_us` (version 1). Unreadable files count as no quota.
int processors_of_quota(std::string_view membership, const std::string& root);

}  // namespace corbel
