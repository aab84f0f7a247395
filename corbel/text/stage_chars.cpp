#include "corbel/text/stage_chars.h"

#include <algorithm>

#include "corbel/text/stage_tables.h"
#include "corbel/text/unicode.h"

namespace corbel::stage_chars {
namespace {

using namespace stage_tables;

bool holds(std::span<const char32_t> boundaries, char32_t code) noexcept {
  if (code < boundaries.front()) return false;
  return ((std::upper_bound(boundaries.begin(), boundaries.end(), code) - boundaries.begin()) & 1) != 0;
}

}  // namespace

bool is_mark(char32_t code) noexcept {
  if (code < 0x300) return false;
  return (char_class(code) == CharClass::mark) != holds(kMarkDifferences, code);
}

bool is_nonspacing_mark(char32_t code) noexcept { return holds(kNonspacingMarks, code); }

bool is_control(char32_t code) noexcept {
  if (code >= 0x20 && code < 0x7F) return false;
  return holds(kControls, code);
}

bool is_chinese(char32_t code) noexcept { return holds(kChinese, code); }

bool is_punctuation(char32_t code) noexcept {
  if (code < 0x80) {
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
           (code >= '{' && code <= '~');
  }
  return corbel::is_punctuation(code) != holds(kPunctuationDifferences, code);
}

bool is_number(char32_t code) noexcept { return corbel::is_number(code) != holds(kNumberDifferences, code); }
bool is_word(char32_t code) noexcept { return corbel::is_word(code); }
bool is_late_for_forms(char32_t code) noexcept { return holds(kLateForForms, code); }
bool is_late_extender(char32_t code) noexcept { return holds(kLateExtenders, code); }

char32_t to_lower(char32_t code) noexcept {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  const auto row = std::upper_bound(kLowerFirst.begin(), kLowerFirst.end(), code) - kLowerFirst.begin() - 1;
  if (row < 0) return code;
  const auto i = static_cast<std::size_t>(row);
  if (code > kLowerLast[i] || (code - kLowerFirst[i]) % kLowerStep[i] != 0) return code;
  return static_cast<char32_t>(static_cast<std::int32_t>(code) + kLowerDifference[i]);
}

std::uint8_t script_of(char32_t code) noexcept {
  const auto row = std::upper_bound(kScriptFirst.begin(), kScriptFirst.end(), code) - kScriptFirst.begin() - 1;
  return row < 0 ? 0 : kScript[static_cast<std::size_t>(row)];
}

}  // namespace corbel::stage_chars
