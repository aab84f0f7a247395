#include "corbel/grammar/string_formats.h"

#include <algorithm>
#include <array>

// The pieces are macros because string literals alone are joined by the compiler.
#define CORBEL_YEAR "(?:000[1-9]|00[1-9]\\d|0[1-9]\\d\\d|[1-9]\\d{3})"
#define CORBEL_LEAP_YEAR "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
#define CORBEL_DATE                                                                                  \
  "(?:" CORBEL_YEAR                                                                                  \
  "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]" \
  "|1\\d|2[0-8]))|" CORBEL_LEAP_YEAR "-02-29)"
#define CORBEL_TIME "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define CORBEL_OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define CORBEL_IPV4 CORBEL_OCTET "\\." CORBEL_OCTET "\\." CORBEL_OCTET "\\." CORBEL_OCTET
#define CORBEL_H16 "[0-9A-Fa-f]{1,4}"
#define CORBEL_LS32 "(?:" CORBEL_H16 ":" CORBEL_H16 "|" CORBEL_IPV4 ")"
// RFC 3986, IPv6address.
#define CORBEL_IPV6                                                                                       \
  "(?:(?:" CORBEL_H16 ":){6}" CORBEL_LS32 "|::(?:" CORBEL_H16 ":){5}" CORBEL_LS32 "|(?:" CORBEL_H16       \
  ")?::(?:" CORBEL_H16 ":){4}" CORBEL_LS32 "|(?:(?:" CORBEL_H16 ":){0,1}" CORBEL_H16 ")?::(?:" CORBEL_H16 \
  ":){3}" CORBEL_LS32 "|(?:(?:" CORBEL_H16 ":){0,2}" CORBEL_H16 ")?::(?:" CORBEL_H16 ":){2}" CORBEL_LS32  \
  "|(?:(?:" CORBEL_H16 ":){0,3}" CORBEL_H16 ")?::" CORBEL_H16 ":" CORBEL_LS32 "|(?:(?:" CORBEL_H16        \
  ":){0,4}" CORBEL_H16 ")?::" CORBEL_LS32 "|(?:(?:" CORBEL_H16 ":){0,5}" CORBEL_H16 ")?::" CORBEL_H16     \
  "|(?:(?:" CORBEL_H16 ":){0,6}" CORBEL_H16 ")?::)"
#define CORBEL_LABELS "[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?:\\.[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*)*"
#define CORBEL_PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define CORBEL_PATH "(?:/" CORBEL_PCHAR "*)*"
#define CORBEL_TAIL "(?:\\?(?:" CORBEL_PCHAR "|[/?])*)?(?:#(?:" CORBEL_PCHAR "|[/?])*)?"
#define CORBEL_AUTHORITY "//(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?(?:" CORBEL_LABELS ")(?::\\d{1,5})?"
#define CORBEL_URI \
  "[A-Za-z][A-Za-z0-9+.-]*:(?:" CORBEL_AUTHORITY CORBEL_PATH "|/?" CORBEL_PCHAR "+" CORBEL_PATH ")" CORBEL_TAIL
#define CORBEL_DURATION_TIME "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)"
#define CORBEL_DURATION                                                                                        \
  "P(?:(?:\\d+D|\\d+M(?:\\d+D)?|\\d+Y(?:\\d+M(?:\\d+D)?)?)(?:" CORBEL_DURATION_TIME ")?|" CORBEL_DURATION_TIME \
  "|\\d+"                                                                                                      \
  "W)"

namespace corbel {
namespace {

struct Format {
  std::string_view name;
  std::array<std::string_view, 2> patterns;
};

// Lengths of labels (63) and hosts (253) together would need 16,000 states: hosts of at most 4 or 8 labels are written.
constexpr std::string_view kHostLengths =
    "[^.]{1,63}|[^.]{1,61}(?:\\.[^.]{1,63}){1,3}|[^.]{1,30}(?:\\.[^.]{1,30}){1,7}";

constexpr Format kFormats[] = {
    {"date-time", {CORBEL_DATE "T" CORBEL_TIME}},
    {"date", {CORBEL_DATE}},
    {"time", {CORBEL_TIME}},
    {"duration", {CORBEL_DURATION}},
    {"email",
     {"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,31}(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,32})?@" CORBEL_LABELS,
      "[^@]*@[^@]{1,190}"}},
    {"hostname", {CORBEL_LABELS, kHostLengths}},
    {"ipv4", {CORBEL_IPV4}},
    {"ipv6", {CORBEL_IPV6}},
    {"uuid", {"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"}},
    {"uri", {CORBEL_URI}},
    {"uri-reference",
     {"(?:" CORBEL_URI "|(?:" CORBEL_AUTHORITY CORBEL_PATH "|(?:/" CORBEL_PCHAR "+" CORBEL_PATH
      "|[A-Za-z0-9._~-]+" CORBEL_PATH ")?)" CORBEL_TAIL ")"}},
    {"json-pointer", {"(?:/(?:[^~/]|~[01])*)*"}},
    {"relative-json-pointer", {"(?:0|[1-9]\\d*)(?:#|(?:/(?:[^~/]|~[01])*)*)"}},
};

constexpr std::array<std::string_view, std::size(kFormats)> kNames = [] {
  std::array<std::string_view, std::size(kFormats)> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kFormats[i].name;
  return names;
}();

}  // namespace

std::optional<std::vector<std::string_view>> string_format(std::string_view name) {
  for (const Format& format : kFormats) {
    if (format.name != name) continue;
    std::vector<std::string_view> patterns;
    for (const std::string_view pattern : format.patterns) {
      if (!pattern.empty()) patterns.push_back(pattern);
    }
    return patterns;
  }
  return std::nullopt;
}

bool is_annotation_format(std::string_view name) {
  constexpr std::string_view kNamesOfStorage[] = {"float",  "double", "decimal", "password",
                                                  "binary", "byte",   "int32",   "int64"};
  return std::find(std::begin(kNamesOfStorage), std::end(kNamesOfStorage), name) != std::end(kNamesOfStorage);
}

std::span<const std::string_view> string_format_names() { return kNames; }

}  // namespace corbel
