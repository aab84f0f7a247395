// A regex as a tokenizer file may carry it, then a text: compiles or is refused by name, matches within its limits,
// and the pieces of every behaviour lie in order within the text.
#include <cstdint>
#include <string_view>
#include <vector>

#include "corbel/text/pattern.h"
#include "corbel/text/unicode.h"

using namespace corbel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t stop = input.find('\n');
  if (stop == std::string_view::npos || stop > 512 || size > 2048) return 0;
  const auto pattern = Pattern::from_regex(input.substr(0, stop));
  if (!pattern) return pattern.error().message.empty() ? __builtin_trap(), 0 : 0;
  const std::string text = replace_invalid_utf8(input.substr(stop + 1));
  for (const SplitBehavior behavior : {SplitBehavior::removed, SplitBehavior::isolated, SplitBehavior::contiguous,
                                       SplitBehavior::merged_with_previous, SplitBehavior::merged_with_next}) {
    std::vector<Span> pieces;
    if (!pattern->split(text, 0, behavior, false, pieces)) continue;
    std::uint32_t done = 0;
    for (const Span piece : pieces) {
      if (piece.begin < done || piece.end <= piece.begin || piece.end > text.size()) __builtin_trap();
      if (behavior != SplitBehavior::removed && piece.begin != done) __builtin_trap();
      done = piece.end;
    }
    if (behavior != SplitBehavior::removed && done != text.size()) __builtin_trap();
  }
  return 0;
}
