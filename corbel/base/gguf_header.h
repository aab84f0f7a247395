#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "corbel/base/result.h"

namespace corbel {

/// Kinds of values in a GGUF file; the numbers are on disk.
enum class GgufType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};
std::string to_string(GgufType type);  // "u8", ..., "string"

/// An array as it lies in the file: `count` elements of `type` packed in `bytes` (strings: u64 length, then bytes).
struct GgufArray {
  GgufType type = GgufType::u8;
  std::uint64_t count = 0;
  std::span<const std::byte> bytes;
};

/// A key's value. Integers and floats of all widths are widened.
struct GgufValue {
  GgufType type = GgufType::u8;
  std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, GgufArray> value;
};

/// What the header says of one tensor. `type` is the number on disk; sizes are the reader's business.
struct GgufTensor {
  std::string_view name;
  std::vector<std::uint64_t> shape;  // as on disk: the fastest dimension first
  std::uint32_t type = 0;
  std::uint64_t offset = 0;  // from data_begin()
};

/// The header of a GGUF file, versions 2 and 3, little-endian:
///   "GGUF", u32 version, u64 tensors, u64 keys
///   per key      string key, u32 type, value      (string: u64 length, bytes; array: u32 type, u64 count, elements)
///   per tensor   string name, u32 dimensions, u64 shape[dimensions], u32 type, u64 offset
///   then the data, from the next multiple of "general.alignment" (32 where the file does not say)
/// Views point into the bytes given to parse(), which must outlive the header. Immutable; any thread may read.
class GgufHeader {
 public:
  /// Refused, naming the place in bytes, what was expected and what was found: a wrong mark or version, anything that
  /// runs past the end, unknown types, arrays in arrays, a key or a tensor twice, more than 4 dimensions, an offset or
  /// an alignment that does not fit. No count in the file makes it take more memory than a few times the file's size.
  static Result<GgufHeader> parse(std::span<const std::byte> bytes, std::string source);

  std::uint32_t version() const noexcept { return version_; }
  std::uint64_t alignment() const noexcept { return alignment_; }
  std::uint64_t data_begin() const noexcept { return data_begin_; }  // may lie past the end of a file without tensors
  const std::string& source() const noexcept { return source_; }
  /// Where the keys end and the tensors' descriptions begin, in bytes from the start of the file.
  std::uint64_t keys_end() const noexcept { return keys_end_; }
  std::span<const GgufTensor> tensors() const noexcept { return tensors_; }
  /// Keys in the order of the file.
  std::span<const std::string_view> keys() const noexcept { return keys_; }

  /// Null where the key is absent.
  const GgufValue* find(std::string_view key) const noexcept;
  bool has(std::string_view key) const noexcept { return find(key) != nullptr; }

  /// Typed values; an absent key gives the fallback (arrays: nothing), another type is refused by name.
  Result<bool> get_bool(std::string_view key, bool fallback) const;
  Result<std::int64_t> get_int(std::string_view key, std::int64_t fallback, std::int64_t low, std::int64_t high) const;
  Result<double> get_number(std::string_view key, double fallback) const;  // finite
  Result<std::string_view> get_string(std::string_view key, std::string_view fallback) const;
  Result<std::string_view> require_string(std::string_view key) const;
  Result<std::vector<std::string_view>> get_strings(std::string_view key) const;
  Result<std::vector<float>> get_floats(std::string_view key) const;       // of f32
  Result<std::vector<std::int32_t>> get_ints(std::string_view key) const;  // of i32 or u32 below 2^31
  /// The bytes of an array of u8 or i8.
  Result<std::string_view> get_bytes(std::string_view key) const;

 private:
  Failure wrong(std::string_view key, std::string_view expected, const GgufValue& found) const;
  Result<const GgufArray*> find_array(std::string_view key, std::string_view expected) const;

  std::string source_;
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = 32;
  std::uint64_t data_begin_ = 0;
  std::uint64_t keys_end_ = 0;
  std::vector<std::string_view> keys_;
  std::unordered_map<std::string_view, GgufValue> values_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace corbel
