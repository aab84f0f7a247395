#pragma once
#include <optional>
#include <string>
#include <string_view>

/// The character sets that Oniguruma's regexes name, in PCRE2's spelling.
namespace corbel {

struct RegexSet {
  std::string items;      // what stands between [ and ]
  bool inverted = false;  // the set is what `items` leave out
};

/// Spells sets as PCRE2 knows them or, with additions (regex_additions.h), as the Unicode of unicode.h does.
class RegexProperties {
 public:
  explicit RegexProperties(bool with_additions) : with_additions_(with_additions) {}

  /// The set of \p{name}: categories, scripts, Alphabetic, Uppercase, Lowercase. What PCRE2 does not know either stays
  /// as it is, and fails to compile. \p{Mn} alone is not exact: U+1171E has become a spacing mark since.
  RegexSet property(std::string_view name) const;
  /// The set of [:name:]; none where PCRE2's own does.
  std::optional<RegexSet> posix(std::string_view name) const;
  /// \w. Outside a class Oniguruma answers for Latin-1 from another table, with superscripts and fractions.
  std::string word(bool in_class) const;
  static std::string_view spaces() noexcept;  // \s: White_Space; PCRE2's own also takes U+180E
  static std::string_view no_spaces() noexcept;

 private:
  bool with_additions_;
};

}  // namespace corbel
