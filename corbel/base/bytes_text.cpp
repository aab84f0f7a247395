#include "corbel/base/bytes_text.h"

#include <array>
#include <cstdio>
#include <string_view>

#include "corbel/base/cat.h"

namespace corbel {

std::string bytes_text(std::int64_t bytes) {
  static constexpr std::array<std::string_view, 5> kUnits = {" B", " kB", " MB", " GB", " TB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  std::array<char, 32> text{};
  const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  const int length = std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return cat(std::string_view(text.data(), static_cast<std::size_t>(length)), kUnits[unit]);
}

}  // namespace corbel
