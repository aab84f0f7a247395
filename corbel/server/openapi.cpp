#include "corbel/server/openapi.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "corbel/chat/request_fields.h"

namespace corbel {
namespace {

Json type_json(FieldType type) {
  switch (type) {
    case FieldType::boolean: return {{"type", "boolean"}};
    case FieldType::integer: return {{"type", "integer"}};
    case FieldType::number: return {{"type", "number"}};
    case FieldType::text: return {{"type", "string"}};
    case FieldType::list: return {{"type", "array"}, {"items", Json::object()}};
    case FieldType::object: return {{"type", "object"}};
    case FieldType::text_or_list:
      return {{"oneOf", Json::array({{{"type", "string"}}, {{"type", "array"}, {"items", Json::object()}}})}};
    case FieldType::text_or_object: return {{"oneOf", Json::array({{{"type", "string"}}, {{"type", "object"}}})}};
  }
  return Json::object();
}

/// Whole numbers as such.
Json limit_json(const RequestField& field, double limit) {
  constexpr double kExact = 9007199254740992.0;
  if (field.type != FieldType::integer) return limit;
  if (limit > kExact) return INT64_MAX;
  if (limit < -kExact) return -INT64_MAX;
  return static_cast<std::int64_t>(limit);
}

Json field_json(const RequestField& field) {
  Json schema = type_json(field.type);
  schema["description"] = field.meaning;
  if (field.is_ranged()) {
    schema[field.low_is_open ? "exclusiveMinimum" : "minimum"] = limit_json(field, field.low);
    schema["maximum"] = limit_json(field, field.high);
  }
  // What a field that is left out means is no JSON where it is the model's affair.
  if (const Json fallback = Json::parse(field.fallback, nullptr, false);
      !fallback.is_discarded() && !fallback.is_null())
    schema["default"] = fallback;
  if (field.use == RequestField::Use::only) {
    schema["enum"] = Json::array();
    for (std::string_view left = field.only; !left.empty();) {
      const std::size_t end = std::min(left.find(" | "), left.size());
      schema["enum"].push_back(Json::parse(left.substr(0, end)));
      left.remove_prefix(std::min(end + 3, left.size()));
    }
  }
  return schema;
}

Json body_json(Api api) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const RequestField& field : request_fields(api)) {
    properties[std::string(field.name)] = field_json(field);
    if (field.fallback.empty() && field.use == RequestField::Use::honoured) required.push_back(field.name);
  }
  Json schema = {{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

Json error_answer(std::string_view why) {
  return {{"description", why},
          {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
}

Json answers_json(const Route& route) {
  Json answers = {{"200", {{"description", route.meaning}}}, {"401", error_answer("a valid API key is needed")}};
  if (route.method == "POST") {
    answers["400"] = error_answer("a field is refused: param has its path");
    answers["404"] = error_answer("there is no such model");
    answers["413"] = error_answer("the body is too large");
    answers["429"] = error_answer("too many requests; retry-after says when to come back");
  }
  if (route.needs != RouteNeeds::nothing) answers["503"] = error_answer("the server is loading or shutting down");
  return answers;
}

std::string operation_id(const Route& route) {
  std::string id;
  for (const char c : cat(route.method, route.path)) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain) id += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (!plain && !id.ends_with('_')) id += '_';
  }
  while (id.ends_with('_')) id.pop_back();
  return id;
}

Json operation_json(const Route& route) {
  Json operation = {{"summary", route.meaning}, {"operationId", operation_id(route)}};
  const auto api = std::ranges::find(all_apis(), route.path, &ApiEntry::path);
  if (route.path.ends_with("{model}")) {
    operation["parameters"] =
        Json::array({{{"name", "model"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
  }
  if (route.method == "POST" && api != all_apis().end()) {
    operation["requestBody"] = {{"required", true},
                                {"content", {{"application/json", {{"schema", body_json(api->api)}}}}}};
  }
  operation["responses"] = answers_json(route);
  return operation;
}

}  // namespace

Json openapi_json(std::span<const Route> routes, const std::string& version) {
  Json paths = Json::object();
  for (const Route& route : routes) {
    std::string method(route.method);
    std::ranges::transform(method, method.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    paths[std::string(route.path)][method] = operation_json(route);
  }
  const Json text_or_null = {{"type", Json::array({"string", "null"})}};
  const Json error = {{"type", "object"},
                      {"required", Json::array({"error"})},
                      {"properties",
                       {{"error",
                         {{"type", "object"},
                          {"required", Json::array({"message", "type", "param", "code"})},
                          {"properties",
                           {{"message", {{"type", "string"}}},
                            {"type", {{"type", "string"}}},
                            {"param", text_or_null},
                            {"code", text_or_null}}}}}}}};
  return {
      {"openapi", "3.1.0"},
      {"info", {{"title", "corbel serve"}, {"version", version}}},
      {"security", Json::array({{{"key", Json::array()}}, Json::object()})},
      {"paths", std::move(paths)},
      {"components",
       {{"schemas", {{"Error", error}}}, {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace corbel
