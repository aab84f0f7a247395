#include "corbel/text/splitter.h"

#include <cstdint>

#include "corbel/text/split_regexes.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::uint8_t kLetter = 1;
constexpr std::uint8_t kNumber = 2;
constexpr std::uint8_t kSpace = 4;

struct Seen {
  std::uint32_t bytes = 0;  // 0 at the end of the text
  std::uint8_t traits = 0;  // letter, number, space
};

inline Seen look(const char* at, const char* end) noexcept {
  if (at == end) return {};
  const auto byte = static_cast<std::uint8_t>(*at);
  if (byte < 0x80) {
    const auto lower = static_cast<std::uint8_t>(byte | 0x20);
    if (lower >= 'a' && lower <= 'z') return {1, kLetter};
    if (byte >= '0' && byte <= '9') return {1, kNumber};
    return {1, static_cast<std::uint8_t>(byte == ' ' || (byte >= 9 && byte <= 13) ? kSpace : 0)};
  }
  const Utf8Char c = utf8_at(at);
  return {c.bytes, static_cast<std::uint8_t>(char_traits(c.code) & (kLetter | kNumber | kSpace))};
}

inline bool is_newline(const char* at, const char* end) noexcept { return at < end && (*at == '\r' || *at == '\n'); }

/// End of the run of characters whose traits equal `traits`.
inline const char* run_of(std::uint8_t traits, const char* at, const char* end) noexcept {
  for (Seen seen = look(at, end); seen.bytes > 0 && seen.traits == traits; seen = look(at, end)) at += seen.bytes;
  return at;
}

/// Length of 's 't 're 've 'm 'll 'd at `at`, 0 without. Case-insensitive also takes U+017F (long s), whose fold is s.
template <bool kAnyCase>
inline int contraction_bytes(const char* at, const char* end) noexcept {
  if (*at != '\'' || end - at < 2) return 0;
  const auto letter = [at](int i) { return static_cast<char>(kAnyCase ? at[i] | 0x20 : at[i]); };
  switch (letter(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd': return 2;
    case 'r':
    case 'v': return end - at > 2 && letter(2) == 'e' ? 3 : 0;
    case 'l': return end - at > 2 && letter(2) == 'l' ? 3 : 0;
    default: break;
  }
  return kAnyCase && end - at > 2 && at[1] == '\xC5' && at[2] == '\xBF' ? 3 : 0;
}

/// `\s+(?!\S)|\s+`: the whole run at the end of the text, else all but its last character, else the one character.
inline const char* spaces(const char* at, const char* end) noexcept {
  const char* last = at;
  const char* stop = at;
  for (Seen seen = look(stop, end); seen.bytes > 0 && seen.traits == kSpace; seen = look(stop, end)) {
    last = stop;
    stop += seen.bytes;
  }
  return stop == end || last == at ? stop : last;
}

/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
const char* split_one_space_words(const char* at, const char* end) noexcept {
  if (const int bytes = contraction_bytes<false>(at, end); bytes > 0) return at + bytes;
  const char* start = *at == ' ' ? at + 1 : at;
  const Seen seen = look(start, end);
  if (seen.bytes > 0 && seen.traits != kSpace) return run_of(seen.traits, start + seen.bytes, end);
  return spaces(at, end);
}

/// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,kDigits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
/// \s+(?!\S)|\s+
template <int kDigits>
const char* split_prefixed_words(const char* at, const char* end) noexcept {
  if (const int bytes = contraction_bytes<true>(at, end); bytes > 0) return at + bytes;
  const Seen first = look(at, end);
  if (first.traits == kLetter) return run_of(kLetter, at + first.bytes, end);
  if (first.traits == kNumber) {
    at += first.bytes;
    for (int i = 1; i < kDigits; ++i) {
      const Seen next = look(at, end);
      if (next.traits != kNumber) break;
      at += next.bytes;
    }
    return at;
  }
  const bool newline = is_newline(at, end);
  const Seen second = look(at + first.bytes, end);
  if (!newline && second.traits == kLetter) return run_of(kLetter, at + first.bytes + second.bytes, end);
  const bool after_space = *at == ' ' && second.bytes > 0 && second.traits == 0;
  if (first.traits == 0 || after_space) {
    at = run_of(0, at + first.bytes, end);
    while (is_newline(at, end)) ++at;
    return at;
  }
  // A run of whitespace ends after its last newline, where it has one.
  const char* after_newline = nullptr;
  const char* stop = at;
  for (Seen seen = look(stop, end); seen.bytes > 0 && seen.traits == kSpace; seen = look(stop, end)) {
    if (is_newline(stop, end)) after_newline = stop + 1;
    stop += seen.bytes;
  }
  return after_newline != nullptr ? after_newline : spaces(at, end);
}

struct KnownRegex {
  std::string_view regex;
  Splitter splitter;
};

constexpr KnownRegex kKnown[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", split_one_space_words},
    {R"((?:'s|'t|'re|'ve|'m|'ll|'d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", split_one_space_words},
    {kThreeDigits, split_prefixed_words<3>},
    {kSingleDigits, split_prefixed_words<1>},
};

}  // namespace

const std::string_view kByteLevelRegex = kKnown[0].regex;

Splitter find_splitter(std::string_view regex) noexcept {
  for (const KnownRegex& known : kKnown) {
    if (known.regex == regex) return known.splitter;
  }
  return nullptr;
}

}  // namespace corbel
