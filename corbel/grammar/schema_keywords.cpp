#include "corbel/grammar/schema_keywords.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/grammar/json_text.h"
#include "corbel/grammar/string_formats.h"

namespace corbel {
namespace {

constexpr std::array<std::string_view, 30> kOwnKeywords = {"type",
                                                           "nullable",
                                                           "enum",
                                                           "const",
                                                           "minimum",
                                                           "maximum",
                                                           "exclusiveMinimum",
                                                           "exclusiveMaximum",
                                                           "multipleOf",
                                                           "minLength",
                                                           "maxLength",
                                                           "pattern",
                                                           "format",
                                                           "minItems",
                                                           "maxItems",
                                                           "prefixItems",
                                                           "items",
                                                           "additionalItems",
                                                           "minProperties",
                                                           "maxProperties",
                                                           "properties",
                                                           "patternProperties",
                                                           "additionalProperties",
                                                           "propertyNames",
                                                           "required",
                                                           "unevaluatedProperties",
                                                           "unevaluatedItems",
                                                           "uniqueItems",
                                                           "contains",
                                                           "minContains"};

// Constraints of some draft of JSON schema that are not honoured, hence refused.
constexpr std::array<std::string_view, 17> kRefused = {"not",
                                                       "if",
                                                       "then",
                                                       "else",
                                                       "dependentRequired",
                                                       "dependentSchemas",
                                                       "dependencies",
                                                       "maxContains",
                                                       "$dynamicRef",
                                                       "$recursiveRef",
                                                       "disallow",
                                                       "extends",
                                                       "divisibleBy",
                                                       "contentSchema",
                                                       "propertyDependencies",
                                                       "discriminator",
                                                       "$data"};

constexpr std::array<std::string_view, 6> kCombining = {"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"};

template <typename List>
bool listed(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

class KeywordReader {
 public:
  KeywordReader(const SchemaDocument& document, const Json& schema) : document_(document), schema_(schema) {
    out_.at = &schema;
  }

  Result<SchemaKeywords> read() {
    for (auto it = schema_.begin(); it != schema_.end(); ++it) {
      if (!listed(kRefused, it.key())) continue;
      if ((it.key() == "then" || it.key() == "else") && !schema_.contains("if")) continue;
      if (it.key() == "contentSchema" || it.key() == "discriminator") continue;  // annotations
      return document_.refuse(&schema_, it.key(), "is not supported");
    }
    CORBEL_TRY(read_kinds());
    CORBEL_TRY(read_numbers());
    CORBEL_TRY(read_strings());
    CORBEL_TRY(read_arrays());
    CORBEL_TRY(read_objects());
    return std::move(out_);
  }

 private:
  const Json* find(std::string_view keyword) const {
    const auto at = schema_.find(std::string(keyword));
    return at == schema_.end() ? nullptr : &*at;
  }
  Failure wrong(std::string_view keyword, std::string_view expected) const {
    return document_.refuse(&schema_, keyword,
                            cat("is ", clip(find(keyword)->dump(-1, ' ', true)), "; it must be ", expected));
  }
  Failure unsupported(std::string_view keyword, std::string_view what) const {
    return document_.refuse(&schema_, keyword, what);
  }

  Result<std::uint32_t> kind_named(const Json& name) const {
    constexpr std::array<std::pair<std::string_view, std::uint32_t>, 7> kKinds = {{{"null", kNull},
                                                                                   {"boolean", kBoolean},
                                                                                   {"integer", kWhole},
                                                                                   {"number", kWhole | kFraction},
                                                                                   {"string", kString},
                                                                                   {"array", kArray},
                                                                                   {"object", kObject}}};
    for (const auto& [text, kinds] : kKinds) {
      if (name.is_string() && name.get_ref<const std::string&>() == text) return kinds;
    }
    return wrong("type", "null, boolean, integer, number, string, array, object, or a list of these");
  }

  Result<void> read_kinds() {
    if (const Json* type = find("type"); type != nullptr) {
      out_.kinds = 0;
      if (!type->is_array()) {
        CORBEL_ASSIGN(out_.kinds, kind_named(*type));
      } else {
        for (const Json& name : *type) {
          CORBEL_ASSIGN(const std::uint32_t kinds, kind_named(name));
          out_.kinds |= kinds;
        }
      }
      if (const Json* nullable = find("nullable"); nullable != nullptr && *nullable == true) out_.kinds |= kNull;
    }
    out_.constant = find("const");
    out_.enumeration = find("enum");
    if (out_.enumeration != nullptr && !out_.enumeration->is_array()) return wrong("enum", "a list");
    return {};
  }

  Result<void> read_bound(std::string_view keyword, std::string_view exclusive_keyword, bool low) {
    const Json* bound = find(keyword);
    const Json* exclusive = find(exclusive_keyword);
    const bool flag = exclusive != nullptr && exclusive->is_boolean();  // draft 4
    if (bound != nullptr) CORBEL_TRY(add_bound(keyword, *bound, flag && *exclusive == true, low));
    if (exclusive != nullptr && !flag) CORBEL_TRY(add_bound(exclusive_keyword, *exclusive, true, low));
    return {};
  }

  Result<void> add_bound(std::string_view keyword, const Json& bound, bool exclusive, bool low) {
    if (!bound.is_number()) return wrong(keyword, "a number");
    // A whole number that is too long for 64 bits was rounded when it was read: the next double inside surely holds.
    const bool rounded = is_rounded(bound);
    const double inside = low ? HUGE_VAL : -HUGE_VAL;
    const Decimal value = Decimal::of(rounded ? Json(std::nextafter(bound.get<double>(), inside)) : bound);
    if (value.whole.size() > kMaxDigits || value.fraction.size() > 30) {
      const bool wide = value.whole.size() > kMaxDigits && value.negative == low;
      if (wide) return {};  // no number that is written reaches it
      return unsupported(
          keyword, cat("bounds of more than ", kMaxDigits, " digits before or 30 behind the point are not supported"));
    }
    if (low) {
      out_.bounds.raise_low(value, exclusive);
    } else {
      out_.bounds.lower_high(value, exclusive);
    }
    return {};
  }

  Result<void> read_numbers() {
    CORBEL_TRY(read_bound("minimum", "exclusiveMinimum", true));
    CORBEL_TRY(read_bound("maximum", "exclusiveMaximum", false));
    if (const Json* divisor = find("multipleOf"); divisor != nullptr) {
      if (!divisor->is_number()) return wrong("multipleOf", "a number above 0");
      const Decimal value = Decimal::of(*divisor);
      if (value.negative || value.zero()) return wrong("multipleOf", "a number above 0");
      out_.divisors.push_back(value);
    }
    return {};
  }

  Result<void> read_count(std::string_view keyword, std::uint32_t& count) {
    const Json* value = find(keyword);
    if (value == nullptr) return {};
    const double number = value->is_number() ? value->get<double>() : -1;
    if (number < 0 || number != std::floor(number)) return wrong(keyword, "a whole number, 0 or above");
    if (number > 1e9) {
      if (keyword.starts_with("max")) return {};
      return unsupported(keyword, "counts above 1000000000 are not supported");
    }
    count = static_cast<std::uint32_t>(number);
    return {};
  }

  Result<void> read_strings() {
    CORBEL_TRY(read_count("minLength", out_.min_length));
    CORBEL_TRY(read_count("maxLength", out_.max_length));
    if (const Json* pattern = find("pattern"); pattern != nullptr) {
      if (!pattern->is_string()) return wrong("pattern", "a regular expression");
      out_.patterns.push_back(pattern->get<std::string>());
    }
    const Json* format = find("format");
    if (format == nullptr) return {};
    if (!format->is_string()) return wrong("format", "a string");
    const std::string& name = format->get_ref<const std::string&>();
    if (is_annotation_format(name)) {
      const bool narrow = name == "int32";
      if (narrow || name == "int64") {
        out_.bounds.raise_low(Decimal::of(narrow ? INT32_MIN : INT64_MIN), false);
        out_.bounds.lower_high(Decimal::of(narrow ? INT32_MAX : INT64_MAX), false);
      }
      return {};
    }
    if (!string_format(name)) {
      std::string known;
      for (const std::string_view each : string_format_names()) known += cat(known.empty() ? "" : ", ", each);
      return unsupported("format", cat(quote(name), " is not supported (supported: ", known, ")"));
    }
    out_.format = name;
    return {};
  }

  Result<const Json*> schema_at(std::string_view keyword) const {
    const Json* value = find(keyword);
    if (value != nullptr && !value->is_object() && !value->is_boolean()) return wrong(keyword, "a schema");
    return value;
  }

  Result<void> read_arrays() {
    CORBEL_TRY(read_count("minItems", out_.min_items));
    CORBEL_TRY(read_count("maxItems", out_.max_items));
    const Json* unique = find("uniqueItems");
    if (unique != nullptr && *unique != false && out_.max_items > 1) {
      return unsupported("uniqueItems", "is not supported; leave it out and check the answer, or use maxItems 1");
    }
    const Json* least = find("minContains");
    if (find("contains") != nullptr && (least == nullptr || *least != 0))
      return unsupported("contains", "is not supported");
    const Json* items = find("items");
    out_.prefix_items = find("prefixItems");
    if (items != nullptr && items->is_array()) {  // until draft 2019-09
      out_.prefix_items = items;
      CORBEL_ASSIGN(out_.items, schema_at("additionalItems"));
    } else {
      CORBEL_ASSIGN(out_.items, schema_at("items"));
    }
    if (out_.prefix_items != nullptr && !out_.prefix_items->is_array())
      return wrong("prefixItems", "a list of schemas");
    CORBEL_ASSIGN(const Json* rest, unevaluated("unevaluatedItems", out_.items));
    out_.items = rest;
    return {};
  }

  /// Where nothing else in this object evaluates parts, `unevaluated...` says the same as `additional...`.
  Result<const Json*> unevaluated(std::string_view keyword, const Json* plain) const {
    CORBEL_ASSIGN(const Json* rest, schema_at(keyword));
    if (rest == nullptr || plain != nullptr || *rest == true) return plain;
    for (const std::string_view combining : kCombining) {
      if (find(combining) != nullptr) return unsupported(keyword, cat("beside ", combining, " is not supported"));
    }
    if (keyword == "unevaluatedItems" && find("contains") != nullptr)
      return unsupported(keyword, "beside contains is not supported");
    return rest;
  }

  Result<void> read_objects() {
    CORBEL_TRY(read_count("minProperties", out_.min_properties));
    CORBEL_TRY(read_count("maxProperties", out_.max_properties));
    out_.properties = find("properties");
    if (out_.properties != nullptr && !out_.properties->is_object()) return wrong("properties", "an object of schemas");
    out_.pattern_properties = find("patternProperties");
    if (out_.pattern_properties != nullptr && !out_.pattern_properties->is_object())
      return wrong("patternProperties", "an object of schemas");
    CORBEL_ASSIGN(out_.additional, schema_at("additionalProperties"));
    CORBEL_ASSIGN(out_.additional, unevaluated("unevaluatedProperties", out_.additional));
    CORBEL_ASSIGN(out_.property_names, schema_at("propertyNames"));
    const Json* required = find("required");
    if (required == nullptr) return {};
    if (!required->is_array()) return wrong("required", "a list of names");
    for (const Json& name : *required) {
      if (!name.is_string()) return wrong("required", "a list of names");
      out_.required.push_back(name.get<std::string>());
    }
    return {};
  }

  const SchemaDocument& document_;
  const Json& schema_;
  SchemaKeywords out_;
};

}  // namespace

std::uint32_t kind_of(const Json& value) {
  if (value.is_null()) return kNull;
  if (value.is_boolean()) return kBoolean;
  if (value.is_string()) return kString;
  if (value.is_array()) return kArray;
  if (value.is_object()) return kObject;
  if (!value.is_number_float()) return kWhole;
  return Decimal::of(value).fraction.empty() ? kWhole : kFraction;
}

Result<SchemaKeywords> read_keywords(const SchemaDocument& document, const Json& schema) {
  return KeywordReader(document, schema).read();
}

bool says_something(const Json& schema) {
  return std::any_of(kOwnKeywords.begin(), kOwnKeywords.end(),
                     [&](std::string_view name) { return schema.contains(std::string(name)); }) ||
         std::any_of(kRefused.begin(), kRefused.end(),
                     [&](std::string_view name) { return schema.contains(std::string(name)); });
}

}  // namespace corbel
