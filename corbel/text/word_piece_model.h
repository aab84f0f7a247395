#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/text/byte_trie.h"
#include "corbel/text/token_model.h"

namespace corbel {

/// A word as the longest token that it begins with, then the longest continuing token (spelled with a prefix) that
/// the rest begins with, and so on; where there is none, or the word has too many characters, the whole word is
/// unknown. Time: bytes of the word x bytes of the longest token. Source: arXiv 1609.08144.
class WordPieceModel final : public TokenModel {
 public:
  struct Options {
    std::int32_t unknown_id = kNoToken;  // kNoToken: an unknown word is refused
    std::string continuing_prefix = "##";
    std::uint64_t max_word_chars = 100;
  };

  /// Refuses an unknown_id without a token.
  static Result<std::unique_ptr<WordPieceModel>> make(Vocabulary vocabulary, Options options);

  Result<void> encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const noexcept override { return vocabulary_; }

 private:
  WordPieceModel(Vocabulary vocabulary, Options options);

  Vocabulary vocabulary_;
  Options options_;
  ByteTrie first_;       // all tokens as they are spelled
  ByteTrie continuing_;  // those that start with the prefix, without it
};

}  // namespace corbel
