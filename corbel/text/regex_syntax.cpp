#include "corbel/text/regex_syntax.h"

#include <vector>

#include "corbel/base/cat.h"
#include "corbel/text/regex_properties.h"

namespace corbel {
namespace {

constexpr std::string_view kHexDigits = "0-9A-Fa-f";

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

class Translation {
 public:
  Translation(std::string_view source, bool with_additions)
      : source_(source), properties_(with_additions), word_(properties_.word(false)) {}

  Result<std::string> run() {
    if (source_.starts_with("(*")) return refuse("control verbs");
    std::string out;
    while (at_ < source_.size()) {
      if (source_[at_] == '\\') {
        CORBEL_TRY(escape(out, nullptr));
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
    std::string others;              // alternatives to it, each with a | in front: complements PCRE2 has no item for
    std::vector<std::string> parts;  // spelled classes
    std::string spelled() const {
      if (parts.empty() && others.empty()) return cat("[", negated ? "^" : "", body, "]");
      std::string all = parts.empty() ? either(body, others) : "";
      if (parts.empty() && !negated) return all;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        all += i + 1 < parts.size() ? cat("(?=", parts[i], ")") : parts[i];
      }
      return negated ? cat("(?:(?!", all, ")(?s:.))") : cat("(?:", all, ")");
    }
  };

  static constexpr int kMaxDepth = 16;

  static std::string either(const std::string& body, const std::string& others) {
    if (others.empty()) return cat("[", body, "]");
    return body.empty() ? cat("(?:", others.substr(1), ")") : cat("(?:[", body, "]", others, ")");
  }

  Failure refuse(std::string_view what) const {
    return fail(Code::unsupported,
                cat("the regex \"", source_, "\" has ", what, " near byte ", at_, ", which is not supported"));
  }

  /// Writes a set, in or outside a class.
  static void put(const RegexSet& set, std::string& out, std::string* others) {
    const bool one = set.items.starts_with("\\p{") && set.items.find('}') + 1 == set.items.size();
    if (one) {
      out += set.inverted ? cat("\\P", set.items.substr(2)) : set.items;
    } else if (others == nullptr) {
      out += cat(set.inverted ? "[^" : "[", set.items, "]");
    } else if (set.inverted) {
      *others += cat("|[^", set.items, "]");
    } else {
      out += set.items;
    }
  }

  /// Copies one escape; `others` is that of the class it stands in, or none.
  Result<void> escape(std::string& out, std::string* others) {
    if (at_ + 1 == source_.size()) return refuse("a backslash at its end");
    const char escaped = source_[at_ + 1];
    const bool in_class = others != nullptr;
    const auto set = [&](std::string_view items, bool inverted) {
      at_ += 2;
      put({std::string(items), inverted}, out, others);
    };
    switch (escaped) {
      case 's': set(RegexProperties::spaces(), false); return {};
      case 'S': set(in_class ? RegexProperties::no_spaces() : RegexProperties::spaces(), !in_class); return {};
      case 'd':
      case 'D': set(properties_.property("Nd").items, escaped == 'D'); return {};
      case 'h': set(kHexDigits, false); return {};
      case 'H': set(kHexDigits, true); return {};
      case 'w':
      case 'W': set(in_class ? properties_.word(true) : word_, escaped == 'W'); return {};
      case 'b':
      case 'B':
        if (in_class) break;
        at_ += 2;
        out += escaped == 'b' ? cat("(?:(?<=[", word_, "])(?![", word_, "])|(?<![", word_, "])(?=[", word_, "]))")
                              : cat("(?:(?<=[", word_, "])(?=[", word_, "])|(?<![", word_, "])(?![", word_, "]))");
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
        RegexSet found = properties_.property(source_.substr(name, stop - name));
        if (negated != (escaped == 'P')) found.inverted = !found.inverted;
        put(found, out, others);
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
        found.parts.push_back(take_part(body, found.others, only_class));
      } else if (source_[at_] == '\\') {
        CORBEL_TRY(escape(body, &found.others));
      } else if (source_.substr(at_).starts_with("[:")) {
        const std::size_t stop = source_.find(":]", at_);
        if (stop == std::string_view::npos) return refuse("[: without :]");
        if (const auto set = properties_.posix(source_.substr(at_ + 2, stop - at_ - 2))) {
          put(*set, body, &found.others);
        } else {
          body += source_.substr(at_, stop + 2 - at_);
        }
        at_ = stop + 2;
      } else if (source_[at_] == '[') {
        CORBEL_ASSIGN(const Class inner, char_class(depth + 1));
        const bool alone = body.empty() && found.others.empty() && only_class.empty() &&
                           (source_.substr(at_).starts_with("&&") || source_.substr(at_).starts_with("]"));
        if (alone && (inner.negated || !inner.parts.empty())) {
          only_class = inner.spelled();
        } else if (inner.negated || !inner.parts.empty()) {
          return refuse("a negated class within a class");
        } else {
          body += inner.body;
          found.others += inner.others;
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
      found.parts.push_back(take_part(body, found.others, only_class));
    }
    return found;
  }

  static std::string take_part(std::string& body, std::string& others, std::string& only_class) {
    std::string part = only_class.empty() ? either(body, others) : only_class;
    body.clear();
    others.clear();
    only_class.clear();
    return part;
  }

  std::string_view source_;
  RegexProperties properties_;
  std::string word_;  // \\w outside a class
  std::size_t at_ = 0;
};

}  // namespace

Result<std::string> to_pcre2(std::string_view source, bool with_additions) {
  return Translation(source, with_additions).run();
}

}  // namespace corbel
