#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "corbel/text/token_model.h"

namespace corbel {

/// A model of characters behind a pre-tokenizer whose alphabet is bytes: each piece is spelled in the characters that
/// stand for its bytes (byte_chars.h) before the model sees it.
class ByteSpellingModel final : public TokenModel {
 public:
  explicit ByteSpellingModel(std::unique_ptr<TokenModel> model) : model_(std::move(model)) {}

  Result<void> encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  void finish() override { model_->finish(); }
  const Vocabulary& vocabulary() const noexcept override { return model_->vocabulary(); }

 private:
  std::unique_ptr<TokenModel> model_;
};

}  // namespace corbel
