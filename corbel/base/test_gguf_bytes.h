#pragma once
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

/// Builds GGUF headers for tests and fuzz seeds, lies included.
namespace corbel::gguf_bytes {

template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string text(std::string_view content) { return raw<std::uint64_t>(content.size()) + std::string(content); }

inline std::string head(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
  return "GGUF" + raw(version) + raw(tensors) + raw(keys);
}

inline std::string u32(std::string_view key, std::uint32_t value) {
  return text(key) + raw<std::uint32_t>(4) + raw(value);
}
inline std::string boolean(std::string_view key, bool value) {
  return text(key) + raw<std::uint32_t>(7) + raw<std::uint8_t>(value ? 1 : 0);
}
inline std::string string(std::string_view key, std::string_view value) {
  return text(key) + raw<std::uint32_t>(8) + text(value);
}
inline std::string array(std::string_view key, std::uint32_t type, std::uint64_t count, std::string_view elements) {
  return text(key) + raw<std::uint32_t>(9) + raw(type) + raw(count) + std::string(elements);
}
inline std::string strings(std::string_view key, const std::vector<std::string>& values) {
  std::string elements;
  for (const std::string& value : values) elements += text(value);
  return array(key, 8, values.size(), elements);
}
template <typename T>
std::string numbers(std::string_view key, std::uint32_t type, const std::vector<T>& values) {
  std::string elements;
  for (const T value : values) elements += raw(value);
  return array(key, type, values.size(), elements);
}
inline std::string tensor(std::string_view name, const std::vector<std::uint64_t>& shape, std::uint32_t type,
                          std::uint64_t offset) {
  std::string bytes = text(name) + raw(static_cast<std::uint32_t>(shape.size()));
  for (const std::uint64_t size : shape) bytes += raw(size);
  return bytes + raw(type) + raw(offset);
}

}  // namespace corbel::gguf_bytes
