#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/grammar/byte_set.h"

namespace corbel {

/// Tokens as a tree of their bytes, its nodes in depth-first order: a walk goes forward and skips what is not allowed.
struct TokenTrie {
  struct Node {
    std::uint32_t skip = 0;         // the first node behind this one's subtree
    std::uint32_t first_token = 0;  // tokens[first_token] up to the next node's first_token end here
    std::uint16_t depth = 0;        // bytes down to here, this one included
    std::uint8_t byte = 0;
  };
  std::vector<Node> nodes;  // [0] is the root; one more than there are, so that every node has a next
  std::vector<std::int32_t> tokens;

  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes.size()) - 1; }
};

/// What each token of a tokenizer writes, prepared for masks. Immutable: any number of threads, grammars and masks
/// share one.
class TokenVocabulary {
 public:
  /// A token that writes something else when it comes first in a text.
  struct First {
    std::int32_t token = -1;
    std::string bytes;
  };

  /// `tokens[id]` are the bytes that token writes; empty for ids without one: these are never allowed. Special tokens
  /// begin with kSpecialByte. `end_ids` end a text. Refuses an end id outside the vocabulary, a token of more than
  /// 60,000 bytes.
  static Result<std::shared_ptr<const TokenVocabulary>> make(std::vector<std::string> tokens,
                                                             std::vector<std::int32_t> end_ids,
                                                             std::vector<First> first = {});

  std::int32_t size() const { return static_cast<std::int32_t>(bytes_.size()); }
  std::size_t mask_words() const {
    return (bytes_.size() + 63) / 64;
  }  // of 64 bits, token t in word t / 64, bit t % 64
  std::string_view bytes(std::int32_t token) const { return bytes_[static_cast<std::size_t>(token)]; }
  std::span<const std::int32_t> end_ids() const { return end_ids_; }
  bool is_end(std::int32_t token) const;
  std::size_t max_token_bytes() const { return max_token_bytes_; }

  std::span<const First> first() const { return first_; }  // ascending tokens
  /// What `token` writes at the start of a text.
  std::string_view first_bytes(std::int32_t token) const;
  /// Spellings of special tokens: GrammarOptions::specials.
  std::span<const std::string> specials() const { return specials_; }

  /// Bytes that are tokens of their own. A grammar over these can go on after any token (GrammarOptions::alphabet).
  const ByteSet& single_bytes() const { return single_bytes_; }

  /// Plain tokens are 1 to kMaxPlain whole characters of UTF-8, none of them a quotation mark, a backslash or a control
  /// character: inside of a JSON string only their number of characters matters.
  static constexpr std::uint32_t kMaxPlain = 64;
  const ByteSet& plain_bytes() const { return plain_bytes_; }  // bytes that plain tokens have
  /// Plain tokens of at most `characters` characters, as a mask.
  std::span<const std::uint64_t> plain_mask(std::uint32_t characters) const;

  const TokenTrie& all() const { return all_; }
  const TokenTrie& rest() const { return rest_; }  // without the plain tokens

 private:
  TokenVocabulary() = default;

  std::vector<std::string> bytes_;
  std::vector<std::int32_t> end_ids_;
  std::vector<First> first_;
  std::vector<std::string> specials_;
  std::size_t max_token_bytes_ = 0;
  ByteSet single_bytes_;
  ByteSet plain_bytes_;
  std::vector<std::uint64_t> plain_masks_;  // [kMaxPlain + 1, mask_words]
  TokenTrie all_;
  TokenTrie rest_;
};

}  // namespace corbel
