#include "corbel/format/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "corbel/base/json.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own library
constexpr std::uint64_t kDataAlignment = 64;
constexpr std::string_view kMetadata = "__metadata__";

/// The types that the format knows; `weight_format` is empty for those that hold no weights we can read.
struct StoredType {
  std::string_view name;
  std::uint64_t bits;
  std::string_view weight_format;
};
constexpr std::array kTypes{
    StoredType{"F32", 32, "f32"}, StoredType{"BF16", 16, "bf16"}, StoredType{"F16", 16, "f16"},
    StoredType{"F64", 64, {}},    StoredType{"I64", 64, {}},      StoredType{"I32", 32, {}},
    StoredType{"I16", 16, {}},    StoredType{"I8", 8, {}},        StoredType{"U64", 64, {}},
    StoredType{"U32", 32, {}},    StoredType{"U16", 16, {}},      StoredType{"U8", 8, {}},
    StoredType{"BOOL", 8, {}},    StoredType{"F8_E4M3", 8, {}},   StoredType{"F8_E5M2", 8, {}},
    StoredType{"F8_E8M0", 8, {}}, StoredType{"F4", 4, {}},        StoredType{"F6_E2M3", 6, {}},
    StoredType{"F6_E3M2", 6, {}}, StoredType{"C64", 64, {}},
};

const StoredType* find_type(std::string_view name) {
  const auto found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const StoredType& type) { return type.name == name; });
  return found == kTypes.end() ? nullptr : &*found;
}

std::string known_types() {
  std::string names;
  for (const StoredType& type : kTypes) names += cat(names.empty() ? "" : ", ", type.name);
  return names;
}

/// Bytes of shape x dtype; nothing when it is not a whole number of bytes. Shape::elements() is known not to overflow.
std::optional<std::uint64_t> tensor_bytes(const Shape& shape, const StoredType& type) {
  std::uint64_t bits = 0;
  if (__builtin_mul_overflow(static_cast<std::uint64_t>(shape.elements()), type.bits, &bits) || bits % 8 != 0)
    return std::nullopt;
  return bits / 8;
}

/// A shape whose sizes multiply, in any order and zeros left out, to what an int64 holds.
Result<Shape> read_shape(const JsonFields& fields) {
  if (!fields.has("shape") || !fields.json()["shape"].is_array())
    return fail(Code::bad_file, cat(fields.source(), ": \"shape\" is not a list of sizes"));
  CORBEL_ASSIGN(const std::vector<std::int64_t> sizes, fields.get_ints("shape"));
  if (sizes.size() > Shape::kMaxRank)
    return fail(Code::unsupported,
                cat(fields.source(), " has ", sizes.size(), " axes, Corbel reads at most ", Shape::kMaxRank));
  std::int64_t elements = 1;
  for (const std::int64_t size : sizes) {
    if (size < 0) return fail(Code::bad_file, cat(fields.source(), " has the negative size ", size));
    if (size > 0 && __builtin_mul_overflow(elements, size, &elements))
      return fail(Code::bad_file,
                  cat(fields.source(), " has the shape ", Shape(sizes), ": too many elements to count"));
  }
  return Shape(sizes);
}

/// One entry of the header; begin and end still count from the start of the data. `what` names file and tensor.
Result<SafetensorsHeader::Entry> read_entry(const Json& json, const std::string& what, std::uint64_t data_bytes) {
  const JsonFields fields(json, what);
  SafetensorsHeader::Entry entry;
  CORBEL_ASSIGN(entry.dtype, fields.require_string("dtype"));
  const StoredType* type = find_type(entry.dtype);
  if (type == nullptr)
    return fail(Code::unsupported,
                cat(what, " has the unknown dtype ", quote(entry.dtype), "; known: ", known_types()));
  CORBEL_ASSIGN(entry.shape, read_shape(fields));
  CORBEL_ASSIGN(const std::vector<std::int64_t> offsets, fields.get_ints("data_offsets"));
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0])
    return fail(Code::bad_file, cat(what, " needs \"data_offsets\": [begin, end] with 0 <= begin <= end"));
  entry.begin = static_cast<std::uint64_t>(offsets[0]);
  entry.end = static_cast<std::uint64_t>(offsets[1]);
  const std::optional<std::uint64_t> bytes = tensor_bytes(entry.shape, *type);
  if (bytes != entry.end - entry.begin)
    return fail(Code::bad_file, cat(what, " is ", entry.dtype, ' ', entry.shape, " = ",
                                    bytes ? cat(*bytes, " bytes") : std::string("no whole number of bytes"),
                                    ", its data_offsets span ", entry.end - entry.begin));
  if (entry.end > data_bytes)
    return fail(Code::bad_file, cat(what, " ends at byte ", entry.end, " of the data, the file has ", data_bytes,
                                    " bytes of data. Is the download complete?"));
  return entry;
}

/// The spans must tile the data: no byte in two tensors, none in no tensor.
Result<void> check_tiling(const SafetensorsHeader& header, std::uint64_t data_bytes, std::string_view source) {
  using Item = std::pair<const std::string, SafetensorsHeader::Entry>;
  std::vector<const Item*> order;
  for (const Item& item : header.entries) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t covered = 0;
  std::string before = "the start of the data";
  for (const Item* item : order) {
    const auto& [name, entry] = *item;
    if (entry.begin != covered)
      return fail(Code::bad_file,
                  cat(source, ": tensor ", quote(name), " begins at byte ", entry.begin, " of the data, ", before,
                      " ends at ", covered, ": ", entry.begin < covered ? "they overlap" : "a gap lies between them"));
    covered = entry.end;
    before = cat("tensor ", quote(name));
  }
  if (covered != data_bytes)
    return fail(Code::bad_file, cat(source, ": the tensors end at byte ", covered, " of the data, the file has ",
                                    data_bytes, " bytes of data"));
  return {};
}

Result<std::string_view> header_text(std::span<const std::byte> file, std::string_view source) {
  if (is_git_lfs_pointer(file))
    return fail(Code::bad_file,
                cat(source, ": is a Git LFS pointer, not the weights; run `git lfs pull` in its folder"));
  if (file.size() < kLengthBytes)
    return fail(Code::bad_file, cat(source, ": has ", file.size(), " bytes, a safetensors file has at least 10"));
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes)
    return fail(Code::bad_file, cat(source, ": the header claims ", length, " bytes, allowed are at most ",
                                    kMaxHeaderBytes, ". Is this a safetensors file?"));
  if (length > file.size() - kLengthBytes)
    return fail(Code::bad_file, cat(source, ": the header claims ", length, " bytes, the file has ",
                                    file.size() - kLengthBytes, " after the length. Is the download complete?"));
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (!text.starts_with('{')) return fail(Code::bad_file, cat(source, ": the header does not begin with {"));
  return text;
}

Result<void> read_metadata(const Json& json, std::string_view source, SafetensorsHeader& header) {
  if (!json.is_object()) return fail(Code::bad_file, cat(source, ": \"__metadata__\" is not an object"));
  for (const auto& [key, value] : json.get_ref<const Json::object_t&>()) {
    if (!value.is_string())
      return fail(Code::bad_file, cat(source, ": \"__metadata__\" has a value that is not a string at ", quote(key)));
    header.metadata.emplace(key, value.get_ref<const std::string&>());
  }
  return {};
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> file, std::string_view source) {
  CORBEL_ASSIGN(const std::string_view text, header_text(file, source));
  CORBEL_ASSIGN(const Json json, parse_json(text, cat(source, " (header)")));
  const std::uint64_t data_begin = kLengthBytes + text.size();
  const std::uint64_t data_bytes = file.size() - data_begin;
  SafetensorsHeader header;
  for (const auto& [name, value] : json.get_ref<const Json::object_t&>()) {
    if (name == kMetadata) {
      CORBEL_TRY(read_metadata(value, source, header));
      continue;
    }
    CORBEL_ASSIGN(SafetensorsHeader::Entry entry, read_entry(value, cat(source, ": tensor ", quote(name)), data_bytes));
    header.entries.emplace(name, std::move(entry));
  }
  CORBEL_TRY(check_tiling(header, data_bytes, source));
  for (auto& [name, entry] : header.entries) {
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  return header;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  CORBEL_ASSIGN(MappedFile file, MappedFile::open(path));
  CORBEL_ASSIGN(SafetensorsHeader header, parse_safetensors_header(file.bytes(), path.string()));
  return SafetensorsFile(std::move(file), std::move(header));
}

std::optional<SafetensorsFile::RawTensor> SafetensorsFile::find_raw(std::string_view name) const {
  const auto found = header_.entries.find(name);
  if (found == header_.entries.end()) return std::nullopt;
  const SafetensorsHeader::Entry& entry = found->second;
  return RawTensor{entry.dtype, entry.shape, file_.bytes().subspan(entry.begin, entry.end - entry.begin)};
}

std::optional<SourceTensor> SafetensorsFile::find(std::string_view name) const {
  std::optional<RawTensor> raw = find_raw(name);
  if (!raw) return std::nullopt;
  const StoredType* type = find_type(raw->dtype);
  if (type->weight_format.empty()) return std::nullopt;
  return SourceTensor{std::string(name), find_weight_format(type->weight_format).value(), raw->shape, raw->bytes,
                      file_.path().filename().string()};
}

std::string SafetensorsFile::describe(std::string_view name) const {
  const std::optional<RawTensor> raw = find_raw(name);
  if (!raw || !find_type(raw->dtype)->weight_format.empty()) return TensorSource::describe(name);
  return cat(raw->dtype, ' ', raw->shape, " in ", file_.path().filename().string(), ", which is no weight format");
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(header_.entries.size());
  for (const auto& [name, entry] : header_.entries) names.push_back(name);
  return names;
}

std::string SafetensorsFile::description() const { return file_.path().string(); }

namespace {

Result<std::string> write_header(std::span<const TensorToWrite> tensors,
                                 const std::map<std::string, std::string, std::less<>>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::string text = header.dump();
  text.pop_back();
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    const StoredType* type = find_type(tensor.dtype);
    if (type == nullptr)
      return fail(Code::bad_request, cat("tensor ", quote(tensor.name), " has the unknown dtype ", quote(tensor.dtype),
                                         "; known: ", known_types()));
    if (tensor.name == kMetadata || !names.insert(tensor.name).second)
      return fail(Code::bad_request, cat("two tensors are named ", quote(tensor.name)));
    if (tensor_bytes(tensor.shape, *type) != tensor.bytes.size())
      return fail(Code::bad_request, cat("tensor ", quote(tensor.name), " is ", tensor.dtype, ' ', tensor.shape,
                                         ", given are ", tensor.bytes.size(), " bytes"));
    const std::uint64_t end = offset + tensor.bytes.size();
    const std::string shape = to_string(tensor.shape);
    text += cat(text.size() > 1 ? "," : "", Json(tensor.name).dump(), ":{\"dtype\":\"", tensor.dtype,
                "\",\"shape\":", shape, ",\"data_offsets\":[", offset, ",", end, "]}");
    offset = end;
  }
  text += '}';
  const std::uint64_t used = (kLengthBytes + text.size()) % kDataAlignment;
  text.append(used == 0 ? 0 : kDataAlignment - used, ' ');
  if (text.size() > kMaxHeaderBytes)
    return fail(Code::bad_request, cat("the header would have ", text.size(), " bytes, allowed are ", kMaxHeaderBytes));
  return text;
}

}  // namespace

Result<void> write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                               const std::map<std::string, std::string, std::less<>>& metadata) {
  std::string header;
  try {
    Result<std::string> text = write_header(tensors, metadata);
    if (!text) return forward_failure(text, cat("cannot write ", path.string()));
    header = *std::move(text);
  } catch (const Json::exception& error) {  // a name that is not UTF-8
    return fail(Code::bad_request, cat("cannot write ", path.string(), ": ", error.what()));
  }
  const std::uint64_t length = header.size();
  std::vector<std::span<const std::byte>> parts{std::as_bytes(std::span(&length, 1)), std::as_bytes(std::span(header))};
  for (const TensorToWrite& tensor : tensors) parts.push_back(tensor.bytes);
  return write_parts_atomically(path, parts);
}

}  // namespace corbel
