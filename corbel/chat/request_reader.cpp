#include "corbel/chat/request_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {

std::string found_value(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return cat("a list of ", value.size());
  if (value.is_string()) return quote(value.get_ref<const std::string&>());
  return clip(value.dump());
}

std::string RequestReader::path_of(std::string_view key) const {
  const std::string safe = clip(key);
  return path_.empty() ? safe : cat(path_, '.', safe);
}

Failure RequestReader::refuse(std::string_view key, std::string_view why) const {
  return fail(Code::bad_request, cat('"', path_of(key), "\" ", why));
}

Result<void> RequestReader::check_object() const {
  if (object_->is_object()) return {};
  if (path_.empty()) return fail(Code::bad_request, cat("the body must be an object, found ", found_value(*object_)));
  return fail(Code::bad_request, cat('"', path_, "\" must be an object, found ", found_value(*object_)));
}

Result<void> RequestReader::check_known(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : object_->items()) {
    if (value.is_null() || std::ranges::find(keys, key) != keys.end()) continue;
    return refuse(key, "is not a field that is known here");
  }
  return {};
}

const Json* RequestReader::find(std::string_view key) const {
  if (!object_->is_object()) return nullptr;
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> RequestReader::text(std::string_view key, std::string_view fallback) const {
  if (find(key) == nullptr) return std::string(fallback);
  return require_text(key);
}

Result<std::string> RequestReader::require_text(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return refuse(key, "is missing; it must be a string");
  if (!value->is_string()) return refuse(key, cat("must be a string, found ", found_value(*value)));
  return value->get_ref<const std::string&>();
}

Result<bool> RequestReader::boolean(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return refuse(key, cat("must be true or false, found ", found_value(*value)));
  return value->get<bool>();
}

Result<std::int64_t> RequestReader::integer(std::string_view key, std::int64_t fallback, std::int64_t low,
                                            std::int64_t high) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  const bool whole =
      value->is_number_integer() &&
      !(value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX));
  if (!whole || value->get<std::int64_t>() < low || value->get<std::int64_t>() > high) {
    return refuse(key, cat("is ", found_value(*value), "; it must be a whole number from ", low, " to ", high));
  }
  return value->get<std::int64_t>();
}

Result<RequestReader> RequestReader::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return refuse(key, "is missing; it must be an object");
  if (!value->is_object()) return refuse(key, cat("must be an object, found ", found_value(*value)));
  return RequestReader(*value, path_of(key));
}

std::string_view refused_field(std::string_view message) {
  if (!message.starts_with('"')) return {};
  const std::size_t end = message.find('"', 1);
  return end == std::string_view::npos ? std::string_view() : message.substr(1, end - 1);
}

}  // namespace corbel
