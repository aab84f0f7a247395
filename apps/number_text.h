#pragma once
#include <cstdio>
#include <string>

namespace corbel::app {

/// Numbers as printf's pattern shows them; at most 255 characters.
std::string format(const char* pattern, auto... values) {
  char line[256];
  std::snprintf(line, sizeof line, pattern, values...);
  return line;
}

/// "45 s", "12 min": what is left of long work, or what it took.
inline std::string duration_text(double seconds) {
  if (seconds < 100.0) return format("%.0f s", seconds);
  return format("%.0f min", seconds / 60.0);
}

}  // namespace corbel::app
