#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "corbel/text/decoder.h"
#include "corbel/text/normalizer.h"
#include "corbel/text/piece_cache.h"
#include "corbel/text/post_processor.h"
#include "corbel/text/pre_tokenizer.h"
#include "corbel/text/token_model.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// What a tokenizer is made of. A reader fills the stages and calls add_token() for each added token.
struct Tokenizer::Parts {
  std::unique_ptr<Normalizer> normalizer;       // null: none
  std::unique_ptr<PreTokenizer> pre_tokenizer;  // null: a text is one piece
  std::unique_ptr<TokenModel> model;            // never null
  PostProcessor post_processor;
  std::unique_ptr<Decoder> decoder;  // never null

  std::vector<AddedToken> added;
  std::unordered_map<std::string, std::int32_t> added_by_text;  // index into added
  std::unordered_map<std::int32_t, std::int32_t> added_by_id;   // index into added
  std::vector<std::int32_t> special_ids;                        // ascending
  AddedTokenMatcher raw_matcher;                                // tokens looked for in the text as it came
  AddedTokenMatcher control_matcher;     // the same with those that texts do not spell; empty where there are none
  AddedTokenMatcher normalized_matcher;  // tokens looked for in the normalized text
  std::int32_t vocab_size = 0;
  mutable PieceCachePool piece_caches;

  /// REQUIRES: model and normalizer are set. Refuses an id or a content that the vocabulary or another added token has
  /// given away differently.
  Result<void> add_token(AddedToken token);

  /// Builds the matchers and the table below; after the last add_token().
  Result<void> finish();

  /// An added token as decoding sees it: a token looked for in normalized text is spelled normalized, and it counts as
  /// special when a special token is spelled so (as in Hugging Face's tokenizers 0.23).
  struct DecodedToken {
    std::string text;
    bool special = false;
  };
  std::vector<DecodedToken> decoded;        // like `added`
  std::vector<std::int32_t> decoded_by_id;  // per id: index into decoded, or kNotAdded, or kNoSuchToken
  static constexpr std::int32_t kNotAdded = -1;
  static constexpr std::int32_t kNoSuchToken = -2;
  Result<void> make_decode_table();

  std::int32_t id_limit() const noexcept { return vocab_size; }
};

}  // namespace corbel
