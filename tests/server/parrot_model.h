#pragma once
#include <string>

#include "tests/engine/byte_tokenizer.h"
#include "tests/engine/echo_model.h"

namespace corbel {

/// Says what stands between the last two '~' of its prompt, then ends. Without any it answers as EchoModel does.
class ParrotModel final : public EchoModel {
 protected:
  void answer(std::span<const std::int32_t> tokens, std::span<float> logits) const noexcept override {
    std::string text;
    for (const std::int32_t token : tokens) text += token < 128 ? static_cast<char>(token) : '\0';
    const std::size_t end = text.rfind('~');
    const std::size_t begin = end == std::string::npos || end == 0 ? std::string::npos : text.rfind('~', end - 1);
    const std::size_t opened = text.rfind("<assistant>");
    if (begin == std::string::npos || opened == std::string::npos || opened < end) return logits_behind(tokens, logits);
    const std::string_view wanted = std::string_view(text).substr(begin + 1, end - begin - 1);
    const std::size_t said = text.size() - opened - std::string_view("<assistant>").size();
    for (float& logit : logits) logit = 0.0F;
    const auto next = said < wanted.size() ? static_cast<std::size_t>(wanted[said]) : std::size_t{kEndId};
    logits[next] = 20.0F;
  }
};

}  // namespace corbel
