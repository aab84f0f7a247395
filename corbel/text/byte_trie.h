#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace corbel {

/// Keys of bytes in a double array: which keys does a text begin with? One memory access per byte; where a single key
/// is left, its remaining bytes are compared at once. Built once, then read by any thread.
/// Source: Aoe 1989, "An efficient digital search algorithm by using a double-array structure".
class ByteTrie {
 public:
  struct Key {
    std::string_view bytes;
    std::int32_t value = 0;  // >= 0
  };
  struct Match {
    std::size_t bytes = 0;  // 0: none
    std::int32_t value = -1;
  };

  ByteTrie() : ByteTrie(std::vector<Key>{}) {}

  /// Keys must differ from each other and need not live on. An empty key never matches.
  explicit ByteTrie(const std::vector<Key>& keys);

  /// Calls visit(length, value) for each key that `text` begins with, the shortest first.
  template <typename Visit>
  void each_prefix(std::string_view text, Visit&& visit) const noexcept {
    std::uint32_t node = 0;
    std::uint32_t base = units_[0].base;
    for (std::size_t at = 0; at < text.size();) {
      const std::uint32_t next = base ^ static_cast<std::uint8_t>(text[at]);
      const Unit& unit = units_[next];
      if (unit.parent != node) return;
      ++at;
      if (unit.value >= 0) {
        visit(at, unit.value);
      } else if (unit.value != kNoValue) {
        const Tail& tail = tails_[static_cast<std::size_t>(kFirstTail - unit.value)];
        const std::string_view rest = std::string_view(tail_bytes_).substr(tail.begin, tail.bytes);
        if (text.substr(at).starts_with(rest)) visit(at + rest.size(), tail.value);
        return;
      }
      node = next;
      base = unit.base;
    }
  }

  Match longest(std::string_view text) const noexcept {
    Match best;
    each_prefix(text, [&](std::size_t bytes, std::int32_t value) { best = {bytes, value}; });
    return best;
  }

 private:
  static constexpr std::uint32_t kNoParent = ~0U;
  static constexpr std::int32_t kNoValue = -1;
  static constexpr std::int32_t kFirstTail = -2;  // a value of -2 - i means tails_[i]

  /// Child `byte` of node n is at units_[n].base ^ byte, if that unit says that n is its parent. Bases may be shared.
  struct Unit {
    std::uint32_t base = 0;
    std::uint32_t parent = kNoParent;
    std::int32_t value = kNoValue;
  };
  struct Tail {
    std::uint32_t begin;  // in tail_bytes_
    std::uint32_t bytes;
    std::int32_t value;
  };
  class Builder;

  std::vector<Unit> units_;  // a multiple of 256, so that base ^ byte is always inside
  std::vector<Tail> tails_;
  std::string tail_bytes_;
};

}  // namespace corbel
