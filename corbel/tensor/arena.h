#pragma once
#include <cstddef>
#include <cstdint>

#include "corbel/tensor/view.h"

namespace corbel {

/// Stack of scratch memory with a fixed capacity; or, without memory, a measuring tape that hands out addresses nobody
/// may touch and remembers the peak. A forward pass is run once on a measuring arena, then with an arena of that size:
/// no step allocates. One thread only.
class Arena {
 public:
  static constexpr std::size_t kAlignment = 64;  // a cache line, and one zmm register

  /// Measures only.
  Arena() noexcept = default;
  /// Hands out parts of [base, base + capacity); the memory stays the caller's.
  Arena(std::byte* base, std::size_t capacity_bytes) noexcept : base_(base), capacity_(capacity_bytes) {}

  bool measuring() const noexcept { return base_ == nullptr; }
  std::size_t peak_bytes() const noexcept { return peak_; }

  TensorView allocate(DType dtype, const Shape& shape) noexcept;

  std::size_t mark() const noexcept { return used_; }
  void release(std::size_t mark) noexcept { used_ = mark; }

 private:
  std::byte* base_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
};

/// Gives back, at the end of a scope, all that was taken since its beginning.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) noexcept : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.release(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  std::size_t mark_;
};

}  // namespace corbel
