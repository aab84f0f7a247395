#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

/// What the system says of pages, for tests of memory that is committed ahead.
namespace corbel {

inline constexpr std::size_t kTestPage = 4096;

/// Asked of the system itself, so that a test is left out for its age alone (before Linux 5.14).
inline bool system_commits_memory() {
  void* const raw = mmap(nullptr, kTestPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool commits = raw != MAP_FAILED && madvise(raw, kTestPage, MADV_POPULATE_WRITE) == 0;
  if (raw != MAP_FAILED) munmap(raw, kTestPage);
  return commits;
}

/// Is the page that has this byte in memory?
inline bool is_resident(const std::byte* at) {
  unsigned char found = 0;
  const auto page = reinterpret_cast<std::uintptr_t>(at) / kTestPage * kTestPage;
  return mincore(reinterpret_cast<void*>(page), kTestPage, &found) == 0 && (found & 1) != 0;
}

}  // namespace corbel
