#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/text/vocabulary.h"

namespace corbel {

/// The stage that turns one piece of text into ids. Each kind (BPE, ...) is one file and one line in the table of
/// tokenizer_json.cpp. Immutable: any number of threads may encode at once.
class TokenModel {
 public:
  TokenModel() = default;
  TokenModel(const TokenModel&) = delete;
  TokenModel& operator=(const TokenModel&) = delete;
  virtual ~TokenModel() = default;

  /// Appends the ids of `piece` to `ids`. The piece is not empty; it is UTF-8, or any bytes where the pre-tokenizer
  /// said that bytes are the alphabet. Refuses what the vocabulary has no token for.
  virtual Result<void> encode(std::string_view piece, std::vector<std::int32_t>& ids) const = 0;

  /// Called once, after the model has been filled and before it encodes.
  virtual void finish() {}

  /// Cuts `piece` into parts whose ids by encode_part(), one after the other, are the ids of the piece: writes where
  /// parts end to `ends`, ascending, and returns how many there are. Where the last one is not the piece's end, the
  /// rest is cut by another call. A piece that is not cut at all is encoded by encode(). REQUIRES: neither is empty.
  /// The default knows no cut.
  virtual std::size_t cut(std::string_view piece, std::span<std::uint32_t> ends) const noexcept {
    ends[0] = static_cast<std::uint32_t>(piece.size());
    return 1;
  }

  /// As encode(), for one of several parts that cut() made.
  virtual Result<void> encode_part(std::string_view part, std::vector<std::int32_t>& ids) const {
    return encode(part, ids);
  }

  virtual const Vocabulary& vocabulary() const noexcept = 0;

  /// Writes what took long to build, for a reader of the same kind; false where there is no such reader.
  virtual bool save_tables(FlatWriter& to) const {
    static_cast<void>(to);
    return false;
  }
};

}  // namespace corbel
