#include "corbel/text/byte_chars.h"

#include <array>

#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr int kSpelledLimit = 0x144;

struct Tables {
  std::array<std::uint16_t, 256> to_char{};
  std::array<std::int16_t, kSpelledLimit> to_byte{};
};

constexpr Tables make_tables() {
  Tables tables;
  for (auto& byte : tables.to_byte) byte = -1;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const int code = is_printable(byte) ? byte : next++;
    tables.to_char[static_cast<std::size_t>(byte)] = static_cast<std::uint16_t>(code);
    tables.to_byte[static_cast<std::size_t>(code)] = static_cast<std::int16_t>(byte);
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

char32_t byte_to_char(std::uint8_t byte) noexcept { return kTables.to_char[byte]; }

void append_spelled(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) append_utf8(out, byte_to_char(static_cast<std::uint8_t>(byte)));
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
