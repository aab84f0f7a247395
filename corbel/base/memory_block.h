#pragma once
#include <chrono>
#include <cstddef>
#include <span>

#include "corbel/base/result.h"

namespace corbel {

class ThreadPool;

/// A block of memory and the way to give it back. Moves; does not copy.
class MemoryBlock {
 public:
  using Release = void (*)(std::byte* data, std::size_t bytes);

  MemoryBlock() = default;
  MemoryBlock(std::byte* data, std::size_t bytes, Release release) noexcept
      : data_(data), bytes_(bytes), release_(release) {}
  MemoryBlock(MemoryBlock&& other) noexcept { *this = std::move(other); }
  MemoryBlock& operator=(MemoryBlock&& other) noexcept;
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;
  ~MemoryBlock();

  std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Release release_ = nullptr;
};

/// Zeroed host memory, committed when first touched; a large block starts at a 2 MB border and asks for 2 MB pages.
Result<MemoryBlock> allocate_host_memory(std::size_t bytes);

/// Commits host memory now, from its beginning on, in place of at the first touch; no value changes. Whoever is timed
/// does not pay for it: a virtual machine whose host has to find the pages may take 2 ms for each MB. Nothing
/// is begun after `end`. Returns how many bytes were committed: 0 where the system knows no such call (before Linux
/// 5.14), which only costs speed.
std::size_t commit_host_memory(std::span<std::byte> memory, ThreadPool& pool,
                               std::chrono::steady_clock::time_point end) noexcept;

}  // namespace corbel
