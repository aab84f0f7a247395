#pragma once
#include <string_view>

namespace corbel {

/// Finds the end of the match that starts at `at`; at < end, valid UTF-8. A splitter's regex matches at every position,
/// so that matches tile the text.
using Splitter = const char* (*)(const char* at, const char* end) noexcept;

/// The hand-written equal of a well-known pre-tokenizer regex (spelled exactly as tokenizer files spell it), or null.
/// About three times as fast as the compiled regex.
Splitter find_splitter(std::string_view regex) noexcept;

/// The regex that the pre-tokenizer "ByteLevel" uses by itself.
extern const std::string_view kByteLevelRegex;

}  // namespace corbel
