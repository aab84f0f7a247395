#pragma once
#include <span>
#include <string_view>

/// What the Unicode of unicode.h assigns, or counts as Alphabetic or Lowercase, and that of PCRE2 (14.0) does not, from
/// a generated table.
namespace corbel::regex_additions {

struct Addition {
  char32_t first;
  char32_t last;
  std::string_view category;  // of two letters
  std::string_view script;
  bool alphabetic;
  bool lowercase;
};
extern const std::span<const Addition> kRows;  // ascending

/// Does `text` hold any of these code points? REQUIRES: valid UTF-8.
bool found_in(std::string_view text) noexcept;

}  // namespace corbel::regex_additions
