#include "corbel/engine/memory_plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>

#include "corbel/engine/page_pool.h"

namespace corbel {
namespace {

/// The beginning of a small file of the kernel's; empty if it cannot be read.
std::string read_kernel_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (file == nullptr) return {};
  std::array<char, 16384> text{};
  return {text.data(), std::fread(text.data(), 1, text.size(), file.get())};
}

/// The first number at or after the start of `text`; nothing for "max".
std::optional<std::int64_t> number_at(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  std::int64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return std::nullopt;
  return value;
}

/// The number after `key` at the start of a line: "MemAvailable:    123 kB", "inactive_file 4096".
std::optional<std::int64_t> field(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(key)) return number_at(line.substr(key.size()));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return std::nullopt;
}

/// A group's limit and what is left of it; nothing when it has none. File cache of the group counts as free: the kernel
/// gives it up before it kills.
struct GroupRoom {
  std::int64_t limit = 0;
  std::int64_t left = 0;
};
std::optional<GroupRoom> room_of_group(const std::string& folder, bool version_2) {
  const auto limit = number_at(read_kernel_file(folder + (version_2 ? "/memory.max" : "/memory.limit_in_bytes")));
  // Version 1 writes "no limit" as a number near 2^63.
  if (!limit || *limit >= std::int64_t{1} << 60) return std::nullopt;
  const auto used = number_at(read_kernel_file(folder + (version_2 ? "/memory.current" : "/memory.usage_in_bytes")));
  const std::string statistics = read_kernel_file(folder + "/memory.stat");
  std::int64_t cache = 0;
  for (const std::string_view list : {"inactive_file ", "active_file "}) {
    const auto total = version_2 ? std::nullopt : field(statistics, cat("total_", list));
    cache += total.value_or(field(statistics, list).value_or(0));
  }
  return GroupRoom{*limit, std::max<std::int64_t>(0, *limit - std::max<std::int64_t>(0, used.value_or(0) - cache))};
}

/// The tightest room from `group` ("/a/b") up to the mount's root.
std::optional<GroupRoom> room_of_path(const std::string& mount, std::string group, bool version_2) {
  std::optional<GroupRoom> tightest;
  while (true) {
    const auto room = room_of_group(mount + (group == "/" ? "" : group), version_2);
    if (room && (!tightest || room->left < tightest->left)) tightest = room;
    if (group.empty() || group == "/") return tightest;
    const std::size_t slash = group.rfind('/');
    group.resize(slash == std::string::npos ? 0 : slash);
  }
}

}  // namespace

std::int64_t AvailableMemory::bytes() const noexcept {
  if (machine_bytes < 0) return group_bytes;
  if (group_bytes < 0) return machine_bytes;
  return std::min(machine_bytes, group_bytes);
}

AvailableMemory available_memory(std::string_view meminfo, std::string_view membership, const std::string& group_root) {
  AvailableMemory available;
  if (const auto kilobytes = field(meminfo, "MemAvailable:")) available.machine_bytes = *kilobytes * 1024;
  while (!membership.empty()) {
    const std::size_t end = std::min(membership.find('\n'), membership.size());
    const std::string_view line = membership.substr(0, end);  // "0::/group" or "9:memory:/group"
    membership.remove_prefix(std::min(end + 1, membership.size()));
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool version_2 = controllers.empty();
    if (!version_2 && controllers != "memory") continue;
    const auto room =
        room_of_path(version_2 ? group_root : group_root + "/memory", std::string(line.substr(second + 1)), version_2);
    if (!room || (available.group_bytes >= 0 && available.group_bytes <= room->left)) continue;
    available.group_bytes = room->left;
    available.group_limit_bytes = room->limit;
  }
  return available;
}

AvailableMemory available_memory() {
  return available_memory(read_kernel_file("/proc/meminfo"), read_kernel_file("/proc/self/cgroup"), "/sys/fs/cgroup");
}

std::string MemoryPlan::summary() const {
  std::string text =
      cat("memory: weights ", bytes_text(weight_bytes), " + KV ", bytes_text(kv_bytes), " (", context_tokens,
          " tokens) + scratch ", bytes_text(scratch_bytes), " = ", bytes_text(total_bytes()));
  if (available.machine_bytes >= 0) text += cat("; available ", bytes_text(available.machine_bytes));
  if (available.group_bytes >= 0) {
    text += cat(", cgroup ", bytes_text(available.group_bytes), " of ", bytes_text(available.group_limit_bytes));
  }
  return text;
}

Result<void> MemoryPlan::check(std::string_view flag) const {
  if (fits()) return {};
  const std::string next = longest_context_tokens > 0
                               ? cat("the longest context that fits is ", longest_context_tokens, " tokens: ", flag,
                                     ' ', longest_context_tokens)
                               : cat("no context fits; the weights alone are ", bytes_text(weight_bytes));
  return fail(Code::no_memory, cat(summary(), ". That does not fit; ", next));
}

MemoryPlan plan_memory(const TextModel& model, const RunnerLimits& limits, const AvailableMemory& available) {
  const RunnerMemory memory = StepRunner::measure(model, limits);
  MemoryPlan plan{.weight_bytes = model.info().weight_bytes + model.info().owned_bytes,
                  .kv_bytes = memory.kv_bytes,
                  .scratch_bytes = memory.scratch_bytes,
                  .context_tokens = limits.context_tokens,
                  .longest_context_tokens = limits.context_tokens,
                  .available = available};
  if (plan.fits()) return plan;
  const std::int64_t left = available.bytes() - plan.weight_bytes - plan.scratch_bytes;
  const std::int64_t page_bytes = model.info().cache.bytes_per_page() * limits.sequences;
  const std::int64_t pages = left > 0 && page_bytes > 0 ? left / page_bytes : 0;
  plan.longest_context_tokens = std::min(pages * kPageTokens, limits.context_tokens);
  return plan;
}

}  // namespace corbel
