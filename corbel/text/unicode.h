#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// UTF-8 and the character classes that tokenizers cut by. The classes are those of one stated version of Unicode
/// (kUnicodeVersion): libraries differ in thousands of code points, and a token cut elsewhere is another token.
namespace corbel {

inline constexpr std::string_view kUnicodeVersion = "16.0.0";

/// Disjoint classes; "unstable" ones may change under NFC. Must equal the list in tools/unicode/make_tables.py.
enum class CharClass : std::uint8_t {
  other,
  letter,        // \p{L}
  number_word,   // Nd and Nl
  number_other,  // No
  space,         // White_Space
  mark,          // \p{M}; all taken as unstable
  connector,     // Pc
  punctuation,   // the rest of \p{P}
  word_other,    // symbols of \w that are no letters: circled letters, joiners
  letter_unstable,
  space_unstable,
  punctuation_unstable,
  other_unstable,
};

namespace unicode_detail {
extern const std::uint8_t kBlockOf[];
extern const std::uint64_t kClasses[];
inline constexpr char32_t kTableLimit = 0x32400;

// What each class has, as bits: letter 1, number 2, space 4, mark 8, punctuation 16, word 32, unstable under NFC 64.
inline constexpr std::uint8_t kTraits[16] = {0,  33, 34,      2,      4,       8 + 32 + 64, 16 + 32,
                                             16, 32, 33 + 64, 4 + 64, 16 + 64, 64};
}  // namespace unicode_detail

inline CharClass char_class(char32_t code) noexcept {
  using namespace unicode_detail;
  if (code >= kTableLimit) return code - 0xE0100U < 240 ? CharClass::mark : CharClass::other;  // variation selectors
  const std::uint64_t word = kClasses[kBlockOf[code >> 8] * 16 + ((code >> 4) & 15)];
  return static_cast<CharClass>((word >> (4 * (code & 15))) & 15);
}

/// The bits above, for callers that ask several questions of one character.
inline std::uint8_t char_traits(char32_t code) noexcept {
  return unicode_detail::kTraits[static_cast<std::uint8_t>(char_class(code))];
}
inline bool is_letter(char32_t code) noexcept { return (char_traits(code) & 1) != 0; }
inline bool is_number(char32_t code) noexcept { return (char_traits(code) & 2) != 0; }
inline bool is_space(char32_t code) noexcept { return (char_traits(code) & 4) != 0; }
inline bool is_punctuation(char32_t code) noexcept { return (char_traits(code) & 16) != 0; }
inline bool is_word(char32_t code) noexcept { return (char_traits(code) & 32) != 0; }
/// May NFC change this character or join it with what stands before it?
inline bool is_unstable(char32_t code) noexcept { return (char_traits(code) & 64) != 0; }

struct Utf8Char {
  char32_t code = 0;
  std::uint32_t bytes = 0;
};

/// The character at `at`. REQUIRES: valid UTF-8, at a character's first byte.
inline Utf8Char utf8_at(const char* at) noexcept {
  const auto byte = [at](int i) { return static_cast<std::uint8_t>(at[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {((lead & 0x1FU) << 6) | (byte(1) & 0x3FU), 2};
  if (lead < 0xF0) return {((lead & 0x0FU) << 12) | ((byte(1) & 0x3FU) << 6) | (byte(2) & 0x3FU), 3};
  return {((lead & 0x07U) << 18) | ((byte(1) & 0x3FU) << 12) | ((byte(2) & 0x3FU) << 6) | (byte(3) & 0x3FU), 4};
}

/// The character that ends at `end`. REQUIRES: valid UTF-8 before `end`, at least one character.
Utf8Char utf8_before(const char* end) noexcept;

/// `code` must be a Unicode scalar value (no surrogate, at most U+10FFFF).
void append_utf8(std::string& out, char32_t code);

/// Number of bytes at the front of `text` that form valid UTF-8; text.size() when all of it does.
std::size_t valid_utf8_prefix(std::string_view text) noexcept;

/// How the bytes at the front of `text` read: a whole character, a wrong sequence, or one that more bytes may complete.
enum class Utf8State { complete, wrong, unfinished };
struct Utf8Step {
  Utf8State state = Utf8State::complete;
  std::uint32_t bytes = 0;  // of the character; or of the longest wrong part that one U+FFFD stands for
};
Utf8Step utf8_step(std::string_view text) noexcept;  // REQUIRES: not empty

/// Each maximal wrong part becomes one U+FFFD, as Rust's from_utf8_lossy and Python's errors="replace" do.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace corbel
