#pragma once
#include <cstdint>
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

  virtual const Vocabulary& vocabulary() const noexcept = 0;
};

}  // namespace corbel
