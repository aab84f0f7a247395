#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace corbel {

/// The visible characters by which byte-level vocabularies spell bytes: printable Latin-1 bytes are themselves, the 68
/// others are U+0100 and up, in order (so that a space is U+0120). Every spelling takes one or two bytes of UTF-8.
char32_t byte_to_char(std::uint8_t byte) noexcept;

/// Appends the spelling of `bytes`.
void append_spelled(std::string& out, std::string_view bytes);

/// Writes the spelling of `bytes` to `out` (room for two bytes per byte) and returns its size.
std::size_t spell(std::string_view bytes, char* out) noexcept;

/// Appends the bytes that `spelled` (valid UTF-8) stands for. False, and `out` as it was, where it has a character that
/// spells no byte.
bool append_unspelled(std::string& out, std::string_view spelled);

}  // namespace corbel
