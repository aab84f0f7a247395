#include "corbel/chat/tool_call_json.h"

#include <array>

namespace corbel {
namespace {

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

int hex_value(char byte) {
  if (is_digit(byte)) return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

void append_escaped(std::string& out, char byte) {
  switch (byte) {
    case '\n': out += "\\n"; return;
    case '\t': out += "\\t"; return;
    case '\r': out += "\\r"; return;
    default:
      out += "\\u00";
      out += "0123456789abcdef"[(static_cast<unsigned char>(byte) >> 4) & 15];
      out += "0123456789abcdef"[static_cast<unsigned char>(byte) & 15];
  }
}

bool is_control(char byte) { return static_cast<unsigned char>(byte) < 0x20; }

/// Past the string that opens at `at`.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

/// Past the value that starts at `at`.
std::size_t value_end(std::string_view text, std::size_t at) {
  if (text[at] == '"') return string_end(text, at);
  if (text[at] != '{' && text[at] != '[') {
    while (at < text.size() && text[at] != ',' && text[at] != '}' && text[at] != ']' && !is_blank(text[at])) ++at;
    return at;
  }
  int depth = 0;
  while (at < text.size()) {
    const char byte = text[at];
    if (byte == '"') {
      at = string_end(text, at);
      continue;
    }
    ++at;
    if (byte == '{' || byte == '[') ++depth;
    if ((byte == '}' || byte == ']') && --depth == 0) break;
  }
  return at;
}

std::size_t skip_blanks(std::string_view text, std::size_t at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}

std::uint32_t read_hex4(std::string_view text, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = value * 16 + static_cast<std::uint32_t>(at + i < text.size() ? hex_value(text[at + i]) & 15 : 0);
  }
  return value;
}

}  // namespace

std::string_view without_blanks(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

ScanStep JsonScanner::feed(char byte) {
  at_key_ = false;
  const bool inside_string = state_ == State::string;
  const ScanStep result = step(byte);
  if (result == ScanStep::fail) return result;
  if (inside_string && is_control(byte)) {
    append_escaped(text_, byte);
  } else {
    text_ += byte;
  }
  return result;
}

ScanStep JsonScanner::step(char byte) {
  switch (state_) {
    case State::string:
    case State::escape:
    case State::hex: return in_string(byte);
    case State::number: return in_number(byte);
    case State::literal:
      if (byte != literal_.front()) return ScanStep::fail;
      literal_.remove_prefix(1);
      return literal_.empty() ? value_ended() : ScanStep::more;
    default: break;
  }
  if (is_blank(byte) && !text_.empty()) return ScanStep::more;
  switch (state_) {
    case State::first_key:
      if (byte == '}') return close();
      [[fallthrough]];
    case State::key: return byte == '"' ? begin_string(State::string, true) : ScanStep::fail;
    case State::colon: state_ = State::value; return byte == ':' ? ScanStep::more : ScanStep::fail;
    case State::first_item:
      if (byte == ']') return close();
      return begin_value(byte);
    case State::after_value: return after_value(byte);
    default: return begin_value(byte);
  }
}

ScanStep JsonScanner::begin_value(char byte) {
  if (byte == '{' || byte == '[') return begin_container(byte);
  if (byte == '"') return begin_string(State::string, false);
  if (stack_.empty()) return ScanStep::fail;
  if (byte == '-' || is_digit(byte)) {
    state_ = State::number;
    number_ = byte == '-' ? Number::minus : byte == '0' ? Number::zero : Number::digits;
    return ScanStep::more;
  }
  state_ = State::literal;
  if (byte == 't')
    literal_ = "rue";
  else if (byte == 'f')
    literal_ = "alse";
  else if (byte == 'n')
    literal_ = "ull";
  else
    return ScanStep::fail;
  return ScanStep::more;
}

ScanStep JsonScanner::begin_container(char byte) {
  if (stack_.size() == kMaxDepth) return ScanStep::fail;
  stack_ += byte;
  state_ = byte == '{' ? State::first_key : State::first_item;
  return ScanStep::more;
}

ScanStep JsonScanner::begin_string(State state_after, bool is_key) {
  state_ = state_after;
  string_is_key_ = is_key;
  string_start_ = text_.size() + 1;
  return ScanStep::more;
}

ScanStep JsonScanner::in_string(char byte) {
  if (state_ == State::hex) {
    if (hex_value(byte) < 0) return ScanStep::fail;
    if (--hex_left_ == 0) state_ = State::string;
    return ScanStep::more;
  }
  if (state_ == State::escape) {
    state_ = byte == 'u' ? State::hex : State::string;
    hex_left_ = 4;
    return std::string_view("\"\\/bfnrtu").find(byte) == std::string_view::npos ? ScanStep::fail : ScanStep::more;
  }
  if (byte == '\\') state_ = State::escape;
  if (byte != '"') return ScanStep::more;
  string_size_ = text_.size() - string_start_;
  if (!string_is_key_) return value_ended();
  at_key_ = true;
  state_ = State::colon;
  return ScanStep::more;
}

ScanStep JsonScanner::in_number(char byte) {
  const bool digit = is_digit(byte);
  const bool exponent = byte == 'e' || byte == 'E';
  switch (number_) {
    case Number::minus:
      number_ = byte == '0' ? Number::zero : Number::digits;
      return digit ? ScanStep::more : ScanStep::fail;
    case Number::digits:
      if (digit) return ScanStep::more;
      [[fallthrough]];
    case Number::zero:
      if (digit) return ScanStep::fail;
      if (byte == '.') return number_ = Number::point, ScanStep::more;
      if (exponent) return number_ = Number::exponent, ScanStep::more;
      break;
    case Number::point: number_ = Number::fraction; return digit ? ScanStep::more : ScanStep::fail;
    case Number::fraction:
      if (digit) return ScanStep::more;
      if (exponent) return number_ = Number::exponent, ScanStep::more;
      break;
    case Number::exponent:
      if (byte == '+' || byte == '-') return number_ = Number::exponent_sign, ScanStep::more;
      [[fallthrough]];
    case Number::exponent_sign: number_ = Number::exponent_digits; return digit ? ScanStep::more : ScanStep::fail;
    case Number::exponent_digits:
      if (digit) return ScanStep::more;
      break;
  }
  state_ = State::after_value;
  return is_blank(byte) ? ScanStep::more : after_value(byte);
}

ScanStep JsonScanner::after_value(char byte) {
  const bool object = stack_.back() == '{';
  if (byte == ',') {
    state_ = object ? State::key : State::value;
    return ScanStep::more;
  }
  return byte == (object ? '}' : ']') ? close() : ScanStep::fail;
}

ScanStep JsonScanner::close() {
  stack_.pop_back();
  return value_ended();
}

ScanStep JsonScanner::value_ended() {
  state_ = State::after_value;
  return stack_.empty() ? ScanStep::done : ScanStep::more;
}

std::vector<std::pair<std::string, std::string_view>> json_members(std::string_view object) {
  std::vector<std::pair<std::string, std::string_view>> members;
  std::size_t at = skip_blanks(object, 1);
  while (at < object.size() && object[at] == '"') {
    const std::size_t key_end = string_end(object, at);
    std::string key = json_string_value(object.substr(at, key_end - at));
    at = skip_blanks(object, skip_blanks(object, key_end) + 1);
    const std::size_t end = value_end(object, at);
    members.emplace_back(std::move(key), object.substr(at, end - at));
    at = skip_blanks(object, end);
    if (at < object.size() && object[at] == ',') at = skip_blanks(object, at + 1);
  }
  return members;
}

std::vector<std::string_view> json_items(std::string_view array) {
  std::vector<std::string_view> items;
  std::size_t at = skip_blanks(array, 1);
  while (at < array.size() && array[at] != ']') {
    const std::size_t end = value_end(array, at);
    items.push_back(array.substr(at, end - at));
    at = skip_blanks(array, end);
    if (at < array.size() && array[at] == ',') at = skip_blanks(array, at + 1);
  }
  return items;
}

void append_utf8(std::string& out, std::uint32_t code) {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) code = 0xfffd;
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 63));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 63));
    out += static_cast<char>(0x80 | (code & 63));
  } else {
    out += static_cast<char>(0xf0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 63));
    out += static_cast<char>(0x80 | ((code >> 6) & 63));
    out += static_cast<char>(0x80 | (code & 63));
  }
}

std::string json_string_value(std::string_view quoted) {
  std::string out;
  const std::string_view body = quoted.size() < 2 ? std::string_view() : quoted.substr(1, quoted.size() - 2);
  for (std::size_t at = 0; at < body.size(); ++at) {
    if (body[at] != '\\' || at + 1 == body.size()) {
      out += body[at];
      continue;
    }
    const char kind = body[++at];
    constexpr std::string_view kFrom = "bfnrt";
    if (kind != 'u') {
      const std::size_t which = kFrom.find(kind);
      out += which == std::string_view::npos ? kind : "\b\f\n\r\t"[which];
      continue;
    }
    std::uint32_t code = read_hex4(body, at + 1);
    at += 4;
    if (code >= 0xd800 && code < 0xdc00 && body.substr(at + 1, 2) == "\\u") {
      const std::uint32_t low = read_hex4(body, at + 3);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
      }
    }
    append_utf8(out, code);
  }
  return out;
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char byte : text) {
    if (byte == '"' || byte == '\\') out += '\\';
    if (is_control(byte)) {
      append_escaped(out, byte);
    } else {
      out += byte;
    }
  }
  out += '"';
  return out;
}

std::string whole_json_object(std::string_view text) {
  text = without_blanks(text);
  if (text.empty() || text.front() != '{') return {};
  JsonScanner scanner;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const ScanStep step = scanner.feed(text[at]);
    if (step == ScanStep::fail) return {};
    if (step == ScanStep::done) return at + 1 == text.size() ? scanner.text() : std::string();
  }
  return {};
}

}  // namespace corbel
