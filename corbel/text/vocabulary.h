#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/text/flat_tables.h"

namespace corbel {

inline constexpr std::int32_t kNoToken = -1;

/// Tokens by id and ids by token, in flat arrays. Ids may have holes. Built once, then read by any thread.
class Vocabulary {
 public:
  static constexpr std::int64_t kMaxTokens = 1 << 22;
  static constexpr std::size_t kMaxTokenBytes = 1 << 16;

  /// Makes room for `tokens` tokens of `bytes` bytes together.
  void reserve(std::size_t tokens, std::size_t bytes);

  /// Refuses an id outside [0, kMaxTokens), an id or a token that is there already, a token longer than kMaxTokenBytes.
  /// `field` names the place in messages ("model.vocab").
  Result<void> add(std::string_view token, std::int64_t id, std::string_view field);

  /// kNoToken where there is none.
  std::int32_t find(std::string_view token) const noexcept;

  /// The same in three steps, for callers with several tokens to find: prefetch() brings the slot of a hash (by
  /// hash_bytes()) into the cache, prefetch_text() what the slot points to.
  void prefetch(std::uint64_t hash) const noexcept;
  void prefetch_text(std::uint64_t hash) const noexcept;
  std::int32_t find(std::string_view token, std::uint64_t hash) const noexcept;

  /// Is this exactly the token of `id`? Any id may be asked.
  bool is(std::int32_t id, std::string_view token) const noexcept { return has(id) && text(id) == token; }
  bool has(std::int32_t id) const noexcept {
    return id >= 0 && id < limit() && places_[static_cast<std::size_t>(id)].size != kHole;
  }
  /// Empty for an id without a token.
  std::string_view text(std::int32_t id) const noexcept;

  std::int32_t limit() const noexcept { return static_cast<std::int32_t>(places_.size()); }  // largest id + 1
  std::size_t size() const noexcept { return size_; }

  /// As it stands, and back. load() refuses tables that lead outside themselves; what they say is the writer's word.
  void save(FlatWriter& to) const;
  static Result<Vocabulary> load(FlatReader& from);

 private:
  struct Slot {
    std::uint32_t tag = 0;  // the hash's upper half
    std::int32_t id = kNoToken;
  };
  struct Place {
    std::uint32_t begin = 0;  // in bytes_
    std::uint32_t size = kHole;
  };
  static constexpr std::uint32_t kHole = ~0U;

  void grow(std::size_t slots);
  std::size_t slot_of(std::string_view token, std::uint64_t hash) const noexcept;

  std::string bytes_;          // all tokens, one after the other
  std::vector<Place> places_;  // per id
  std::vector<Slot> slots_;    // open addressing, a power of two, at most 3/4 full
  std::size_t size_ = 0;
};

/// A fast hash of short byte strings: two multiplications per 16 bytes. Not meant to resist an attacker.
std::uint64_t hash_bytes(std::string_view bytes) noexcept;

}  // namespace corbel
