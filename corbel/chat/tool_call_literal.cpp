#include "corbel/chat/tool_call_literal.h"

#include <cstdint>

#include "corbel/chat/tool_call_json.h"

namespace corbel {
namespace {

constexpr int kMaxDepth = 64;

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

bool is_name_byte(char byte) {
  return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' || byte == '-' ||
         byte == '.' || static_cast<unsigned char>(byte) >= 0x80;
}

}  // namespace

void LiteralReader::skip_blanks() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
}

bool LiteralReader::take(std::string_view expected) {
  if (expected.empty() || text_.substr(at_, expected.size()) != expected) return false;
  at_ += expected.size();
  return true;
}

std::string_view LiteralReader::name() {
  const std::size_t start = at_;
  while (at_ < text_.size() && is_name_byte(text_[at_])) ++at_;
  return text_.substr(start, at_ - start);
}

bool LiteralReader::value(std::string& out) {
  skip_blanks();
  if (at_end()) return false;
  if (text_.substr(at_, syntax_->string_mark.size()) == syntax_->string_mark && !syntax_->string_mark.empty()) {
    return marked(out);
  }
  const char first = text_[at_];
  if (first == '"' || first == '\'') return quoted(out);
  if (first == '-' || first == '.' || is_digit(first)) return number(out);
  if (first == '{' || first == '[' || first == '(') {
    if (++depth_ > kMaxDepth) return false;
    ++at_;
    const bool read = first == '{' ? object(out) : array(out, first == '[' ? ']' : ')');
    --depth_;
    return read;
  }
  const std::string_view word = name();
  if (word == "true" || word == "True") {
    out += "true";
  } else if (word == "false" || word == "False") {
    out += "false";
  } else if (word == "null" || word == "None") {
    out += "null";
  } else {
    return false;
  }
  return true;
}

bool LiteralReader::object(std::string& out) {
  out += '{';
  for (bool first = true;; first = false) {
    skip_blanks();
    if (take("}")) break;
    if (!first) out += ", ";
    if (!key(out)) return false;
    skip_blanks();
    if (!take(":")) return false;
    out += ": ";
    if (!value(out)) return false;
    skip_blanks();
    if (take("}")) break;
    if (!take(",")) return false;
  }
  out += '}';
  return true;
}

bool LiteralReader::key(std::string& out) {
  if (at_end()) return false;
  const char first = text_[at_];
  if (text_.substr(at_, syntax_->string_mark.size()) == syntax_->string_mark && !syntax_->string_mark.empty()) {
    return marked(out);
  }
  if (first == '"' || first == '\'') return quoted(out);
  if (!syntax_->bare_keys) return false;
  // A bare key may hold what a name may not; it ends at the colon.
  const std::size_t colon = text_.find_first_of(":,{}[]\n", at_);
  if (colon == std::string_view::npos || text_[colon] != ':' || colon == at_) return false;
  out += json_quoted(without_blanks(text_.substr(at_, colon - at_)));
  at_ = colon;
  return true;
}

bool LiteralReader::array(std::string& out, char close) {
  out += '[';
  const std::string_view end(&close, 1);
  for (bool first = true;; first = false) {
    skip_blanks();
    if (take(end)) break;
    if (!first) out += ", ";
    if (!value(out)) return false;
    skip_blanks();
    if (take(end)) break;
    if (!take(",")) return false;
  }
  out += ']';
  return true;
}

bool LiteralReader::marked(std::string& out) {
  at_ += syntax_->string_mark.size();
  const std::size_t end = text_.find(syntax_->string_mark, at_);
  if (end == std::string_view::npos) return false;
  out += json_quoted(text_.substr(at_, end - at_));
  at_ = end + syntax_->string_mark.size();
  return true;
}

bool LiteralReader::quoted(std::string& out) {
  std::string quote(1, text_[at_]);
  const std::string triple(3, quote.front());
  if (text_.substr(at_, 3) == triple) quote = triple;
  at_ += quote.size();
  std::string plain;
  while (!take(quote)) {
    if (at_end()) return false;
    const char byte = text_[at_++];
    if (byte != '\\') {
      plain += byte;
    } else if (!escape(plain)) {
      return false;
    }
  }
  out += json_quoted(plain);
  return true;
}

bool LiteralReader::escape(std::string& plain) {
  if (at_end()) return false;
  const char kind = text_[at_++];
  switch (kind) {
    case 'x': return code_point(plain, 2);
    case 'u': return code_point(plain, 4);
    case 'U': return code_point(plain, 8);
    case '\n': return true;  // a line continued
    case '\\':
    case '\'':
    case '"':
    case '/': plain += kind; return true;
    default: break;
  }
  constexpr std::string_view kFrom = "abfnrtv0";
  const std::size_t which = kFrom.find(kind);
  if (which != std::string_view::npos) {
    plain += std::string_view("\a\b\f\n\r\t\v\0", 8)[which];
  } else {
    plain += '\\';  // Python keeps what it does not know
    plain += kind;
  }
  return true;
}

bool LiteralReader::code_point(std::string& plain, std::size_t digits) {
  const auto read = [&](std::size_t count) -> std::optional<std::uint32_t> {
    std::uint32_t code = 0;
    if (text_.size() - at_ < count) return std::nullopt;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t value = std::string_view("0123456789abcdef").find(static_cast<char>(text_[at_] | 0x20));
      if (value == std::string_view::npos) return std::nullopt;
      code = (code << 4) | static_cast<std::uint32_t>(value);
      ++at_;
    }
    return code;
  };
  auto code = read(digits);
  if (!code) return false;
  // JSON spells what lies beyond the first plane as two halves.
  if (digits == 4 && *code >= 0xd800 && *code < 0xdc00 && text_.substr(at_, 2) == "\\u") {
    const std::size_t back = at_;
    at_ += 2;
    const auto low = read(4);
    if (low && *low >= 0xdc00 && *low < 0xe000) {
      code = 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
    } else {
      at_ = back;
    }
  }
  append_utf8(plain, *code);
  return true;
}

bool LiteralReader::number(std::string& out) {
  std::string text;
  const auto digits = [&] {
    const std::size_t start = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) text += text_[at_++];
    return at_ > start;
  };
  if (take("-")) text += '-';
  const std::size_t whole_start = text.size();
  bool any = digits();
  // 007 is no number in either language.
  if (text.size() > whole_start + 1 && text[whole_start] == '0') return false;
  if (!any) text += '0';
  if (take(".")) {
    text += '.';
    const bool fraction = digits();
    if (!fraction) text += '0';
    any = any || fraction;
  }
  if (!any) return false;
  if (take("e") || take("E")) {
    text += 'e';
    if (take("-"))
      text += '-';
    else if (take("+"))
      text += '+';
    if (!digits()) return false;
  }
  if (at_ < text_.size() && is_name_byte(text_[at_])) return false;
  out += text;
  return true;
}

std::optional<std::string> literal_to_json(std::string_view text, const LiteralSyntax& syntax) {
  std::string out;
  LiteralReader reader(text, syntax);
  if (!reader.value(out)) return std::nullopt;
  reader.skip_blanks();
  if (!reader.at_end()) return std::nullopt;
  return out;
}

}  // namespace corbel
