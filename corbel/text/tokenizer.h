#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/named_files.h"
#include "corbel/base/result.h"
#include "corbel/text/added_tokens.h"
#include "corbel/text/vocabulary.h"

namespace corbel {

enum class InvalidUtf8 {
  refuse,   // with the offset of the first wrong byte
  replace,  // each maximal wrong part becomes U+FFFD
};

struct EncodeOptions {
  bool add_special_tokens = true;  // what the post-processor puts around a text (begin of text, ...)
  bool parse_special = true;       // special tokens spelled in the text count as such; false: they are plain text
  /// Also those that the vocabulary's own program never finds in a text (SentencePiece's control pieces): for text that
  /// a chat template made, which spells them.
  bool parse_control = false;
  InvalidUtf8 invalid_utf8 = InvalidUtf8::refuse;
};

struct DecodeOptions {
  bool skip_special = true;  // leave special tokens out
};

/// Text to token ids and back, exactly as the model was trained with: the stages of a Hugging Face tokenizer file
/// (added tokens, normalizer, pre-tokenizer, model, post-processor, decoder). Immutable: any number of threads may
/// call.
class Tokenizer {
 public:
  struct Parts;  // the stages; corbel/text/tokenizer_parts.h, for readers of other file formats

  /// From a folder, or from one of these files, told by their content: tokenizer.json, SentencePiece's model file,
  /// tiktoken's ranks, a vocabulary of literals, a GGUF file; each may be gzipped. In a folder the first of these is
  /// taken: tokenizer.json(.gz), tokenizer.model, spiece.model, sentencepiece.bpe.model, vocab.json with merges.txt,
  /// the only *.tiktoken, *.model or *.gguf. tokenizer_config.json beside it says what such files leave out: added
  /// tokens, "add_eos_token". A SentencePiece file's beginning of a text is added wherever the file defines one.
  /// Refuses what it does not support by name. "truncation" and "padding" are not applied.
  static Result<Tokenizer> load(const std::filesystem::path& path);
  /// From files by name, wherever they lie; taken in the same order.
  static Result<Tokenizer> load(const NamedFiles& files);

  /// From the bytes of a tokenizer.json; `source` names it in messages.
  static Result<Tokenizer> from_json(std::string_view bytes, const std::string& source);

  explicit Tokenizer(std::unique_ptr<const Parts> parts);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Ids of `text` (at most 1 GB). Refuses invalid UTF-8 as the options say.
  Result<std::vector<std::int32_t>> encode(std::string_view text, EncodeOptions options = {}) const;

  /// Text of `ids`: always valid UTF-8; bytes that form no character become U+FFFD. Ids without a token are no text.
  std::string decode(std::span<const std::int32_t> ids, DecodeOptions options = {}) const;

  /// Appends the bytes that one id alone means; `first`: as the first of a text. For showing single tokens: the text of
  /// several is decode()'s.
  void append_bytes(std::int32_t id, bool first, std::string& bytes) const;

  /// The token as the vocabulary spells it; empty for an id without one. Lives as long as the tokenizer.
  std::string_view piece(std::int32_t id) const noexcept;

  /// Id of a token as the vocabulary spells it, or kNoToken.
  std::int32_t id_of(std::string_view token) const noexcept;

  std::int32_t vocab_size() const noexcept;  // largest id + 1; a model may have more rows
  bool has(std::int32_t id) const noexcept;
  bool is_special(std::int32_t id) const noexcept;
  std::span<const std::int32_t> special_ids() const noexcept;  // ascending
  std::span<const AddedToken> added_tokens() const noexcept;
  const Parts& parts() const noexcept { return *parts_; }

 private:
  friend class StreamDecoder;
  std::unique_ptr<const Parts> parts_;
};

/// Decodes ids as they come. What push() returns is whole characters and is never taken back; all of it together, with
/// finish(), equals decode() of all ids. One thread; the tokenizer must outlive it, and may not be moved meanwhile.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, DecodeOptions options = {});
  StreamDecoder(StreamDecoder&&) noexcept;
  StreamDecoder& operator=(StreamDecoder&&) noexcept;
  ~StreamDecoder();

  std::string push(std::int32_t id);

  /// What was held back (an unfinished character, as U+FFFD); then the decoder is as new.
  std::string finish();

 private:
  struct State;
  const Tokenizer* tokenizer_;
  DecodeOptions options_;
  std::unique_ptr<State> state_;
};

}  // namespace corbel
