#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "corbel/text/token_model.h"

namespace corbel {

/// Each piece is one token, or unknown.
class WordLevelModel final : public TokenModel {
 public:
  /// unknown_id kNoToken: an unknown piece is refused. Refuses an unknown_id without a token.
  static Result<std::unique_ptr<WordLevelModel>> make(Vocabulary vocabulary, std::int32_t unknown_id);

  Result<void> encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const noexcept override { return vocabulary_; }

 private:
  WordLevelModel(Vocabulary vocabulary, std::int32_t unknown_id);

  Vocabulary vocabulary_;
  std::int32_t unknown_id_;
};

}  // namespace corbel
