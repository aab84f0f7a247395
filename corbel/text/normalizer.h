#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// The stage that rewrites text before it is cut. Immutable; any thread may call it.
class Normalizer {
 public:
  Normalizer() = default;
  Normalizer(const Normalizer&) = delete;
  Normalizer& operator=(const Normalizer&) = delete;
  virtual ~Normalizer() = default;

  /// False, and `out` untouched, when the text stays as it is; else `out` is the new text. REQUIRES: valid UTF-8.
  virtual Result<bool> normalize(std::string_view text, std::string& out) const = 0;

  /// Does nothing stay of the text's first character? What follows then no longer counts as the start of the text
  /// (Pieces::at_start). REQUIRES: not empty.
  virtual bool drops_front(std::string_view text) const {
    static_cast<void>(text);
    return false;
  }
};

/// From the "normalizer" object of a tokenizer file: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend,
/// Replace, BertNormalizer, Nmt, Precompiled, ByteLevel, Sequence. Others are refused by name.
Result<std::unique_ptr<Normalizer>> make_normalizer(const JsonFields& fields);

}  // namespace corbel
