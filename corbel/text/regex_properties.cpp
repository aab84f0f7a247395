#define PCRE2_CODE_UNIT_WIDTH 8
#include "corbel/text/regex_properties.h"

#include <pcre2.h>

#include <charconv>

#include "corbel/base/cat.h"
#include "corbel/text/regex_additions.h"

namespace corbel {
namespace {

using regex_additions::Addition;
using regex_additions::kRows;

constexpr std::string_view kSpaces =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNoSpaces =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
// All categories but the unassigned, and without the rest of C.
constexpr std::string_view kNoOther = R"(\p{L}\p{M}\p{N}\p{P}\p{S}\p{Z})";
constexpr std::string_view kAssignedOther = R"(\p{Cc}\p{Cf}\p{Co}\p{Cs})";

struct PropertyName {
  std::string_view long_name;  // lower case, without separators: Oniguruma ignores both
  std::string_view pcre2;
};
constexpr PropertyName kProperties[] = {
    {"letter", "L"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"mark", "M"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"number", "N"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"punctuation", "P"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"otherpunctuation", "Po"},
    {"symbol", "S"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"separator", "Z"},
    {"spaceseparator", "Zs"},
    {"other", "C"},
    {"alpha", "Alphabetic"},
    {"upper", "Uppercase"},
    {"lower", "Lowercase"},
    {"digit", "Nd"},
    {"punct", "P"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"lineseparator", "Zl"},
    {"paragraphseparator", "Zp"},
    {"control", "Cc"},
    {"format", "Cf"},
    {"privateuse", "Co"},
    {"unassigned", "Cn"},
};

bool is_script(std::string_view name) {
  const std::string probe = cat("\\p{sc:", name, "}");
  int error = 0;
  std::size_t where = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(probe.data()), probe.size(), PCRE2_UTF, &error, &where, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    plain.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
  }
  return plain;
}

/// PCRE2's name of a property that is no script; empty for others.
std::string_view property_name(std::string_view name) {
  const std::string plain = plain_name(name);
  for (const PropertyName& known : kProperties) {
    if (known.long_name == plain || plain_name(known.pcre2) == plain) return known.pcre2;
  }
  return {};
}

void append_range(std::string& out, const Addition& row) {
  const auto append = [&out](char32_t code) {
    char digits[8];
    const auto end = std::to_chars(digits, digits + sizeof digits, static_cast<std::uint32_t>(code), 16).ptr;
    out += cat("\\x{", std::string_view(digits, static_cast<std::size_t>(end - digits)), "}");
  };
  append(row.first);
  if (row.last == row.first) return;
  out.push_back('-');
  append(row.last);
}

template <typename Test>
std::string ranges_of(Test test) {
  std::string out;
  for (const Addition& row : kRows) {
    if (test(row)) append_range(out, row);
  }
  return out;
}

/// `name` as property_name() gives it.
std::string additions_of_property(std::string_view name) {
  return ranges_of([name](const Addition& row) {
    if (name == "Alphabetic") return row.alphabetic;
    if (name == "Uppercase") return row.category == "Lu";
    if (name == "Lowercase") return row.lowercase;
    return row.category.starts_with(name);
  });
}

std::string additions_of_script(std::string_view name) {
  return ranges_of([plain = plain_name(name)](const Addition& row) { return plain_name(row.script) == plain; });
}

}  // namespace

std::string_view RegexProperties::spaces() noexcept { return kSpaces; }
std::string_view RegexProperties::no_spaces() noexcept { return kNoSpaces; }

RegexSet RegexProperties::property(std::string_view name) const {
  const std::string_view known = property_name(name);
  if (known.empty()) {
    // PCRE2's \p{Han} would also take what is only used with Han, as the ideographic full stop.
    const bool script = name.size() > 2 && is_script(name);
    std::string additions = script && !with_additions_ ? "" : additions_of_script(name);
    if (script) return {cat("\\p{sc:", name, "}", additions)};
    return {additions.empty() ? cat("\\p{", name, "}") : std::move(additions)};
  }
  if (!with_additions_) return {cat("\\p{", known, "}")};
  if (known == "C") {
    return {cat(kNoOther, ranges_of([](const Addition& row) { return row.category[0] != 'C'; })), true};
  }
  if (known == "Cn") return {cat(kNoOther, kAssignedOther, ranges_of([](const Addition&) { return true; })), true};
  return {cat("\\p{", known, "}", additions_of_property(known))};
}

std::optional<RegexSet> RegexProperties::posix(std::string_view name) const {
  if (name.starts_with("^")) {
    auto found = posix(name.substr(1));
    if (found) found->inverted = !found->inverted;
    return found;
  }
  if (name == "word") return RegexSet{word(true)};
  if (name == "space") return RegexSet{std::string(kSpaces)};
  if (name == "alnum") return RegexSet{property("Alphabetic").items + property("Nd").items};
  if (name == "punct") return RegexSet{property("P").items + property("S").items};
  if (name == "alpha" || name == "upper" || name == "lower" || name == "digit") return property(name);
  if (with_additions_ && (name == "print" || name == "graph")) {
    return RegexSet{cat("[:", name, ":]", ranges_of([](const Addition&) { return true; }))};
  }
  return std::nullopt;
}

std::string RegexProperties::word(bool in_class) const {
  // Alphabetic, marks, decimal digits and connectors. PCRE2's own \w lacks marks.
  std::string items = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
  if (with_additions_) {
    items += ranges_of([](const Addition& row) {
      return row.alphabetic || row.category[0] == 'M' || row.category == "Nd" || row.category == "Pc";
    });
  }
  return in_class ? items : cat(items, R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})");
}

}  // namespace corbel
