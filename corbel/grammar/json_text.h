#pragma once
#include <string>
#include <string_view>

#include "corbel/base/json.h"
#include "corbel/grammar/regular.h"

/// How JSON values are written: the one canonical text of a value, and the languages of values of each kind.
namespace corbel {

/// One byte of a string as JSON writes it between the marks; bytes of longer UTF-8 characters stay as they are.
void append_json_character(std::string& out, char c);

/// `text` (valid UTF-8) with its marks.
std::string json_string_text(std::string_view text);

/// A value without spaces, keys in their order. Whole numbers below 2^53 have neither point nor exponent.
std::string json_text(const Json& value);

/// Is a number in it of 2^64 or more: perhaps a whole one that was rounded when it was read?
bool is_rounded(const Json& value);

/// One character of a string in every way that JSON can write it: UTF-8, a short escape, \uXXXX, a pair of surrogates.
/// Lone surrogates are none.
Regular::Id json_character(Regular& regular);

/// Digits that a number may have before and after its point. Bounded, so that a number ends, and inside what a double
/// holds.
inline constexpr std::uint32_t kMaxDigits = 40;

Regular::Id json_integer(Regular& regular);
Regular::Id json_number(Regular& regular);

}  // namespace corbel
