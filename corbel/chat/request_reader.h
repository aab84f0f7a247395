#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// Reads one object of a request. Every refusal begins with the field's path in quotation marks, which refused_field()
/// finds again: "temperature", "tools[0].function.name". A field that is null counts as absent.
class RequestReader {
 public:
  /// `object` must outlive this. `path` is its place in the request; empty: the request itself.
  RequestReader(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {}
  RequestReader(const Json&& object, std::string path) = delete;

  const std::string& path() const noexcept { return path_; }
  std::string path_of(std::string_view key) const;
  Failure refuse(std::string_view key, std::string_view why) const;

  Result<void> check_object() const;
  /// Refuses a field that is none of `keys`.
  Result<void> check_known(std::initializer_list<std::string_view> keys) const;

  const Json* find(std::string_view key) const;  // null: absent
  Result<std::string> text(std::string_view key, std::string_view fallback) const;
  Result<std::string> require_text(std::string_view key) const;
  Result<bool> boolean(std::string_view key, bool fallback) const;
  Result<std::int64_t> integer(std::string_view key, std::int64_t fallback, std::int64_t low, std::int64_t high) const;
  /// The object that must stand under `key`.
  Result<RequestReader> object(std::string_view key) const;

 private:
  const Json* object_;
  std::string path_;
};

/// What a value is, for messages: "an object", "\"text\"", 3.
std::string found_value(const Json& value);

/// The path with which a refusal's message begins; empty when it names none.
std::string_view refused_field(std::string_view message);

}  // namespace corbel
