#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"

/// JSON documents of moderate size (configs, requests, headers) that keep the order of their keys.
namespace corbel {

using Json = nlohmann::ordered_json;

/// Parses a whole document. `source` names it in messages ("config.json"). Refused: bad syntax (with line and column),
/// nesting deeper than 64, the same key twice in one object, invalid UTF-8, the NaN and Infinity that Python
/// writes. Integers outside int64 and uint64 become doubles, which the integer getters below refuse.
Result<Json> parse_json(std::string_view text, std::string_view source);

/// Reads and parses a file of at most `max_bytes`.
Result<Json> read_json_file(const std::filesystem::path& path, std::int64_t max_bytes = 64 << 20);

/// Typed reading of one object's fields. Every getter names the file and the field, what was expected and what was
/// found. A field that is absent or null gives the fallback; a `require_` getter refuses instead. A document that is no
/// object at all is refused by every getter.
class JsonFields {
 public:
  /// `object` must outlive this. `source` is the file's name, `path` the object's place in it ("" at the top).
  JsonFields(const Json& object, std::string source, std::string path = {});
  JsonFields(const Json&& object, std::string source, std::string path = {}) = delete;

  bool has(std::string_view key) const;  // present and not null
  Result<std::int64_t> get_int(std::string_view key, std::int64_t fallback, std::int64_t low, std::int64_t high) const;
  Result<std::int64_t> require_int(std::string_view key, std::int64_t low, std::int64_t high) const;
  Result<double> get_number(std::string_view key, double fallback) const;  // finite
  Result<double> require_number(std::string_view key) const;
  Result<bool> get_bool(std::string_view key, bool fallback) const;
  Result<std::string> get_string(std::string_view key, std::string fallback) const;
  Result<std::string> require_string(std::string_view key) const;
  Result<std::vector<double>> get_numbers(std::string_view key) const;  // absent: empty
  Result<std::vector<std::string>> get_strings(
      std::string_view key) const;  // absent: empty; a single string counts as one
  Result<std::vector<std::int64_t>> get_ints(
      std::string_view key) const;  // absent: empty; a single integer counts as one
  /// The object under `key`; refused when it is something else. Call only when has(key).
  Result<JsonFields> object(std::string_view key) const;

  const Json& json() const { return *object_; }
  const std::string& source() const { return source_; }
  /// "rope_scaling.factor" for key "factor" inside "rope_scaling".
  std::string field_name(std::string_view key) const;

 private:
  bool absent(std::string_view key) const;  // no such key or null, in what is an object
  Failure wrong(std::string_view key, std::string_view expected) const;
  std::string wrong_item(std::string_view key, std::size_t index, const Json& item, std::string_view expected) const;
  const Json* find(std::string_view key) const;

  const Json* object_;
  std::string source_;
  std::string path_;
};

}  // namespace corbel
