#include "corbel/base/gguf_header.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <unordered_set>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"

static_assert(std::endian::native == std::endian::little, "values are read as they lie in the file");

namespace corbel {
namespace {

constexpr std::uint64_t kMaxNameBytes = 65535;  // of a key or a tensor's name: the format's own limit
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxAlignment = 1 << 20;
// The smallest key (length, one byte, type, one byte) and the smallest tensor (length, one byte, dimensions, type,
// offset).
constexpr std::uint64_t kSmallestField = 8 + 1 + 4 + 1;
constexpr std::uint64_t kSmallestTensor = 8 + 1 + 4 + 4 + 8;

struct TypeInfo {
  std::string_view name;
  std::uint32_t bytes;  // 0: no fixed size
};
constexpr std::array<TypeInfo, 13> kTypes = {{{"u8", 1},
                                              {"i8", 1},
                                              {"u16", 2},
                                              {"i16", 2},
                                              {"u32", 4},
                                              {"i32", 4},
                                              {"f32", 4},
                                              {"bool", 1},
                                              {"string", 0},
                                              {"array", 0},
                                              {"u64", 8},
                                              {"i64", 8},
                                              {"f64", 8}}};

std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Walks over the file; every read says what it was for.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  std::uint64_t at() const noexcept { return at_; }
  std::uint64_t left() const noexcept { return bytes_.size() - at_; }

  template <typename T>
  Result<T> number(std::string_view what) {
    CORBEL_ASSIGN(const std::span<const std::byte> raw, take(sizeof(T), what));
    T value{};
    std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }

  Result<std::span<const std::byte>> take(std::uint64_t count, std::string_view what) {
    if (count > left()) {
      return fail(Code::bad_file, cat(source_, ": ", what, " needs ", count, " bytes at byte ", at_,
                                      ", but the file has only ", left(), " more; is it cut off?"));
    }
    const std::span<const std::byte> taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }

  Result<std::string_view> string(std::string_view what) {
    CORBEL_ASSIGN(const auto length, number<std::uint64_t>(what));
    CORBEL_ASSIGN(const auto raw, take(length, what));
    return as_text(raw);
  }

  Result<std::string_view> name(std::string_view what) {
    const std::uint64_t begin = at_;
    CORBEL_ASSIGN(const std::string_view text, string(what));
    if (text.empty() || text.size() > kMaxNameBytes) {
      return fail(Code::bad_file, cat(source_, ": ", what, " at byte ", begin, " has ", text.size(),
                                      " bytes; it must have 1 to ", kMaxNameBytes));
    }
    return text;
  }

  Result<GgufType> type(std::string_view key) {
    CORBEL_ASSIGN(const auto number_on_disk, number<std::uint32_t>(key));
    if (number_on_disk >= kTypes.size()) {
      return fail(Code::bad_file, cat(source_, ": ", quote(key), " has the type ", number_on_disk, " at byte ", at_ - 4,
                                      "; types are 0 to ", kTypes.size() - 1));
    }
    return static_cast<GgufType>(number_on_disk);
  }

  Result<GgufArray> array(std::string_view key) {
    GgufArray made;
    CORBEL_ASSIGN(made.type, type(key));
    CORBEL_ASSIGN(made.count, number<std::uint64_t>(key));
    if (made.type == GgufType::array) {
      return fail(Code::unsupported, cat(source_, ": ", quote(key), " is an array of arrays, which is not supported"));
    }
    const std::uint64_t size = kTypes[static_cast<std::size_t>(made.type)].bytes;
    const std::uint64_t smallest = size == 0 ? 8 : size;  // a string has at least its length
    if (made.count > left() / smallest) {
      return fail(Code::bad_file,
                  cat(source_, ": ", quote(key), " claims ", made.count, " elements of at least ", smallest,
                      " bytes at byte ", at_, ", but the file has only ", left(), " bytes more"));
    }
    if (size != 0) {
      CORBEL_ASSIGN(made.bytes, take(made.count * size, key));
      return made;
    }
    const std::uint64_t begin = at_;
    for (std::uint64_t i = 0; i < made.count; ++i) CORBEL_TRY(string(key));
    made.bytes = bytes_.subspan(begin, at_ - begin);
    return made;
  }

  template <typename T, typename Wide>
  Result<GgufValue> scalar(GgufType type, std::string_view key) {
    CORBEL_ASSIGN(const T value, number<T>(key));
    return GgufValue{type, static_cast<Wide>(value)};
  }

  Result<GgufValue> value(GgufType type, std::string_view key) {
    switch (type) {
      case GgufType::u8: return scalar<std::uint8_t, std::uint64_t>(type, key);
      case GgufType::i8: return scalar<std::int8_t, std::int64_t>(type, key);
      case GgufType::u16: return scalar<std::uint16_t, std::uint64_t>(type, key);
      case GgufType::i16: return scalar<std::int16_t, std::int64_t>(type, key);
      case GgufType::u32: return scalar<std::uint32_t, std::uint64_t>(type, key);
      case GgufType::i32: return scalar<std::int32_t, std::int64_t>(type, key);
      case GgufType::f32: return scalar<float, double>(type, key);
      case GgufType::u64: return scalar<std::uint64_t, std::uint64_t>(type, key);
      case GgufType::i64: return scalar<std::int64_t, std::int64_t>(type, key);
      case GgufType::f64: return scalar<double, double>(type, key);
      case GgufType::boolean: {
        CORBEL_ASSIGN(const auto byte, number<std::uint8_t>(key));
        if (byte > 1) {
          return fail(Code::bad_file, cat(source_, ": ", quote(key), " is a bool of value ", static_cast<int>(byte)));
        }
        return GgufValue{type, byte == 1};
      }
      case GgufType::string: {
        CORBEL_ASSIGN(const std::string_view text, string(key));
        return GgufValue{type, text};
      }
      case GgufType::array: break;
    }
    CORBEL_ASSIGN(const GgufArray made, array(key));
    return GgufValue{type, made};
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& source_;
  std::uint64_t at_ = 0;
};

Result<std::uint32_t> read_version(Reader& reader, const std::string& source) {
  CORBEL_ASSIGN(const auto mark, reader.take(4, "the mark \"GGUF\""));
  if (as_text(mark) != "GGUF") {
    return fail(Code::bad_file, cat(source, ": a GGUF file starts with \"GGUF\", found ", quote(as_text(mark))));
  }
  CORBEL_ASSIGN(const auto version, reader.number<std::uint32_t>("the version"));
  if (version == 2 || version == 3) return version;
  const bool swapped = version != 0 && (version & 0xFFFFU) == 0;
  return fail(Code::unsupported, cat(source, ": GGUF version ", version, swapped ? " (a big-endian file?)" : "",
                                     "; versions 2 and 3, little-endian, are supported"));
}

Result<GgufTensor> read_tensor(Reader& reader, const std::string& source) {
  GgufTensor tensor;
  CORBEL_ASSIGN(tensor.name, reader.name("a tensor's name"));
  CORBEL_ASSIGN(const auto dimensions, reader.number<std::uint32_t>(tensor.name));
  if (dimensions > kMaxDimensions) {
    return fail(Code::bad_file, cat(source, ": tensor ", quote(tensor.name), " has ", dimensions,
                                    " dimensions; at most ", kMaxDimensions, " are allowed"));
  }
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    CORBEL_ASSIGN(const auto size, reader.number<std::uint64_t>(tensor.name));
    tensor.shape.push_back(size);
  }
  CORBEL_ASSIGN(tensor.type, reader.number<std::uint32_t>(tensor.name));
  CORBEL_ASSIGN(tensor.offset, reader.number<std::uint64_t>(tensor.name));
  return tensor;
}

Result<std::uint64_t> read_count(Reader& reader, std::string_view what, const std::string& source) {
  CORBEL_ASSIGN(const auto count, reader.number<std::uint64_t>(what));
  if (count > reader.left()) {  // a first look; the exact bound needs both counts
    return fail(Code::bad_file, cat(source, ": the header claims ", count, " ", what, " in ", reader.left(), " bytes"));
  }
  return count;
}

}  // namespace

std::string to_string(GgufType type) {
  const auto index = static_cast<std::size_t>(type);
  return index < kTypes.size() ? std::string(kTypes[index].name) : cat("type ", index);
}

Result<GgufHeader> GgufHeader::parse(std::span<const std::byte> bytes, std::string source) {
  GgufHeader header;
  header.source_ = std::move(source);
  Reader reader(bytes, header.source_);
  CORBEL_ASSIGN(header.version_, read_version(reader, header.source_));
  CORBEL_ASSIGN(const std::uint64_t tensors, read_count(reader, "tensors", header.source_));
  CORBEL_ASSIGN(const std::uint64_t fields, read_count(reader, "keys", header.source_));
  if (tensors * kSmallestTensor + fields * kSmallestField > reader.left()) {
    return fail(Code::bad_file, cat(header.source_, ": the header claims ", tensors, " tensors and ", fields,
                                    " keys, more than ", reader.left(), " bytes can hold"));
  }
  for (std::uint64_t i = 0; i < fields; ++i) {
    CORBEL_ASSIGN(const std::string_view key, reader.name("a key"));
    CORBEL_ASSIGN(const GgufType type, reader.type(key));
    CORBEL_ASSIGN(GgufValue value, reader.value(type, key));
    if (!header.values_.emplace(key, std::move(value)).second) {
      return fail(Code::bad_file, cat(header.source_, ": the key ", quote(key), " stands twice"));
    }
    header.keys_.push_back(key);
  }
  header.keys_end_ = reader.at();
  CORBEL_ASSIGN(const std::int64_t alignment, header.get_int("general.alignment", 32, 1, kMaxAlignment));
  header.alignment_ = static_cast<std::uint64_t>(alignment);
  if (!std::has_single_bit(header.alignment_)) {
    return fail(Code::bad_file,
                cat(header.source_, ": \"general.alignment\" is ", alignment, "; it must be a power of two"));
  }
  std::unordered_set<std::string_view> names;
  for (std::uint64_t i = 0; i < tensors; ++i) {
    CORBEL_ASSIGN(GgufTensor tensor, read_tensor(reader, header.source_));
    if (!names.insert(tensor.name).second) {
      return fail(Code::bad_file, cat(header.source_, ": the tensor ", quote(tensor.name), " stands twice"));
    }
    if (tensor.offset % header.alignment_ != 0) {
      return fail(Code::bad_file, cat(header.source_, ": tensor ", quote(tensor.name), " starts at ", tensor.offset,
                                      ", which is no multiple of ", alignment));
    }
    header.tensors_.push_back(std::move(tensor));
  }
  header.data_begin_ = (reader.at() + header.alignment_ - 1) / header.alignment_ * header.alignment_;
  return header;
}

const GgufValue* GgufHeader::find(std::string_view key) const noexcept {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

Failure GgufHeader::wrong(std::string_view key, std::string_view expected, const GgufValue& found) const {
  std::string what = to_string(found.type);
  if (const auto* array = std::get_if<GgufArray>(&found.value)) {
    what = cat("an array of ", array->count, " x ", to_string(array->type));
  } else if (const auto* text = std::get_if<std::string_view>(&found.value)) {
    what = cat("the string ", quote(*text));
  } else if (const auto* whole = std::get_if<std::uint64_t>(&found.value)) {
    what = cat(*whole, " (", what, ")");
  } else if (const auto* signed_whole = std::get_if<std::int64_t>(&found.value)) {
    what = cat(*signed_whole, " (", what, ")");
  }
  return fail(Code::bad_file, cat(source_, ": \"", key, "\" must be ", expected, ", found ", what));
}

Result<bool> GgufHeader::get_bool(std::string_view key, bool fallback) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return fallback;
  if (const auto* value = std::get_if<bool>(&found->value)) return *value;
  return wrong(key, "a bool", *found);
}

Result<std::int64_t> GgufHeader::get_int(std::string_view key, std::int64_t fallback, std::int64_t low,
                                         std::int64_t high) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return fallback;
  const std::string expected = cat("an integer from ", low, " to ", high);
  if (const auto* value = std::get_if<std::uint64_t>(&found->value)) {
    if (*value > static_cast<std::uint64_t>(INT64_MAX)) return wrong(key, expected, *found);
    const auto small = static_cast<std::int64_t>(*value);
    if (small >= low && small <= high) return small;
  } else if (const auto* signed_value = std::get_if<std::int64_t>(&found->value)) {
    if (*signed_value >= low && *signed_value <= high) return *signed_value;
  }
  return wrong(key, expected, *found);
}

Result<double> GgufHeader::get_number(std::string_view key, double fallback) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return fallback;
  if (const auto* value = std::get_if<double>(&found->value); value != nullptr && std::isfinite(*value)) return *value;
  if (const auto* whole = std::get_if<std::uint64_t>(&found->value)) return static_cast<double>(*whole);
  if (const auto* signed_whole = std::get_if<std::int64_t>(&found->value)) return static_cast<double>(*signed_whole);
  return wrong(key, "a finite number", *found);
}

Result<std::string_view> GgufHeader::get_string(std::string_view key, std::string_view fallback) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return fallback;
  if (const auto* value = std::get_if<std::string_view>(&found->value)) return *value;
  return wrong(key, "a string", *found);
}

Result<std::string_view> GgufHeader::require_string(std::string_view key) const {
  if (!has(key)) return fail(Code::bad_file, cat(source_, ": the key \"", key, "\" is missing"));
  return get_string(key, "");
}

Result<const GgufArray*> GgufHeader::find_array(std::string_view key, std::string_view expected) const {
  const GgufValue* found = find(key);
  if (found == nullptr) return static_cast<const GgufArray*>(nullptr);
  if (const auto* array = std::get_if<GgufArray>(&found->value)) return array;
  return wrong(key, expected, *found);
}

Result<std::vector<std::string_view>> GgufHeader::get_strings(std::string_view key) const {
  constexpr std::string_view kExpected = "an array of strings";
  CORBEL_ASSIGN(const GgufArray* array, find_array(key, kExpected));
  std::vector<std::string_view> strings;
  if (array == nullptr) return strings;
  if (array->type != GgufType::string) return wrong(key, kExpected, *find(key));
  strings.reserve(array->count);
  const std::string_view bytes = as_text(array->bytes);
  for (std::size_t at = 0; at < bytes.size();) {  // lengths were checked when the file was parsed
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data() + at, sizeof length);
    strings.push_back(bytes.substr(at + sizeof length, length));
    at += sizeof length + length;
  }
  return strings;
}

Result<std::vector<float>> GgufHeader::get_floats(std::string_view key) const {
  constexpr std::string_view kExpected = "an array of f32";
  CORBEL_ASSIGN(const GgufArray* array, find_array(key, kExpected));
  std::vector<float> floats;
  if (array == nullptr) return floats;
  if (array->type != GgufType::f32) return wrong(key, kExpected, *find(key));
  floats.resize(array->count);
  if (!floats.empty()) std::memcpy(floats.data(), array->bytes.data(), array->bytes.size());
  return floats;
}

Result<std::vector<std::int32_t>> GgufHeader::get_ints(std::string_view key) const {
  constexpr std::string_view kExpected = "an array of i32, or of u32 below 2^31";
  CORBEL_ASSIGN(const GgufArray* array, find_array(key, kExpected));
  std::vector<std::int32_t> ints;
  if (array == nullptr) return ints;
  if (array->type != GgufType::i32 && array->type != GgufType::u32) return wrong(key, kExpected, *find(key));
  ints.resize(array->count);
  if (!ints.empty()) std::memcpy(ints.data(), array->bytes.data(), array->bytes.size());
  for (const std::int32_t value : ints) {
    if (array->type == GgufType::u32 && value < 0) return wrong(key, kExpected, *find(key));
  }
  return ints;
}

Result<std::string_view> GgufHeader::get_bytes(std::string_view key) const {
  constexpr std::string_view kExpected = "an array of u8 or i8";
  CORBEL_ASSIGN(const GgufArray* array, find_array(key, kExpected));
  if (array == nullptr) return std::string_view();
  if (array->type != GgufType::u8 && array->type != GgufType::i8) return wrong(key, kExpected, *find(key));
  return as_text(array->bytes);
}

}  // namespace corbel
