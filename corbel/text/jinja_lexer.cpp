#include "corbel/text/jinja_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

constexpr std::array<std::string_view, 24> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-",
                                                         "/",  "*",  "%",  "~",  "[",  "]",  "(", ")",
                                                         "{",  "}",  ">",  "<",  "=",  ".",  ":", "|"};

std::string with_unix_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
      continue;
    }
    out.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {
    if (source_.ends_with('\n')) source_.pop_back();
  }

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const std::size_t open = find_open(at_);
      if (open == std::string::npos) {
        add(TokenType::data, source_.substr(at_));
        break;
      }
      step(open);
    }
    at_ = source_.size();
    add(TokenType::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::string message, std::size_t where) const {
    const auto [line, column] = place(where);
    throw SyntaxError{std::move(message), line, column};
  }

  std::pair<int, int> place(std::size_t where) const {
    // Counted on from the last place asked for: tokens come in order.
    if (where < counted_) return {counted_line_, 1};
    for (; counted_ < where && counted_ < source_.size(); ++counted_) {
      if (source_[counted_] == '\n') {
        ++counted_line_;
        line_begin_ = counted_ + 1;
      }
    }
    return {counted_line_, static_cast<int>(where - line_begin_) + 1};
  }

  void add(TokenType type, std::string text) { add_at(type, std::move(text), at_); }
  void add_at(TokenType type, std::string text, std::size_t where) {
    if (type == TokenType::data && text.empty()) return;
    const auto [line, column] = place(where);
    tokens_.push_back({type, std::move(text), line, column});
  }

  bool starts(std::size_t at, std::string_view what) const {
    return std::string_view(source_).substr(at).starts_with(what);
  }

  std::size_t find_open(std::size_t from) const {
    for (std::size_t at = source_.find('{', from); at != std::string::npos; at = source_.find('{', at + 1)) {
      if (starts(at, "{%") || starts(at, "{{") || starts(at, "{#")) return at;
    }
    return std::string::npos;
  }

  std::size_t skip_space(std::size_t at) const {
    while (at < source_.size()) {
      const Utf8Char c = utf8_at(source_.data() + at);
      if (!is_space(c.code) && !(c.code >= 0x1C && c.code <= 0x1F)) break;
      at += c.bytes;
    }
    return at;
  }

  /// Text before a tag, as the tag's sign and lstrip_blocks leave it.
  void add_data(std::size_t begin, std::size_t end, char sign, bool variable) {
    std::string_view text = std::string_view(source_).substr(begin, end - begin);
    if (sign == '-') {
      text = strip(text, nullptr, Side::right);
    } else if (sign != '+' && !variable) {
      const std::size_t newline = text.rfind('\n');
      const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
      const bool at_line_start = line > 0 || line_starting_;
      if (at_line_start && strip(text.substr(line), nullptr, Side::left).empty()) text = text.substr(0, line);
    }
    add_at(TokenType::data, std::string(text), begin);
  }

  /// Everything from at_ to behind the tag that opens at `open`.
  void step(std::size_t open) {
    const std::size_t begin = at_;
    const char kind = source_[open + 1];
    std::size_t inside = open + 2;
    char sign = inside < source_.size() ? source_[inside] : '\0';
    if (sign == '-' || sign == '+') {
      ++inside;
    } else {
      sign = '\0';
    }
    add_data(begin, open, sign, kind == '{');
    if (kind == '#') return finish_comment(open, inside);
    if (kind == '%') {
      if (const std::size_t raw = raw_begin(inside); raw != std::string::npos) return finish_raw(open, raw);
    }
    at_ = open;
    add(kind == '{' ? TokenType::variable_begin : TokenType::block_begin, "");
    at_ = inside;
    expression(kind == '{');
  }

  void leave(std::size_t end) {
    line_starting_ = end > 0 && source_[end - 1] == '\n';
    at_ = end;
  }

  /// End of a tag whose closing delimiter begins at `at` (its sign first, if it has one), or npos.
  std::size_t close_end(std::size_t at, std::string_view delimiter, bool plus, bool trim) const {
    if (source_[at] == '-' && starts(at + 1, delimiter)) return skip_space(at + 1 + delimiter.size());
    if (plus && source_[at] == '+' && starts(at + 1, delimiter)) return at + 1 + delimiter.size();
    if (!starts(at, delimiter)) return std::string::npos;
    const std::size_t end = at + delimiter.size();
    return trim && end < source_.size() && source_[end] == '\n' ? end + 1 : end;
  }

  void finish_comment(std::size_t open, std::size_t inside) {
    for (std::size_t at = inside; at < source_.size(); ++at) {
      if (const std::size_t end = close_end(at, "#}", true, true); end != std::string::npos) return leave(end);
    }
    fail("a comment does not end", open);
  }

  std::size_t raw_begin(std::size_t inside) const {
    std::size_t at = skip_space(inside);
    if (!starts(at, "raw")) return std::string::npos;
    at = skip_space(at + 3);
    return at < source_.size() ? close_end(at, "%}", false, false) : std::string::npos;
  }

  void finish_raw(std::size_t open, std::size_t begin) {
    for (std::size_t at = source_.find("{%", begin); at != std::string::npos; at = source_.find("{%", at + 1)) {
      std::size_t inside = at + 2;
      const char sign =
          inside < source_.size() && (source_[inside] == '-' || source_[inside] == '+') ? source_[inside] : '\0';
      inside = skip_space(inside + (sign != '\0' ? 1 : 0));
      if (!starts(inside, "endraw")) continue;
      inside = skip_space(inside + 6);
      const std::size_t end = inside < source_.size() ? close_end(inside, "%}", true, true) : std::string::npos;
      if (end == std::string::npos) continue;
      line_starting_ = begin > 0 && source_[begin - 1] == '\n';
      add_data(begin, at, sign, false);
      return leave(end);
    }
    fail("a raw block does not end", open);
  }

  void expression(bool variable) {
    std::string open_brackets;
    const std::size_t begin = at_;
    while (at_ < source_.size()) {
      if (open_brackets.empty()) {
        const std::size_t end = close_end(at_, variable ? "}}" : "%}", !variable, !variable);
        if (end != std::string::npos) {
          add(variable ? TokenType::variable_end : TokenType::block_end, "");
          return leave(end);
        }
      }
      if (const std::size_t after = skip_space(at_); after > at_) {
        at_ = after;
        continue;
      }
      if (!number() && !name() && !string()) operation(open_brackets);
    }
    fail(cat("the tag does not end: \"", variable ? "}}" : "%}", "\" expected"), begin);
  }

  /// Digits with single underscores between them; appends them to `digits`. At least one.
  bool take_digits(std::size_t& at, std::string& digits) const {
    if (at >= source_.size() || !is_digit(source_[at])) return false;
    while (at < source_.size() &&
           (is_digit(source_[at]) || (source_[at] == '_' && at + 1 < source_.size() && is_digit(source_[at + 1])))) {
      if (source_[at] != '_') digits.push_back(source_[at]);
      ++at;
    }
    return true;
  }

  /// 0x1F, 0o17, 0b101 as decimal digits; false where there is none.
  bool prefixed_number() {
    constexpr std::string_view kLetters = "xob";
    constexpr std::array<int, 3> kBases = {16, 8, 2};
    if (source_[at_] != '0' || at_ + 1 >= source_.size()) return false;
    const std::size_t kind = kLetters.find(static_cast<char>(source_[at_ + 1] | 0x20));
    if (kind == std::string_view::npos) return false;
    const auto digit = [&](std::size_t at) {
      const char c = at < source_.size() ? source_[at] : ' ';
      const int value = is_digit(c) ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99;
      return value < kBases[kind];
    };
    std::string digits;
    std::size_t at = at_ + 2;
    while (digit(at) || (at < source_.size() && source_[at] == '_' && digit(at + 1))) {
      if (source_[at] != '_') digits.push_back(source_[at]);
      ++at;
    }
    if (digits.empty()) return false;
    std::int64_t value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value, kBases[kind]).ec != std::errc()) {
      fail("a whole number is beyond 64 bits", at_);
    }
    add(TokenType::integer, cat(value));
    at_ = at;
    return true;
  }

  bool number() {
    if (prefixed_number()) return true;
    std::size_t at = at_;
    std::string digits;
    if (!take_digits(at, digits)) return false;
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    bool real = false;
    if (!after_dot && at + 1 < source_.size() && source_[at] == '.' && is_digit(source_[at + 1])) {
      digits.push_back('.');
      take_digits(++at, digits);
      real = true;
    }
    if (!after_dot && at < source_.size() && (source_[at] == 'e' || source_[at] == 'E')) {
      std::size_t exponent = at + 1;
      std::string text = "e";
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) {
        text.push_back(source_[exponent++]);
      }
      if (take_digits(exponent, text)) {
        digits += text;
        at = exponent;
        real = true;
      }
    }
    if (!real && digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of('0') != std::string::npos) {
      fail("a whole number must not begin with 0", at_);
    }
    add(real ? TokenType::real : TokenType::integer, std::move(digits));
    at_ = at;
    return true;
  }

  bool name() {
    std::size_t at = at_;
    while (at < source_.size()) {
      const Utf8Char c = utf8_at(source_.data() + at);
      if (c.code != '_' && !is_word(c.code)) break;
      at += c.bytes;
    }
    if (at == at_) return false;
    add(TokenType::name, source_.substr(at_, at - at_));
    at_ = at;
    return true;
  }

  bool string() {
    const char quote = source_[at_];
    if (quote != '"' && quote != '\'') return false;
    std::string text;
    std::size_t at = at_ + 1;
    while (at < source_.size() && source_[at] != quote) {
      if (source_[at] == '\\') {
        escape(++at, text);
      } else {
        text.push_back(source_[at++]);
      }
    }
    if (at >= source_.size()) fail("a string does not end", at_);
    add(TokenType::text, std::move(text));
    at_ = at + 1;
    return true;
  }

  /// One escape of Python's string literals; `at` stands behind the backslash.
  void escape(std::size_t& at, std::string& out) const {
    if (at >= source_.size()) return;
    const char c = source_[at++];
    constexpr std::string_view kFrom = "nrtabfv\\'\"";
    constexpr std::string_view kTo = "\n\r\t\a\b\f\v\\'\"";
    if (const std::size_t known = kFrom.find(c); known != std::string_view::npos) {
      out.push_back(kTo[known]);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      std::uint32_t code = 0;
      const char* begin = source_.data() + at;
      const char* end = begin + std::min(digits, source_.size() - at);
      const auto parsed = std::from_chars(begin, end, code, 16);
      if (parsed.ec != std::errc() || parsed.ptr != begin + digits || code > 0x10FFFF ||
          (code >= 0xD800 && code < 0xE000)) {
        fail(cat("a string has a wrong escape \\", c), at - 2);
      }
      append_utf8(out, code);
      at += digits;
    } else if (c >= '0' && c <= '7') {
      std::uint32_t code = static_cast<std::uint32_t>(c - '0');
      for (int i = 0; i < 2 && at < source_.size() && source_[at] >= '0' && source_[at] <= '7'; ++i) {
        code = code * 8 + static_cast<std::uint32_t>(source_[at++] - '0');
      }
      append_utf8(out, code);
    } else if (c != '\n') {
      out.push_back('\\');
      out.push_back(c);
    }
  }

  void operation(std::string& open_brackets) {
    const std::string_view rest = std::string_view(source_).substr(at_);
    std::string_view found;
    if (rest[0] == ',' || rest[0] == ';') found = rest.substr(0, 1);
    for (std::size_t i = 0; found.empty() && i < kOperators.size(); ++i) {
      if (rest.starts_with(kOperators[i])) found = kOperators[i];
    }
    if (found.empty()) fail(cat("unexpected character \"", rest.substr(0, utf8_at(rest.data()).bytes), "\""), at_);
    const char c = found[0];
    if (c == '(' || c == '[' || c == '{') open_brackets.push_back(c);
    if (c == ')' || c == ']' || c == '}') {
      const char opened = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open_brackets.empty() || open_brackets.back() != opened) fail(cat("unexpected \"", c, "\""), at_);
      open_brackets.pop_back();
    }
    add(TokenType::op, std::string(found));
    at_ += found.size();
  }

  std::string source_;
  std::size_t at_ = 0;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
  mutable std::size_t counted_ = 0;
  mutable std::size_t line_begin_ = 0;
  mutable int counted_line_ = 1;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(with_unix_newlines(source)).run(); }

}  // namespace corbel::jinja
