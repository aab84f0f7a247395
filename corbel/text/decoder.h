#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// The stage that turns tokens back into bytes, one token after the other. Immutable; any thread may call it.
class Decoder {
 public:
  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual ~Decoder() = default;

  /// Appends the bytes of `token` (as the vocabulary spells it). `first`: nothing was decoded before it. Bytes of one
  /// token may be part of a character.
  virtual void append(std::string_view token, bool first, std::string& bytes) const = 0;
};

/// From the "decoder" object of a tokenizer file: ByteLevel, Fuse, Sequence. Others are refused by name.
Result<std::unique_ptr<Decoder>> make_decoder(const JsonFields& fields);

/// What a file without a decoder means: the tokens as they are, a space between them.
std::unique_ptr<Decoder> make_joining_decoder();

}  // namespace corbel
