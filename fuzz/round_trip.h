#pragma once
#include <cstdlib>
#include <string>
#include <string_view>

#include "corbel/text/tokenizer.h"
#include "corbel/text/unicode.h"

namespace corbel {

/// What every tokenizer owes to any text: ids or a refusal, then valid UTF-8, the same streamed and at once.
inline void check_round_trip(const Tokenizer& tokenizer, std::string_view bytes) {
  const auto ids = tokenizer.encode(bytes, {.invalid_utf8 = InvalidUtf8::replace});
  if (!ids) return;
  const std::string text = tokenizer.decode(*ids);
  if (valid_utf8_prefix(text) != text.size()) std::abort();
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const std::int32_t id : *ids) streamed += stream.push(id);
  streamed += stream.finish();
  if (streamed != text) std::abort();
}

}  // namespace corbel
