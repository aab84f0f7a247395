#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "corbel/text/byte_trie.h"
#include "corbel/text/token_model.h"

namespace corbel {

/// The longest token that the text starts with, then the longest that its rest starts with, and so on: no merges, no
/// pieces. Tokens are byte strings, which the vocabulary spells with the characters of byte_chars.h. Time: at worst the
/// bytes of the text times those of the longest token.
class LongestMatchModel final : public TokenModel {
 public:
  /// Keys are the tokens' bytes with their ids. `vocabulary` may hold more (what no text is cut into). Refuses empty
  /// tokens, a token twice, and a set that lacks a single byte, for then some text could not be encoded.
  static Result<std::unique_ptr<LongestMatchModel>> make(Vocabulary vocabulary, std::vector<ByteTrie::Key> tokens);

  Result<void> encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const noexcept override { return vocabulary_; }

 private:
  LongestMatchModel(Vocabulary vocabulary, std::vector<ByteTrie::Key> tokens)
      : vocabulary_(std::move(vocabulary)), trie_(std::move(tokens)) {}

  Vocabulary vocabulary_;
  ByteTrie trie_;
};

}  // namespace corbel
