#include "corbel/chat/tool_call_schema.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "corbel/chat/tool_call_json.h"
#include "corbel/chat/tool_call_literal.h"

namespace corbel {
namespace {

constexpr std::uint8_t kText = 1;
constexpr std::uint8_t kNumber = 2;
constexpr std::uint8_t kBoolean = 4;
constexpr std::uint8_t kObject = 8;
constexpr std::uint8_t kArray = 16;
constexpr std::uint8_t kNull = 32;
constexpr int kMaxSchemaDepth = 8;

std::uint8_t type_bit(const Json& name) {
  if (!name.is_string()) return 0;
  constexpr std::array<std::pair<std::string_view, std::uint8_t>, 7> kTypes = {{{"string", kText},
                                                                                {"number", kNumber},
                                                                                {"integer", kNumber},
                                                                                {"boolean", kBoolean},
                                                                                {"object", kObject},
                                                                                {"array", kArray},
                                                                                {"null", kNull}}};
  for (const auto& [type, bit] : kTypes) {
    if (name.get_ref<const std::string&>() == type) return bit;
  }
  return 0;
}

std::uint8_t type_of_value(const Json& value) {
  if (value.is_string()) return kText;
  if (value.is_number()) return kNumber;
  if (value.is_boolean()) return kBoolean;
  if (value.is_object()) return kObject;
  return value.is_array() ? kArray : kNull;
}

std::uint8_t type_of_json(std::string_view json) {
  switch (json.front()) {
    case '{': return kObject;
    case '[': return kArray;
    case '"': return kText;
    case 't':
    case 'f': return kBoolean;
    case 'n': return kNull;
    default: return kNumber;
  }
}

const Json* member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

/// What a "#/..." in `root` refers to; null: nothing.
const Json* referred(const Json& root, std::string_view reference) {
  if (!reference.starts_with("#/")) return nullptr;
  try {
    const nlohmann::json_pointer<std::string> pointer{std::string(reference.substr(1))};
    return root.contains(pointer) ? &root.at(pointer) : nullptr;
  } catch (const std::exception&) {  // no pointer at all
    return nullptr;
  }
}

}  // namespace

ToolSchemas::ValueKinds ToolSchemas::kinds_of(const Json& schema, const Json& root) {
  const Types types = types_of(schema, root, 0);
  if (types == 0) return ValueKinds::unknown;
  if ((types & kText) == 0) return ValueKinds::no_text;
  if (types == kText) return ValueKinds::text;
  return types == (kText | kNull) ? ValueKinds::text_or_null : ValueKinds::mixed;
}

ToolSchemas::Types ToolSchemas::types_of(const Json& schema, const Json& root, int depth) {
  Types types = 0;
  if (depth == kMaxSchemaDepth) return types;
  if (const Json* reference = member(schema, "$ref"); reference != nullptr && reference->is_string()) {
    const Json* target = referred(root, reference->get_ref<const std::string&>());
    return target == nullptr ? types : types_of(*target, root, depth + 1);
  }
  if (const Json* type = member(schema, "type")) {
    types |= type_bit(*type);
    if (type->is_array()) {
      for (const Json& one : *type) types |= type_bit(one);
    }
    return types;
  }
  for (const char* key : {"anyOf", "oneOf"}) {
    const Json* choices = member(schema, key);
    if (choices == nullptr || !choices->is_array()) continue;
    for (const Json& choice : *choices) types |= types_of(choice, root, depth + 1);
  }
  if (const Json* all = member(schema, "allOf"); all != nullptr && all->is_array() && all->size() == 1) {
    types |= types_of(all->front(), root, depth + 1);
  }
  if (const Json* value = member(schema, "const"); value != nullptr) types |= type_of_value(*value);
  const Json* values = member(schema, "enum");
  if (values != nullptr && values->is_array()) {
    for (const Json& value : *values) types |= type_of_value(value);
  }
  return types;
}

ToolSchemas::ToolSchemas(const Json& tools) {
  if (!tools.is_array()) return;
  for (const Json& entry : tools) {
    const Json* inner = member(entry, "function");
    const Json& tool = inner != nullptr && inner->is_object() ? *inner : entry;
    const Json* name = member(tool, "name");
    if (name == nullptr || !name->is_string()) continue;
    ByName<Types>& parameters = tools_[name->get<std::string>()];
    const Json* schema = member(tool, "parameters");
    if (schema == nullptr) schema = member(tool, "input_schema");
    const Json* properties = schema == nullptr ? nullptr : member(*schema, "properties");
    if (properties == nullptr || !properties->is_object()) continue;
    for (const auto& [key, property] : properties->items()) parameters[key] = types_of(property, *schema, 0);
  }
}

bool ToolSchemas::knows(std::string_view tool) const { return tools_.find(tool) != tools_.end(); }

ToolSchemas::Types ToolSchemas::types(std::string_view tool, std::string_view parameter) const {
  const auto found = tools_.find(tool);
  if (found == tools_.end()) return 0;
  const auto type = found->second.find(parameter);
  return type == found->second.end() ? Types{0} : type->second;
}

std::string ToolSchemas::value_to_json(std::string_view tool, std::string_view parameter, std::string_view raw) const {
  const Types wanted = types(tool, parameter);
  if (wanted == kText) return json_quoted(raw);
  static const LiteralSyntax kPlain;
  // JSON stays as it was written; Python's spellings are rewritten.
  std::string json = whole_json_object(raw);
  // A tuple is taken for one only where an array is wanted: "(555)" may be a telephone's number.
  const bool tuple = without_blanks(raw).starts_with('(') && (wanted & kArray) == 0;
  if (json.empty() && !tuple) json = literal_to_json(raw, kPlain).value_or(std::string());
  if (json.empty()) return json_quoted(raw);
  const std::uint8_t found = type_of_json(json);
  // A text without quotes is what these formats write, so quotes are part of it, unless the schema wants no text.
  if (found == kText) return (wanted & kText) != 0 || wanted == 0 ? json_quoted(raw) : json;
  if ((wanted & kText) != 0 && (wanted & found) == 0) return json_quoted(raw);
  return json;
}

}  // namespace corbel
