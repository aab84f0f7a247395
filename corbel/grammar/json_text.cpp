#include "corbel/grammar/json_text.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace corbel {
namespace {

constexpr char kHex[] = "0123456789abcdef";

ByteSet byte_set(std::string_view members) {
  ByteSet set;
  for (const char c : members) set.add(static_cast<std::uint8_t>(c));
  return set;
}

Regular::Id digits(Regular& regular, std::uint32_t min, std::uint32_t max) {
  return regular.repeat(regular.byte_range('0', '9'), min, max);
}

}  // namespace

void append_json_character(std::string& out, char c) {
  constexpr std::string_view kShort = "\b\f\n\r\t\"\\";
  constexpr std::string_view kLetter = "bfnrt\"\\";
  if (const std::size_t at = kShort.find(c); at != std::string_view::npos) {
    out += '\\';
    out += kLetter[at];
  } else if (static_cast<std::uint8_t>(c) < 0x20) {
    out += "\\u00";
    out += kHex[static_cast<std::uint8_t>(c) >> 4];
    out += kHex[c & 15];
  } else {
    out += c;
  }
}

std::string json_string_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) append_json_character(out, c);
  return out + '"';
}

bool is_rounded(const Json& value) {
  constexpr double kWhole64 = 18446744073709551616.0;  // 2^64
  if (value.is_structured()) return std::any_of(value.begin(), value.end(), is_rounded);
  return value.is_number_float() && std::abs(value.get<double>()) >= kWhole64;
}

std::string json_text(const Json& value) {
  if (value.is_string()) return json_string_text(value.get_ref<const std::string&>());
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) < 9007199254740992.0 && number == std::floor(number)) {
      return std::to_string(static_cast<std::int64_t>(number));
    }
    return value.dump();
  }
  if (!value.is_structured()) return value.dump();
  std::string out(1, value.is_array() ? '[' : '{');
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (out.size() > 1) out += ',';
    if (value.is_object()) out += json_string_text(it.key()) + ':';
    out += json_text(it.value());
  }
  return out + (value.is_array() ? ']' : '}');
}

Regular::Id json_character(Regular& regular) {
  const auto set = [&regular](std::string_view members) { return regular.bytes(byte_set(members)); };
  const Regular::Id hex = set("0123456789abcdefABCDEF");
  const Regular::Id raw =
      regular.bytes(ByteSet::range(0x20, 0x21) | ByteSet::range(0x23, 0x5B) | ByteSet::range(0x5D, 0x7F));
  const Regular::Id tail = regular.byte_range(0x80, 0xBF);
  const Regular::Id three = regular.concat(tail, tail);
  const Regular::Id multibyte = regular.either({
      regular.concat(regular.byte_range(0xC2, 0xDF), tail),
      regular.concat({regular.byte_range(0xE0, 0xE0), regular.byte_range(0xA0, 0xBF), tail}),
      regular.concat(regular.bytes(ByteSet::range(0xE1, 0xEC) | ByteSet::range(0xEE, 0xEF)), three),
      regular.concat({regular.byte_range(0xED, 0xED), regular.byte_range(0x80, 0x9F), tail}),
      regular.concat({regular.byte_range(0xF0, 0xF0), regular.byte_range(0x90, 0xBF), three}),
      regular.concat({regular.byte_range(0xF1, 0xF3), tail, three}),
      regular.concat({regular.byte_range(0xF4, 0xF4), regular.byte_range(0x80, 0x8F), three}),
  });
  const Regular::Id d = set("dD");
  const Regular::Id unit = regular.either({
      regular.concat({set("0123456789abcefABCEF"), hex, hex, hex}),  // no surrogate
      regular.concat({d, set("01234567"), hex, hex}),
      regular.concat({d, set("89abAB"), hex, hex, regular.literal("\\u"), d, set("cdefCDEF"), hex, hex}),
  });
  const Regular::Id escape =
      regular.concat(set("\\"), regular.either({set("\"\\/bfnrt"), regular.concat(set("u"), unit)}));
  return regular.either({raw, multibyte, escape});
}

Regular::Id json_integer(Regular& regular) {
  const Regular::Id zero = regular.byte_range('0', '0');
  const Regular::Id rest = digits(regular, 0, kMaxDigits - 1);
  return regular.concat(regular.optional(regular.literal("-")),
                        regular.either({zero, regular.concat(regular.byte_range('1', '9'), rest)}));
}

Regular::Id json_number(Regular& regular) {
  const Regular::Id fraction = regular.concat(regular.literal("."), digits(regular, 1, kMaxDigits));
  const Regular::Id exponent = regular.concat(
      {regular.bytes(byte_set("eE")), regular.optional(regular.bytes(byte_set("+-"))), digits(regular, 1, 2)});
  return regular.concat({json_integer(regular), regular.optional(fraction), regular.optional(exponent)});
}

}  // namespace corbel
