#include "corbel/text/byte_chars.h"

#include <array>

#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr int kSpelledLimit = 0x144;

struct Spelling {
  char bytes[2] = {0, 0};  // UTF-8; the second is 0 where there is one
};

struct Tables {
  std::array<std::uint16_t, 256> to_char{};
  std::array<std::int16_t, kSpelledLimit> to_byte{};
  std::array<Spelling, 256> spelling{};
};

constexpr Tables make_tables() {
  Tables tables;
  for (auto& byte : tables.to_byte) byte = -1;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const int code = is_printable(byte) ? byte : next++;
    tables.to_char[static_cast<std::size_t>(byte)] = static_cast<std::uint16_t>(code);
    tables.to_byte[static_cast<std::size_t>(code)] = static_cast<std::int16_t>(byte);
    Spelling& spelling = tables.spelling[static_cast<std::size_t>(byte)];
    spelling.bytes[0] = static_cast<char>(code < 0x80 ? code : 0xC0 | (code >> 6));
    if (code >= 0x80) spelling.bytes[1] = static_cast<char>(0x80 | (code & 0x3F));
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

char32_t byte_to_char(std::uint8_t byte) noexcept { return kTables.to_char[byte]; }

std::size_t spell(std::string_view bytes, char* out) noexcept {
  const char* const begin = out;
  for (const char byte : bytes) {
    const Spelling& spelling = kTables.spelling[static_cast<std::uint8_t>(byte)];
    const std::size_t size = spelling.bytes[1] != 0 ? 2 : 1;
    out[0] = spelling.bytes[0];
    if (size == 2) out[1] = spelling.bytes[1];
    out += size;
  }
  return static_cast<std::size_t>(out - begin);
}

void append_spelled(std::string& out, std::string_view bytes) {
  const std::size_t before = out.size();
  out.resize(before + 2 * bytes.size());
  out.resize(before + spell(bytes, out.data() + before));
}

bool append_unspelled(std::string& out, std::string_view spelled) {
  const std::size_t before = out.size();
  for (std::size_t at = 0; at < spelled.size();) {
    const Utf8Char c = utf8_at(spelled.data() + at);
    if (c.code >= kSpelledLimit || kTables.to_byte[c.code] < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(kTables.to_byte[c.code]));
    at += c.bytes;
  }
  return true;
}

}  // namespace corbel
