#pragma once
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "corbel/base/cat.h"
#include "corbel/base/result.h"

/// Arrays of plain numbers as bytes, one behind the other: a 64-bit count, the elements, zeros up to a multiple of 8.
/// In the byte order of the machine, little-endian on all that Corbel runs on.
namespace corbel {

class FlatWriter {
 public:
  template <typename T>
  void put(const T* values, std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>);
    const std::uint64_t size = count;
    bytes_.append(reinterpret_cast<const char*>(&size), sizeof size);
    bytes_.append(reinterpret_cast<const char*>(values), count * sizeof(T));
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
  }
  template <typename Values>
  void put(const Values& values) {
    put(values.data(), values.size());
  }
  void put_number(std::uint64_t value) { put(&value, 1); }

  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads what FlatWriter wrote. Refuses what goes beyond the end.
class FlatReader {
 public:
  /// `source` names the bytes in messages; both outlive the reader.
  FlatReader(std::string_view bytes, const std::string& source) : left_(bytes), source_(source) {}

  /// The next array, its elements where they lie.
  Result<std::string_view> take_bytes(std::size_t element_bytes) {
    std::uint64_t count = 0;
    if (left_.size() < sizeof count) return cut_off();
    std::memcpy(&count, left_.data(), sizeof count);
    left_.remove_prefix(sizeof count);
    if (count > left_.size() / element_bytes) return cut_off();
    const std::size_t bytes = count * element_bytes;
    const std::string_view values = left_.substr(0, bytes);
    left_.remove_prefix(std::min(left_.size(), (bytes + 7) / 8 * 8));
    return values;
  }
  template <typename Values>
  Result<void> take(Values& values) {
    using T = typename Values::value_type;
    static_assert(std::is_trivially_copyable_v<T>);
    CORBEL_ASSIGN(const std::string_view bytes, take_bytes(sizeof(T)));
    values.resize(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return {};
  }
  Result<std::uint64_t> take_number() {
    CORBEL_ASSIGN(const std::string_view bytes, take_bytes(sizeof(std::uint64_t)));
    if (bytes.size() != sizeof(std::uint64_t)) return fail(Code::bad_file, cat(source_, ": a number is missing"));
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  const std::string& source() const noexcept { return source_; }

 private:
  Failure cut_off() const {
    return fail(Code::bad_file, cat(source_, ": a table goes beyond the end (", left_.size(), " bytes are left)"));
  }
  std::string_view left_;
  const std::string& source_;
};

}  // namespace corbel
