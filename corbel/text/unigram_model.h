#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "corbel/text/byte_trie.h"
#include "corbel/text/token_model.h"

namespace corbel {

/// The segmentation of a piece into tokens whose scores have the largest sum; a character that is no token counts as
/// unknown, with the lowest score - 10. The sums run from left to right; of equal ones that which was found first
/// stays: of two last tokens the longer one. Time: bytes of the piece x bytes of the longest token.
/// Source: arXiv 1804.10959; order and arithmetic as in the two programs that published vocabularies are used with.
class UnigramModel final : public TokenModel {
 public:
  enum class Arithmetic : std::uint8_t {
    double_sums,  // Hugging Face tokenizers: each token matches, whatever its role; sums in double
    float_sums,   // SentencePiece 0.2.3: sums rounded to float, then compared (earlier: compared, then rounded)
  };
  enum class Role : std::uint8_t {
    normal,
    user_defined,  // length x highest score - 0.1 instead of its own score
    unmatched,     // never found in text (control, unknown, byte, unused) and no part of the lowest score
  };
  struct Options {
    std::int32_t unknown_id = kNoToken;  // kNoToken: text with an unknown character is refused
    bool byte_fallback = false;          // unknown text becomes the tokens <0x00> to <0xFF> if all it needs are there
    bool fuse_unknown = true;            // neighbouring unknowns are one
    Arithmetic arithmetic = Arithmetic::double_sums;
  };

  /// `scores` and `roles` by id, as many as vocabulary.limit(); no roles: all are normal. Refuses other counts, an
  /// unknown_id without a token, a score that is not finite (as float, if sums are).
  static Result<std::unique_ptr<UnigramModel>> make(Vocabulary vocabulary, std::vector<double> scores,
                                                    std::vector<Role> roles, Options options);

  Result<void> encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const noexcept override { return vocabulary_; }

 private:
  UnigramModel(Vocabulary vocabulary, std::vector<double> scores, std::vector<Role> roles, Options options);
  template <typename Sum>
  class Search;

  void append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  std::vector<Role> roles_;  // empty, or by id
  Options options_;
  ByteTrie trie_;
  std::size_t longest_ = 0;  // bytes of the longest token in trie_
  double unknown_score_ = 0;
  float highest_score_ = 0;
  std::array<std::int32_t, 256> byte_ids_{};
};

}  // namespace corbel
