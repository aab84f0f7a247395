#include "corbel/base/processors.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>

#include "corbel/base/thread_pool.h"

namespace corbel {
namespace {

/// The beginning of a small file; empty if it cannot be read.
std::string read_small_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (file == nullptr) return {};
  char text[4096];
  return std::string(text, std::fread(text, 1, sizeof text, file.get()));
}

std::optional<double> leading_number(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

/// Processors of one group's quota; 0 when it has none.
double quota_of_group(const std::string& folder, bool version_2) {
  std::string quota_text;
  std::string period_text;
  if (version_2) {
    quota_text = read_small_file(folder + "/cpu.max");  // "max 100000" or "150000 100000"
    if (const auto blank = quota_text.find(' '); blank != std::string::npos) period_text = quota_text.substr(blank);
  } else {
    quota_text = read_small_file(folder + "/cpu.cfs_quota_us");  // -1: none
    period_text = read_small_file(folder + "/cpu.cfs_period_us");
  }
  const auto quota = leading_number(quota_text);
  const auto period = leading_number(period_text);
  if (!quota || !period || *quota <= 0 || *period <= 0) return 0;
  return *quota / *period;
}

/// The tightest quota from `group` ("/a/b") up to the mount's root.
double quota_of_path(const std::string& mount, std::string group, bool version_2) {
  double tightest = 0;
  while (true) {
    const double quota = quota_of_group(mount + (group == "/" ? "" : group), version_2);
    if (quota > 0 && (tightest == 0 || quota < tightest)) tightest = quota;
    if (group.empty() || group == "/") return tightest;
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

bool names_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    const auto comma = controllers.find(',');
    if (controllers.substr(0, comma) == "cpu") return true;
    if (comma == std::string_view::npos) return false;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

int processors_of_quota(std::string_view membership, const std::string& root) {
  double tightest = 0;
  while (!membership.empty()) {
    const auto end = std::min(membership.find('\n'), membership.size());
    const std::string_view line = membership.substr(0, end);  // "0::/group" or "4:cpu,cpuacct:/group"
    membership.remove_prefix(std::min(end + 1, membership.size()));
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string group(line.substr(second + 1));
    double quota = 0;
    if (controllers.empty()) {
      quota = quota_of_path(root, group, true);
    } else if (names_cpu(controllers)) {
      quota = quota_of_path(root + "/" + std::string(controllers), group, false);
      if (quota == 0) quota = quota_of_path(root + "/cpu", group, false);
    }
    if (quota > 0 && (tightest == 0 || quota < tightest)) tightest = quota;
  }
  if (tightest == 0) return 0;
  const int whole = static_cast<int>(std::min(tightest, 1e6));
  return whole + (static_cast<double>(whole) < tightest ? 1 : 0);
}

int usable_processors() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  int processors = 1;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) processors = std::max(1, CPU_COUNT(&mask));
  const int quota = processors_of_quota(read_small_file("/proc/self/cgroup"), "/sys/fs/cgroup");
  return quota > 0 ? std::min(processors, quota) : processors;
}

}  // namespace corbel
