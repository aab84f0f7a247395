#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "corbel/text/jinja_interpreter.h"

namespace corbel::jinja {

/// One field of a format, as Python's format() reads it: [[fill]align][sign][#][0][width][, or _][.precision][type].
struct FormatSpec {
  std::string fill = " ";
  char align = '\0';
  char sign = '\0';
  char grouping = '\0';
  bool alternate = false;
  bool signed_zero = false;  // z: -0 is shown as 0
  std::size_t width = 0;
  std::optional<std::size_t> precision;
  char type = '\0';
};

/// Decimal digits from `at` on; raises where they tell a width that no prompt needs.
std::size_t take_number(std::string_view text, std::size_t& at);

/// Padded to the spec's width; `fallback_align` where the spec has none. '=' puts the fill behind sign and prefix.
std::string padded(std::string text, const FormatSpec& spec, char fallback_align);

/// A real number by type e, E, f, F, g, G, % or '\0' (Python's str, or g with the precision), without its padding.
std::string real_digits(double value, const FormatSpec& spec);
/// A whole number by type d, x, X, o or b, without its padding. `precision` is the least count of digits.
std::string integer_digits(std::int64_t value, const FormatSpec& spec);

/// Python's repr with non-ASCII characters escaped (the conversions !a and %a).
std::string ascii_repr(const Value& value);

}  // namespace corbel::jinja
