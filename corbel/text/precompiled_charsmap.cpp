#include "corbel/text/precompiled_charsmap.h"

#include "corbel/base/cat.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

std::uint32_t little_endian(const char* at) noexcept {
  const auto byte = [at](int i) { return static_cast<std::uint32_t>(static_cast<std::uint8_t>(at[i])); };
  return byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
}

// The parts of a unit (Darts-clone): bits 0-7 label, 8 has a leaf, 9 the offset counts in 256s, 10-30 offset; bit 31
// marks a leaf, whose other bits are the value. A leaf never equals a label, since the label's mask keeps bit 31.
constexpr std::uint32_t label_of(std::uint32_t unit) noexcept { return unit & (0x80000000U | 0xFFU); }
constexpr bool has_leaf(std::uint32_t unit) noexcept { return (unit & 0x100U) != 0; }
constexpr std::uint32_t offset_of(std::uint32_t unit) noexcept { return (unit >> 10) << ((unit & 0x200U) >> 6); }
constexpr std::uint32_t value_of(std::uint32_t unit) noexcept { return unit & 0x7FFFFFFFU; }

}  // namespace

Result<PrecompiledCharsmap> PrecompiledCharsmap::parse(std::string_view bytes) {
  PrecompiledCharsmap map;
  if (bytes.empty()) return map;
  if (bytes.size() < 4) {
    return fail(Code::bad_file, cat("a precompiled charsmap needs 4 bytes for its size, found ", bytes.size()));
  }
  const std::uint32_t trie_bytes = little_endian(bytes.data());
  if (trie_bytes % 4 != 0 || trie_bytes > bytes.size() - 4) {
    return fail(Code::bad_file, cat("a precompiled charsmap of ", bytes.size(), " bytes says that its trie has ",
                                    trie_bytes, "; expected a multiple of 4, at most ", bytes.size() - 4));
  }
  for (std::uint32_t at = 0; at < trie_bytes; at += 4) map.units_.push_back(little_endian(bytes.data() + 4 + at));
  map.replacements_ = bytes.substr(4 + trie_bytes);
  if (const std::size_t valid = valid_utf8_prefix(map.replacements_); valid < map.replacements_.size()) {
    return fail(Code::bad_file,
                cat("the replacements of a precompiled charsmap are not UTF-8 at byte ", 4 + trie_bytes + valid));
  }
  for (std::uint32_t byte = 1; byte < 256 && !map.units_.empty(); ++byte) {
    const std::uint32_t node = offset_of(map.units_[0]) ^ byte;
    map.starts_[byte] = node < map.units_.size() && label_of(map.units_[node]) == byte;
  }
  return map;
}

bool PrecompiledCharsmap::valid_value(std::uint32_t value) const noexcept {
  return value <= replacements_.size() && (replacements_.c_str()[value] & 0xC0) != 0x80;
}

template <bool kShortest>
PrecompiledCharsmap::Match PrecompiledCharsmap::find(std::string_view text) const noexcept {
  Match match;
  if (units_.empty()) return match;
  std::uint32_t node = offset_of(units_[0]);
  std::uint32_t value = 0;
  for (std::uint32_t i = 0; i < text.size(); ++i) {
    const std::uint32_t byte = static_cast<std::uint8_t>(text[i]);
    node ^= byte;
    // Every step is checked: the blob may be hostile.
    if (byte == 0 || node >= units_.size() || label_of(units_[node]) != byte) break;
    const std::uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    if (node >= units_.size()) break;
    if (!valid_value(value_of(units_[node]))) continue;
    value = value_of(units_[node]);
    match.bytes = i + 1;
    if (kShortest) break;
  }
  // c_str(): the last replacement may lack its zero byte.
  if (match.bytes > 0) match.replacement = replacements_.c_str() + value;
  return match;
}

PrecompiledCharsmap::Match PrecompiledCharsmap::longest_prefix(std::string_view text) const noexcept {
  return find<false>(text);
}

PrecompiledCharsmap::Match PrecompiledCharsmap::shortest_prefix(std::string_view text) const noexcept {
  return find<true>(text);
}

}  // namespace corbel
