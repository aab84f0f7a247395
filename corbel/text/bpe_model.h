#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "corbel/text/token_model.h"

namespace corbel {

/// Byte-pair encoding: a piece starts as one symbol per byte; the adjacent pair of lowest rank merges, the leftmost of
/// equals first, until no pair has a rank. Time: n log n in the bytes of a piece. Source: arXiv 1508.07909.
/// A byte that the vocabulary lacks vanishes where there is no unknown token: published vocabularies lack control
/// bytes, and their models were trained so.
class BpeModel final : public TokenModel {
 public:
  struct Options {
    bool ignore_merges = false;          // a piece that is a token as a whole is not built from merges
    std::int32_t unknown_id = kNoToken;  // stands for bytes without a token; kNoToken: such bytes give no id
  };

  BpeModel(Vocabulary vocabulary, Options options);

  /// Makes room for `count` merges.
  void reserve_merges(std::size_t count);

  /// The next merge in rank order; both sides as the vocabulary spells them. Refuses sides, or a result, without a
  /// token. The same pair again takes the later rank, as in Hugging Face's reader.
  Result<void> add_merge(std::string_view left, std::string_view right);

  Result<void> encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const noexcept override { return vocabulary_; }

 private:
  struct Merge {
    std::uint64_t pair = kNoPair;  // left id << 32 | right id
    std::uint32_t rank = kNoRank;
    std::int32_t id = kNoToken;
  };
  static constexpr std::uint64_t kNoPair = ~0ULL;
  static constexpr std::uint32_t kNoRank = ~0U;

  struct Symbol {
    std::int32_t id = kNoToken;
    std::int32_t previous = -1;
    std::int32_t next = -1;
  };

  static std::uint64_t pair_of(std::int32_t left, std::int32_t right) noexcept {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
  }
  std::size_t slot_of(std::uint64_t pair) const noexcept;
  const Merge& merge_of(std::int32_t left, std::int32_t right) const noexcept {
    return merges_[slot_of(pair_of(left, right))];
  }
  void grow(std::size_t slots);
  void first_symbols(std::string_view piece, std::vector<std::int32_t>& ids) const;
  std::size_t merge_short(std::int32_t* ids, std::size_t count) const noexcept;
  std::size_t merge_long(std::int32_t* ids, std::size_t count) const;

  Vocabulary vocabulary_;
  Options options_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::vector<Merge> merges_;  // open addressing, a power of two, at most 3/4 full
  std::size_t merge_count_ = 0;
  std::uint32_t next_rank_ = 0;
  std::int32_t last_merged_id_ = kNoToken;
  std::string joined_;  // scratch of add_merge
};

}  // namespace corbel
