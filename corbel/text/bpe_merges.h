#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "corbel/text/vocabulary.h"

namespace corbel {

/// Which two adjacent symbols merge, in which order, into what; and the merging itself. Built once, then read by any
/// thread.
class BpeMerges {
 public:
  static constexpr std::uint32_t kNoRank = ~0U;

  struct Merge {
    std::uint64_t pair = kNoPair;  // left id << 32 | right id
    std::uint32_t rank = kNoRank;
    std::int32_t id = kNoToken;
  };

  BpeMerges() : slots_(64) {}

  /// Makes room for `count` merges.
  void reserve(std::size_t count);

  /// Lower ranks merge first; the same pair again takes the later rank and id. REQUIRES: ids >= 0, rank < kNoRank.
  void set(std::int32_t left, std::int32_t right, std::int32_t id, std::uint32_t rank);

  /// Brings the pair's slot into the cache, for a set() or find() that follows some work later.
  void prefetch(std::int32_t left, std::int32_t right) const noexcept {
    __builtin_prefetch(&slots_[home_of(pair_of(left, right))]);
  }

  /// rank is kNoRank where the two do not merge.
  const Merge& find(std::int32_t left, std::int32_t right) const noexcept {
    return slots_[slot_of(pair_of(left, right))];
  }

  /// Merges `count` symbols in place: the adjacent pair of lowest rank, the leftmost of equals, until no pair has a
  /// rank. Returns how many are left. Time: n log n at worst, about n in a long run of what merges often.
  std::size_t merge(std::int32_t* ids, std::size_t count) const;

  std::size_t size() const noexcept { return size_; }

  /// As it stands, and back. load() refuses ids that `vocabulary` lacks and slots that would not end a search.
  void save(FlatWriter& to) const { to.put(slots_); }
  static Result<BpeMerges> load(FlatReader& from, const Vocabulary& vocabulary);

 private:
  static constexpr std::uint64_t kNoPair = ~0ULL;

  static std::uint64_t pair_of(std::int32_t left, std::int32_t right) noexcept {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
  }
  std::size_t home_of(std::uint64_t pair) const noexcept {
    std::uint64_t hash = pair * 0x9E3779B97F4A7C15ULL;  // Fibonacci hashing; the upper half carries the spread
    hash ^= hash >> 32;
    return hash & (slots_.size() - 1);
  }
  std::size_t slot_of(std::uint64_t pair) const noexcept {
    std::size_t at = home_of(pair);
    while (slots_[at].pair != pair && slots_[at].pair != kNoPair) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  void grow(std::size_t slots);
  std::size_t merge_short(std::int32_t* ids, std::size_t count) const noexcept;
  std::size_t merge_by_heap(std::int32_t* ids, std::size_t count) const;
  std::size_t merge_by_rank(std::int32_t* ids, std::size_t count) const;

  std::vector<Merge> slots_;  // open addressing, a power of two, at most 3/4 full
  std::size_t size_ = 0;
  std::uint32_t rank_limit_ = 0;  // largest rank + 1
};

}  // namespace corbel
