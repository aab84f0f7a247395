#include "corbel/text/unicode.h"

#include <simdjson.h>

namespace corbel {

Utf8Char utf8_before(const char* end) noexcept {
  const char* at = end - 1;
  while ((static_cast<std::uint8_t>(*at) & 0xC0) == 0x80) --at;
  return utf8_at(at);
}

void append_utf8(std::string& out, char32_t code) {
  const auto push = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xC0 | (code >> 6));
    push(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    push(0xE0 | (code >> 12));
    push(0x80 | ((code >> 6) & 0x3F));
    push(0x80 | (code & 0x3F));
  } else {
    push(0xF0 | (code >> 18));
    push(0x80 | ((code >> 12) & 0x3F));
    push(0x80 | ((code >> 6) & 0x3F));
    push(0x80 | (code & 0x3F));
  }
}

Utf8Step utf8_step(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {Utf8State::complete, 1};
  // The second byte's range shuts out overlong forms, surrogates and what lies beyond U+10FFFF (Unicode, table 3-7).
  std::uint8_t low = 0x80;
  std::uint8_t high = 0xBF;
  std::uint32_t size = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {Utf8State::wrong, 1};
  }
  for (std::uint32_t i = 1; i < size; ++i) {
    if (i == text.size()) return {Utf8State::unfinished, i};
    if (byte(i) < low || byte(i) > high) return {Utf8State::wrong, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Utf8State::complete, size};
}

std::size_t valid_utf8_prefix(std::string_view text) noexcept {
  if (simdjson::validate_utf8(text.data(), text.size())) return text.size();
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (step.state != Utf8State::complete) break;
    at += step.bytes;
  }
  return at;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (step.state == Utf8State::complete) {
      out.append(text.substr(0, step.bytes));
    } else {
      out.append("\xEF\xBF\xBD");
    }
    text.remove_prefix(step.bytes);
  }
  return out;
}

}  // namespace corbel
