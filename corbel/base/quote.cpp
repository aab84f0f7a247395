#include "corbel/base/quote.h"

#include <algorithm>

#include "corbel/base/cat.h"

namespace corbel {

std::string clip(std::string_view text) {
  constexpr std::size_t kLongest = 100;
  std::string out(text.substr(0, kLongest));
  std::replace_if(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  if (text.size() > kLongest) out += "...";
  return out;
}

std::string quote(std::string_view text) { return cat('"', clip(text), '"'); }

}  // namespace corbel
