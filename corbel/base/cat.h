#pragma once
#include <charconv>
#include <concepts>
#include <string>
#include <string_view>

namespace corbel {

namespace cat_detail {
inline void append(std::string& out, std::string_view text) { out.append(text); }
inline void append(std::string& out, char c) { out.push_back(c); }
template <std::same_as<bool> T>
void append(std::string& out, T value) {
  out.append(value ? "true" : "false");
}
template <typename T>
  requires((std::integral<T> && !std::same_as<T, bool>) || std::floating_point<T>)
void append(std::string& out, T value) {
  char digits[64];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}
template <typename T>
  requires requires(const T& value) {
    { to_string(value) } -> std::convertible_to<std::string>;
  }
void append(std::string& out, const T& value) {
  out.append(to_string(value));
}
}  // namespace cat_detail

/// Joins its arguments into one string: text, characters, numbers (shortest exact form), anything with a `to_string`
/// found by argument-dependent lookup.
template <typename... Parts>
std::string cat(const Parts&... parts) {
  std::string out;
  (cat_detail::append(out, parts), ...);
  return out;
}

}  // namespace corbel
