#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace corbel {

/// Remembers the ids of short pieces of text: most words of a text came before. A table of 32-byte entries, one per
/// slot, half a megabyte in all (it should stay in a core's second cache). One thread at a time.
class PieceCache {
 public:
  static constexpr std::size_t kMaxBytes = 15;

  /// A piece of 1 to kMaxBytes bytes, its size and what it is asked for (`kind`, 0 or 1), in two words.
  struct Key {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
  };

  PieceCache();

  /// `readable_end`: the end of the text that `piece` is part of.
  static Key key_of(std::string_view piece, const char* readable_end, unsigned kind) noexcept {
    std::uint64_t words[2] = {0, 0};
    if (readable_end - piece.data() >= 16) {
      std::memcpy(words, piece.data(), 16);
      words[0] &= kMasks[piece.size()];
      words[1] &= kMasks[piece.size() + 17];
    } else {
      std::memcpy(words, piece.data(), piece.size());
    }
    return {words[0], words[1] | ((piece.size() | (kind << 7)) << 56)};
  }

  /// The ids of the piece; data() is null when it is not known.
  std::span<const std::int32_t> find(Key key) const noexcept {
    const Entry& entry = entries_[slot_of(key)];
    if (entry.low != key.low || entry.high != key.high) return {};
    if (entry.count <= kInline) return {entry.ids, entry.count};
    return {long_ids_.data() + entry.ids[0], entry.count};
  }

  /// Forgets what stood in the same slot.
  void keep(Key key, std::span<const std::int32_t> ids) noexcept;

 private:
  static constexpr int kSlotBits = 14;
  static constexpr std::size_t kInline = 3;
  static constexpr std::size_t kMaxLongIds = 1 << 16;

  struct Entry {
    std::uint64_t low = 0;
    std::uint64_t high = 0;  // 0 in an empty slot: the size stands in its upper byte
    std::uint32_t count = 0;
    std::int32_t ids[kInline] = {};  // more than kInline: ids[0] is where they stand in long_ids_
  };
  static_assert(sizeof(Entry) == 32);

  static constexpr std::array<std::uint64_t, 34> kMasks = [] {
    std::array<std::uint64_t, 34> masks{};
    for (std::size_t size = 0; size <= 16; ++size) {
      masks[size] = size >= 8 ? ~0ULL : (1ULL << (8 * size)) - 1;
      masks[size + 17] = size <= 8 ? 0 : size == 16 ? ~0ULL : (1ULL << (8 * (size - 8))) - 1;
    }
    return masks;
  }();

  static std::size_t slot_of(Key key) noexcept {
    // Two odd constants (2^64 / golden ratio and a neighbour of it); the product's top bits depend on all of the key's.
    const std::uint64_t hash = (key.low ^ (key.high * 0xD6E8FEB86659FD93ULL)) * 0x9E3779B97F4A7C15ULL;
    return static_cast<std::size_t>((hash ^ (hash >> 29)) * 0x9E3779B97F4A7C15ULL >> (64 - kSlotBits));
  }

  std::vector<Entry> entries_;
  std::vector<std::int32_t> long_ids_;  // never grows: kMaxLongIds are reserved
};

/// Caches between calls: a call takes one, or makes one, and gives it back. Any number of threads, no lock.
class PieceCachePool {
 public:
  PieceCachePool() = default;
  PieceCachePool(const PieceCachePool&) = delete;
  PieceCachePool& operator=(const PieceCachePool&) = delete;
  ~PieceCachePool();

  std::unique_ptr<PieceCache> take();
  void give_back(std::unique_ptr<PieceCache> cache) noexcept;

 private:
  std::array<std::atomic<PieceCache*>, 8> spare_{};  // more than these are freed
};

}  // namespace corbel
