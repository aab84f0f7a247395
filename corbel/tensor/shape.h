#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "corbel/base/check.h"

namespace corbel {

/// Up to five sizes (a video encoder's patch kernel has them), slowest axis first. A value type; never allocates.
class Shape {
 public:
  static constexpr int kMaxRank = 5;

  constexpr Shape() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): reads as {rows, hidden}
  constexpr Shape(std::initializer_list<std::int64_t> sizes) {
    CORBEL_CHECK(sizes.size() <= kMaxRank, "rank ", sizes.size(), " exceeds ", kMaxRank);
    for (const std::int64_t size : sizes) sizes_[rank_++] = size;
  }
  explicit Shape(std::span<const std::int64_t> sizes) {
    CORBEL_CHECK(sizes.size() <= kMaxRank, "rank ", sizes.size(), " exceeds ", kMaxRank);
    for (const std::int64_t size : sizes) sizes_[rank_++] = size;
  }

  constexpr int rank() const noexcept { return rank_; }
  constexpr std::int64_t operator[](int axis) const noexcept { return sizes_[axis]; }
  constexpr std::int64_t& operator[](int axis) noexcept { return sizes_[axis]; }
  constexpr std::int64_t elements() const noexcept {
    std::int64_t product = 1;
    for (int axis = 0; axis < rank_; ++axis) product *= sizes_[axis];
    return product;
  }
  constexpr bool operator==(const Shape& other) const noexcept {
    if (rank_ != other.rank_) return false;
    for (int axis = 0; axis < rank_; ++axis)
      if (sizes_[axis] != other.sizes_[axis]) return false;
    return true;
  }

 private:
  std::array<std::int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

/// "[4096, 512]"
std::string to_string(const Shape& shape);

}  // namespace corbel
