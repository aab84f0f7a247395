#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/result.h"
#include "corbel/text/pattern.h"

namespace corbel {

/// A stretch of text on its way through the pre-tokenizer's stages.
struct Pieces {
  std::string_view text;    // what spans point into; below 2 GB
  std::string rewritten;    // owns the text once a stage has changed it
  std::vector<Span> spans;  // ascending, not overlapping, not empty
  /// A byte-level stage has run: the model's alphabet is bytes, and stages after it see each byte as the visible
  /// character of byte_chars.h.
  bool bytes_as_chars = false;
  /// The text begins where the whole text began (not behind an added token, nothing of it dropped): a piece at offset 0
  /// is the first of all. Set by the caller; a stage that rewrites keeps it true to that.
  bool at_start = true;
};

/// The stage that cuts text into the pieces that the model encodes one by one. Immutable; any thread may call it.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;
  virtual ~PreTokenizer() = default;

  virtual Result<void> cut(Pieces& pieces) const = 0;

  /// Does the answer depend on Pieces::at_start?
  virtual bool asks_for_start() const noexcept { return false; }
  /// Does it make bytes the alphabet? No stage that rewrites may follow.
  virtual bool makes_bytes() const noexcept { return false; }
  virtual bool rewrites() const noexcept { return false; }
};

/// From the "pre_tokenizer" object of a tokenizer file: ByteLevel, Split, Metaspace, Digits, Punctuation, Whitespace,
/// WhitespaceSplit, BertPreTokenizer, CharDelimiterSplit, UnicodeScripts, FixedLength, Sequence. Others are refused by
/// name.
Result<std::unique_ptr<PreTokenizer>> make_pre_tokenizer(const JsonFields& fields);

}  // namespace corbel
