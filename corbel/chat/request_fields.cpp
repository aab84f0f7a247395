#include "corbel/chat/request_fields.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

using Type = FieldType;
using Use = RequestField::Use;

constexpr double k64Bits = 9e18;  // a range up to all of them

bool has_type(const Json& value, Type type) {
  switch (type) {
    case Type::boolean: return value.is_boolean();
    case Type::integer:
      return value.is_number_integer() && !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX);
    case Type::number: return value.is_number() && std::isfinite(value.get<double>());
    case Type::text: return value.is_string();
    case Type::list: return value.is_array();
    case Type::object: return value.is_object();
    case Type::text_or_list: return value.is_string() || value.is_array();
    case Type::text_or_object: return value.is_string() || value.is_object();
  }
  return false;
}

std::string range_text(const RequestField& field) {
  if (field.type == Type::integer) {
    if (field.high > k64Bits) return "a whole number of 64 bits";
    return cat("a whole number from ", static_cast<std::int64_t>(field.low), " to ",
               static_cast<std::int64_t>(field.high));
  }
  if (field.low_is_open) return cat("above ", field.low, " and at most ", field.high);
  return cat("between ", field.low, " and ", field.high);
}

bool in_range(const RequestField& field, double value) {
  return (field.low_is_open ? value > field.low : value >= field.low) && value <= field.high;
}

Result<void> check_field(const RequestField& field, const Json& value) {
  const auto refuse = [&](std::string_view why) { return fail(Code::bad_request, cat('"', field.name, "\" ", why)); };
  if (!has_type(value, field.type)) {
    return refuse(cat("is ", found_value(value), "; it must be ",
                      field.is_ranged() ? range_text(field) : std::string(field_type_name(field.type))));
  }
  if (field.is_ranged() && !in_range(field, value.get<double>())) {
    return refuse(cat("is ", found_value(value), "; it must be ", range_text(field)));
  }
  if (field.use != Use::only) return {};
  std::string_view left = field.only;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(" | "), left.size());
    if (value == Json::parse(left.substr(0, end))) return {};
    left.remove_prefix(std::min(end + 3, left.size()));
  }
  return refuse(cat("is ", found_value(value), "; only ", field.only, " is supported: ", field.meaning));
}

}  // namespace

std::string_view field_type_name(FieldType type) {
  switch (type) {
    case Type::boolean: return "true or false";
    case Type::integer: return "a whole number";
    case Type::number: return "a number";
    case Type::text: return "a string";
    case Type::list: return "a list";
    case Type::object: return "an object";
    case Type::text_or_list: return "a string or a list";
    case Type::text_or_object: return "a string or an object";
  }
  return "?";
}

Result<RequestFields> RequestFields::make(const Json& body, Api api) {
  RequestFields fields(body, api);
  CORBEL_TRY(fields.reader_.check_object());
  const std::span<const RequestField> known = request_fields(api);
  for (const auto& [key, value] : body.items()) {
    if (value.is_null()) continue;
    const auto field = std::ranges::find(known, key, &RequestField::name);
    if (field == known.end())
      return fields.reader_.refuse(key, "is not a field that is known here (docs/api_fields.md)");
    CORBEL_TRY(check_field(*field, value));
  }
  return fields;
}

const Json* RequestFields::find(std::string_view name) const {
  CORBEL_CHECK(std::ranges::find(all_request_fields(), name, &RequestField::name) != all_request_fields().end(),
               "no field ", name);
  return reader_.find(name);
}

double RequestFields::number(std::string_view name, double fallback) const {
  const Json* value = find(name);
  return value == nullptr ? fallback : value->get<double>();
}

std::int64_t RequestFields::integer(std::string_view name, std::int64_t fallback) const {
  const Json* value = find(name);
  return value == nullptr ? fallback : value->get<std::int64_t>();
}

bool RequestFields::boolean(std::string_view name, bool fallback) const {
  const Json* value = find(name);
  return value == nullptr ? fallback : value->get<bool>();
}

std::string RequestFields::text(std::string_view name, std::string_view fallback) const {
  const Json* value = find(name);
  return value == nullptr ? std::string(fallback) : value->get<std::string>();
}

std::vector<std::string> RequestFields::warnings() const {
  std::vector<std::string> texts;
  for (const RequestField& field : request_fields(api_)) {
    const Json* value = field.use == Use::warned ? find(field.name) : nullptr;
    if (value == nullptr || *value == false || *value == "auto" || *value == "default") continue;
    texts.push_back(cat('"', field.name, "\" changes nothing: ", field.meaning));
  }
  return texts;
}

}  // namespace corbel
