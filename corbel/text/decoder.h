#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// One decoding under way: the state of a stage, which passes what it makes on to the next one; or the end of the
/// chain. Tokens arrive in parts, so that a stage which makes one token of many (Fuse, ByteLevel) need not wait for
/// the last. One thread.
class DecodeRun {
 public:
  DecodeRun() = default;
  DecodeRun(const DecodeRun&) = delete;
  DecodeRun& operator=(const DecodeRun&) = delete;
  virtual ~DecodeRun() = default;

  /// The next part of the current token: whole characters, or any bytes where takes_bytes(). `ends`: the token is
  /// complete. A part may be empty.
  virtual void push(std::string_view part, bool ends) = 0;

  /// There are no more tokens: passes on what was held and the message itself; after that the run is as new.
  virtual void finish() = 0;

  /// May a part end inside a character?
  virtual bool takes_bytes() const noexcept { return false; }
};

/// The stage that turns tokens back into text. What a chain of stages pushes into its end is, all together, what
/// Hugging Face's tokenizers makes of the whole list of tokens. Immutable; any thread may call it.
class Decoder {
 public:
  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual ~Decoder() = default;

  /// A run that feeds `next`, which must outlive it. The decoder must outlive both.
  virtual std::unique_ptr<DecodeRun> start(DecodeRun& next) const = 0;
};

/// From the "decoder" object of a tokenizer file: ByteLevel, ByteFallback, Metaspace, Fuse, Strip, Replace, WordPiece,
/// BPEDecoder, CTC, Sequence. Others are refused by name.
Result<std::unique_ptr<Decoder>> make_decoder(const JsonFields& fields);

/// What a file without a decoder means: the tokens as they are, a space between them.
std::unique_ptr<Decoder> make_joining_decoder();

/// The end of a chain: collects bytes.
class DecodedBytes final : public DecodeRun {
 public:
  void push(std::string_view part, bool) override { bytes.append(part); }
  void finish() override {}
  bool takes_bytes() const noexcept override { return true; }

  std::string bytes;
};

}  // namespace corbel
