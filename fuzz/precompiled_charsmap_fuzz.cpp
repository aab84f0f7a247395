#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "corbel/text/precompiled_charsmap.h"
#include "corbel/text/unicode.h"

// A charsmap of any bytes is refused or answers within its bounds: what it replaces starts the text, and its
// replacements are UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t text_bytes = data[0];
  const std::string_view text = bytes.substr(1, text_bytes);
  const auto map = corbel::PrecompiledCharsmap::parse(bytes.substr(1 + text.size()));
  if (!map) return 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto longest = map->longest_prefix(text.substr(at));
    const auto shortest = map->shortest_prefix(text.substr(at));
    if (longest.bytes > text.size() - at || shortest.bytes > longest.bytes) std::abort();
    if ((shortest.bytes == 0) != (longest.bytes == 0)) std::abort();
    if (longest.bytes > 0 && !map->may_start(text[at])) std::abort();
    for (const auto& match : {longest, shortest}) {
      if (corbel::valid_utf8_prefix(match.replacement) != match.replacement.size()) std::abort();
    }
  }
  return 0;
}
