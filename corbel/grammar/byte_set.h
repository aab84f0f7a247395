#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace corbel {

/// A set of bytes.
struct ByteSet {
  std::array<std::uint64_t, 4> words{};

  static ByteSet range(unsigned low, unsigned high) noexcept {
    ByteSet set;
    for (unsigned byte = low; byte <= high; ++byte) set.add(byte);
    return set;
  }
  static ByteSet all() noexcept { return range(0, 255); }

  void add(unsigned byte) noexcept { words[byte >> 6] |= std::uint64_t{1} << (byte & 63); }
  void remove(unsigned byte) noexcept { words[byte >> 6] &= ~(std::uint64_t{1} << (byte & 63)); }
  bool has(unsigned byte) const noexcept { return ((words[byte >> 6] >> (byte & 63)) & 1) != 0; }
  bool empty() const noexcept { return (words[0] | words[1] | words[2] | words[3]) == 0; }

  friend bool operator==(const ByteSet&, const ByteSet&) = default;
  friend ByteSet operator|(ByteSet a, const ByteSet& b) noexcept {
    for (std::size_t i = 0; i < 4; ++i) a.words[i] |= b.words[i];
    return a;
  }
  friend ByteSet operator&(ByteSet a, const ByteSet& b) noexcept {
    for (std::size_t i = 0; i < 4; ++i) a.words[i] &= b.words[i];
    return a;
  }
};

}  // namespace corbel
