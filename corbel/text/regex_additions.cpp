#include "corbel/text/regex_additions.h"

#include <algorithm>
#include <array>

#include "corbel/text/unicode.h"

namespace corbel::regex_additions {
namespace {

/// A bit for every 64 code points, set where some of them are additions: most texts need no closer look.
using Pages = std::array<std::uint64_t, 0x110000 / 64 / 64>;

Pages make_pages() noexcept {
  Pages pages{};
  for (const Addition& row : kRows) {
    for (std::uint32_t page = row.first / 64; page <= row.last / 64; ++page) {
      pages[page / 64] |= std::uint64_t{1} << (page % 64);
    }
  }
  return pages;
}

bool is_addition(char32_t code) noexcept {
  const auto row = std::ranges::lower_bound(kRows, code, {}, &Addition::last);
  return row != kRows.end() && row->first <= code;
}

}  // namespace

bool found_in(std::string_view text) noexcept {
  static const Pages pages = make_pages();
  for (const char *at = text.data(), *end = at + text.size(); at < end;) {
    if (static_cast<std::uint8_t>(*at) < 0xCD) {  // below U+0340 there are none
      ++at;
      continue;
    }
    const Utf8Char c = utf8_at(at);
    at += c.bytes;
    if (((pages[c.code / 4096] >> (c.code / 64 % 64)) & 1) != 0 && is_addition(c.code)) return true;
  }
  return false;
}

}  // namespace corbel::regex_additions
