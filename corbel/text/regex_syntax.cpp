#define PCRE2_CODE_UNIT_WIDTH 8
#include "corbel/text/regex_syntax.h"

#include <pcre2.h>

#include <vector>

#include "corbel/base/cat.h"

namespace corbel {
namespace {

// White_Space; PCRE2's own \s also takes U+180E.
constexpr std::string_view kSpaces =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNoSpaces =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
// Alphabetic, marks, decimal digits and connectors. PCRE2's own \w lacks marks. Outside a class Oniguruma answers for
// Latin-1 from another table, in which the superscripts and fractions count too.
constexpr std::string_view kWordInClass = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
constexpr std::string_view kHexDigits = "0-9A-Fa-f";

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

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

/// PCRE2's name of a property. Its \p{Han} would also take what is only used with Han, as the ideographic full stop.
std::string property(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    plain.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
  }
  for (const PropertyName& known : kProperties) {
    if (known.long_name == plain) return std::string(known.pcre2);
  }
  return plain.size() > 2 && is_script(name) ? cat("sc:", name) : std::string(name);
}

class Translation {
 public:
  explicit Translation(std::string_view source) : source_(source) {}

  Result<std::string> run() {
    if (source_.starts_with("(*")) return refuse("control verbs");
    std::string out;
    while (at_ < source_.size()) {
      if (source_[at_] == '\\') {
        CORBEL_TRY(escape(out, false));
      } else if (source_[at_] == '[') {
        CORBEL_ASSIGN(const Class found, char_class(0));
        out += found.spelled();
      } else if (source_.substr(at_).starts_with("(?") && group_options(out)) {
        continue;
      } else {
        out.push_back(source_[at_++]);
      }
    }
    return out;
  }

 private:
  /// A class whose parts are joined by &&, each a class of its own where there are several.
  struct Class {
    bool negated = false;
    std::string body;                // what stands between [ and ]; the only part
    std::vector<std::string> parts;  // spelled classes
    std::string spelled() const {
      if (parts.empty()) return cat("[", negated ? "^" : "", body, "]");
      std::string all;
      for (std::size_t i = 0; i + 1 < parts.size(); ++i) all += cat("(?=", parts[i], ")");
      all += parts.back();
      return negated ? cat("(?:(?!", all, ")(?s:.))") : cat("(?:", all, ")");
    }
  };

  static constexpr int kMaxDepth = 16;

  Failure refuse(std::string_view what) const {
    return fail(Code::unsupported,
                cat("the regex \"", source_, "\" has ", what, " near byte ", at_, ", which is not supported"));
  }

  /// Copies one escape, in or outside a class.
  Result<void> escape(std::string& out, bool in_class) {
    if (at_ + 1 == source_.size()) return refuse("a backslash at its end");
    const char escaped = source_[at_ + 1];
    const auto chars = [&](std::string_view body, bool negated) {
      at_ += 2;
      out += in_class ? std::string(body) : cat(negated ? "[^" : "[", body, "]");
    };
    switch (escaped) {
      case 's': chars(kSpaces, false); return {};
      case 'S': chars(in_class ? kNoSpaces : kSpaces, true); return {};
      case 'w': chars(in_class ? kWordInClass : kWord, false); return {};
      case 'h': chars(kHexDigits, false); return {};
      case 'W':
      case 'H':
        if (in_class) return refuse("\\W or \\H inside a class");
        chars(escaped == 'W' ? kWord : kHexDigits, true);
        return {};
      case 'b':
      case 'B':
        if (in_class) break;
        at_ += 2;
        out += escaped == 'b' ? cat("(?:(?<=[", kWord, "])(?![", kWord, "])|(?<![", kWord, "])(?=[", kWord, "]))")
                              : cat("(?:(?<=[", kWord, "])(?=[", kWord, "])|(?<![", kWord, "])(?![", kWord, "]))");
        return {};
      case 'u': {
        const std::string_view digits = source_.substr(at_ + 2, 4);
        if (digits.size() < 4 || !is_hex(digits[0]) || !is_hex(digits[1]) || !is_hex(digits[2]) || !is_hex(digits[3])) {
          return refuse("\\u without four hexadecimal digits");
        }
        out += cat("\\x{", digits, "}");
        at_ += 6;
        return {};
      }
      case 'p':
      case 'P': {
        const std::size_t stop = source_.find('}', at_);
        if (source_.substr(at_ + 2, 1) != "{" || stop == std::string_view::npos) break;
        const bool negated = source_.substr(at_ + 3, 1) == "^";
        const std::size_t name = at_ + (negated ? 4 : 3);
        out += cat("\\", escaped, negated ? "{^" : "{", property(source_.substr(name, stop - name)), "}");
        at_ = stop + 1;
        return {};
      }
      case 'Q':
      case 'E':
      case 'C': return refuse("\\Q, \\E or \\C");
      default: break;
    }
    out += source_.substr(at_, 2);
    at_ += 2;
    return {};
  }

  /// (?m), (?i-m:...) and the like, where m stands for dot-all. False, and nothing read, for other groups.
  bool group_options(std::string& out) {
    std::size_t stop = at_ + 2;
    while (stop < source_.size() && std::string_view("imx-").find(source_[stop]) != std::string_view::npos) ++stop;
    if (stop == at_ + 2 || stop == source_.size() || (source_[stop] != ':' && source_[stop] != ')')) return false;
    for (; at_ <= stop; ++at_) out.push_back(source_[at_] == 'm' ? 's' : source_[at_]);
    return true;
  }

  /// REQUIRES: at a [. Reads to behind its ].
  Result<Class> char_class(int depth) {
    if (depth == kMaxDepth) return refuse("classes nested too deep");
    Class found;
    ++at_;
    if (at_ < source_.size() && source_[at_] == '^') {
      found.negated = true;
      ++at_;
    }
    std::string body;
    std::string only_class;  // the part is one class within this class, and nothing else
    const std::size_t first = at_;
    while (at_ < source_.size() && (source_[at_] != ']' || at_ == first)) {
      if (source_.substr(at_).starts_with("&&")) {
        at_ += 2;
        found.parts.push_back(take_part(body, only_class));
      } else if (source_[at_] == '\\') {
        CORBEL_TRY(escape(body, true));
      } else if (source_.substr(at_).starts_with("[:")) {
        const std::size_t stop = source_.find(":]", at_);
        if (stop == std::string_view::npos) return refuse("[: without :]");
        body += source_.substr(at_, stop + 2 - at_);
        at_ = stop + 2;
      } else if (source_[at_] == '[') {
        CORBEL_ASSIGN(const Class inner, char_class(depth + 1));
        const bool alone = body.empty() && only_class.empty() &&
                           (source_.substr(at_).starts_with("&&") || source_.substr(at_).starts_with("]"));
        if (alone && (inner.negated || !inner.parts.empty())) {
          only_class = inner.spelled();
        } else if (inner.negated || !inner.parts.empty()) {
          return refuse("a negated class within a class");
        } else {
          body += inner.body;
        }
      } else {
        if (source_[at_] == '^' && body.empty()) body.push_back('\\');
        body.push_back(source_[at_++]);
      }
    }
    if (at_ == source_.size()) return refuse("a class without its ]");
    ++at_;
    if (found.parts.empty() && only_class.empty()) {
      found.body = std::move(body);
    } else {
      found.parts.push_back(take_part(body, only_class));
    }
    return found;
  }

  static std::string take_part(std::string& body, std::string& only_class) {
    std::string part = only_class.empty() ? cat("[", body, "]") : only_class;
    body.clear();
    only_class.clear();
    return part;
  }

  std::string_view source_;
  std::size_t at_ = 0;
};

}  // namespace

Result<std::string> to_pcre2(std::string_view source) { return Translation(source).run(); }

}  // namespace corbel
