#pragma once
#include <cstdint>
#include <vector>

#include "corbel/base/result.h"

namespace corbel {

/// Pages that one sequence holds: per cache group, page i has the tokens 64 i .. 64 i + 63.
struct SequencePages {
  std::vector<std::vector<std::int32_t>> groups;
};

/// Hands out cache pages and takes them back. Owns page numbers, not memory. A page may have several users (a shared
/// prefix) and is free again when the last one is gone. One thread only: the scheduler's.
/// Always true, per group: free + used == total.
class PagePool {
 public:
  PagePool(int groups, std::int64_t pages_per_group);

  std::int64_t total() const noexcept { return total_; }
  std::int64_t free_pages(int group) const noexcept { return static_cast<std::int64_t>(free_[group].size()); }
  std::int64_t used_pages(int group) const noexcept { return total_ - free_pages(group); }
  std::int32_t users(int group, std::int32_t page) const noexcept { return users_[group][page]; }

  /// Gives `sequence` enough pages for `tokens` tokens in every group; keeps what it has. Refuses, changing nothing,
  /// when a group has too few free pages.
  Result<void> grow(SequencePages& sequence, std::int64_t tokens);

  /// Would grow() do it? Says no without words: schedulers ask at every step.
  bool has_room(const SequencePages& sequence, std::int64_t tokens) const noexcept;

  /// Takes back the pages beyond `tokens` tokens, last first. A shared page stays with its other users.
  void shrink(SequencePages& sequence, std::int64_t tokens) noexcept;

  /// A second sequence that sees the first `tokens` tokens of `sequence`: whole pages only (tokens % 64 == 0).
  SequencePages share(const SequencePages& sequence, std::int64_t tokens);

  /// One more user of a page that has some, and one less.
  void retain(int group, std::int32_t page) noexcept;
  void release(int group, std::int32_t page) noexcept;

 private:
  std::int64_t total_;
  std::vector<std::vector<std::int32_t>> free_;   // per group, the next page to give at the back
  std::vector<std::vector<std::int32_t>> users_;  // per group and page
};

/// Pages that `tokens` tokens need.
std::int64_t pages_of_tokens(std::int64_t tokens) noexcept;

}  // namespace corbel
