#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/text/bpe_merges.h"
#include "corbel/text/seams.h"
#include "corbel/text/token_model.h"

namespace corbel {

/// Byte-pair encoding: a piece starts as one symbol per byte or per character; the adjacent pair of lowest rank merges,
/// the leftmost of equals first, until no pair has a rank. Time: n log n in the symbols of a piece. Source: arXiv
/// 1508.07909; what happens to unknown characters as in Hugging Face tokenizers 0.23 (models/bpe/model.rs).
/// A symbol that the vocabulary lacks vanishes where there is no unknown token: published vocabularies lack control
/// bytes, and their models were trained so.
class BpeModel final : public TokenModel {
 public:
  enum class Alphabet {
    bytes,       // the vocabulary spells bytes by the visible characters of byte_chars.h
    characters,  // the vocabulary spells text as it is
  };

  struct Options {
    Alphabet alphabet = Alphabet::bytes;
    bool ignore_merges = false;          // a piece that is a token as a whole is not built from merges
    bool byte_fallback = false;          // a character without a token becomes its bytes ("<0xE5>"), if all have tokens
    bool fuse_unknown = false;           // a run of unknown characters is one unknown token
    std::int32_t unknown_id = kNoToken;  // stands for symbols without a token; kNoToken: such symbols give no id
    std::string continuing_prefix;  // before every character of a piece but the first, in the vocabulary's spelling
    std::string end_suffix;         // after the last character of a piece
  };

  struct RankedToken {
    std::int32_t id = kNoToken;
    std::uint32_t rank = 0;
  };

  BpeModel(Vocabulary vocabulary, Options options);

  /// From what save_tables() of a finished model wrote: its vocabulary, which the options were read with, then the
  /// rest.
  static Result<std::unique_ptr<BpeModel>> load(FlatReader& from, Vocabulary vocabulary, Options options);

  /// Makes room for `count` merges.
  void reserve_merges(std::size_t count) { merges_.reserve(count); }

  /// The next merge in rank order; both sides as the vocabulary spells them. Refuses sides, or a result, without a
  /// token. The same pair again takes the later rank, as in Hugging Face's reader.
  Result<void> add_merge(std::string_view left, std::string_view right);

  struct TokenPair {
    std::string_view left;
    std::string_view right;
  };
  /// The next merges, as by add_merge(); faster in batches of a hundred than one by one.
  Result<void> add_merges(std::span<const TokenPair> pairs);

  /// A merge by ids. Ranks may come in any order and may be equal: of equals the leftmost merges first. Refuses ids
  /// without a token.
  Result<void> add_ranked_merge(std::int32_t left, std::int32_t right, std::int32_t result, std::uint32_t rank);

  /// Every way of cutting each of these tokens (between characters of its spelling) into two tokens becomes a merge of
  /// the token's rank: what files without merges mean (tiktoken's ranks, SentencePiece's scores). Refuses ids without a
  /// token.
  Result<void> add_every_split(std::span<const RankedToken> tokens);

  /// Builds what makes encoding fast. Without it encode() gives the same ids, more slowly.
  void finish() override;

  Result<void> encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  Result<void> encode_part(std::string_view part, std::vector<std::int32_t>& ids) const override;
  std::size_t cut(std::string_view piece, std::span<std::uint32_t> ends) const noexcept override;
  const Vocabulary& vocabulary() const noexcept override { return vocabulary_; }
  bool save_tables(FlatWriter& to) const override;

 private:
  /// What is known of a token: whether encoding its own text gives it back. Found out when first asked.
  enum class Closed : std::uint8_t { unknown, yes, no };

  struct FoundMerge {
    std::int32_t left = kNoToken;
    std::int32_t right = kNoToken;
    std::int32_t id = kNoToken;
  };

  void find_symbols();
  Result<FoundMerge> find_merge(const TokenPair& pair, std::uint64_t left_hash, std::uint64_t right_hash);
  bool joins_text() const noexcept { return options_.continuing_prefix.empty() && options_.end_suffix.empty(); }
  std::int32_t find_whole(std::string_view piece) const;
  std::int32_t char_id(char32_t code) const noexcept;
  void append_symbols(std::string_view piece, std::vector<std::int32_t>& ids) const;
  void append_char_symbols(std::string_view spelled, std::vector<std::int32_t>& ids) const;
  bool append_fallback(std::string_view symbol, std::vector<std::int32_t>& ids) const;
  bool knows_both_sides(std::string_view piece, std::size_t at) const noexcept;

  Vocabulary vocabulary_;
  Options options_;
  BpeMerges merges_;
  std::array<std::int32_t, 256> byte_ids_{};               // alphabet bytes: the token of each byte, or kNoToken
  bool bytes_complete_ = false;                            // each has one
  std::array<std::int32_t, 256> fallback_ids_{};           // of "<0xE5>" and the like, or kNoToken
  std::vector<std::array<std::int32_t, 256>> char_pages_;  // tokens of one character, 256 code points a page; 0: none
  std::vector<std::uint16_t> page_of_;                     // code point >> 8 -> page
  std::unique_ptr<std::atomic<Closed>[]> closed_;          // per id; null before finish()
  Seams seams_;
  bool seams_hold_ = true;  // every merge's result is spelled as its two sides together
  std::uint32_t next_rank_ = 0;
  std::int32_t last_merged_id_ = kNoToken;
  // Scratch of add_merges().
  std::string joined_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> lookups_;
  std::vector<FoundMerge> found_;
};

}  // namespace corbel
