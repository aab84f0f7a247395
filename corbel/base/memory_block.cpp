#include "corbel/base/memory_block.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "corbel/base/thread_pool.h"

namespace corbel {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kPage = 4096;

std::size_t whole_pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

void unmap(std::byte* data, std::size_t bytes) { munmap(data, whole_pages(bytes)); }

}  // namespace

MemoryBlock& MemoryBlock::operator=(MemoryBlock&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(release_, other.release_);
  return *this;
}

MemoryBlock::~MemoryBlock() {
  if (data_ != nullptr && release_ != nullptr) release_(data_, bytes_);
}

Result<MemoryBlock> allocate_host_memory(std::size_t bytes) {
  if (bytes == 0) return MemoryBlock();
  // Room to move the start to a huge page's border; what is not needed goes back at once.
  const bool large = bytes >= kHugePage;
  const std::size_t kept = whole_pages(bytes);
  const std::size_t reserved = large ? kept + kHugePage : kept;
  if (reserved < bytes) return fail(Code::no_memory, cat("cannot map ", bytes, " bytes: more than an address space"));
  void* raw = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return fail(Code::no_memory, cat("cannot map ", bytes, " bytes: ", std::strerror(errno)));
  auto* begin = static_cast<std::byte*>(raw);
  if (!large) return MemoryBlock(begin, bytes, unmap);

  const std::size_t skip = (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  if (skip > 0) munmap(begin, skip);
  begin += skip;
  if (reserved - skip > kept) munmap(begin + kept, reserved - skip - kept);
  madvise(begin, kept, MADV_HUGEPAGE);  // advice: failing only costs speed
  return MemoryBlock(begin, bytes, unmap);
}

std::size_t commit_host_memory(std::span<std::byte> memory, ThreadPool& pool,
                               std::chrono::steady_clock::time_point end) noexcept {
  std::byte* const begin = memory.data();
  const std::size_t bytes = memory.size() / kPage * kPage;
  std::atomic<std::size_t> committed{0};
  pool.parallel_for(static_cast<std::int64_t>((bytes + kHugePage - 1) / kHugePage), [&](std::int64_t unit, int) {
    const std::size_t at = static_cast<std::size_t>(unit) * kHugePage;
    const std::size_t count = std::min(kHugePage, bytes - at);
    if (std::chrono::steady_clock::now() >= end || madvise(begin + at, count, MADV_POPULATE_WRITE) != 0) return;
    committed.fetch_add(count, std::memory_order_relaxed);
  });
  return committed.load(std::memory_order_relaxed);
}

}  // namespace corbel
