#include "corbel/grammar/schema_values.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/grammar/json_text.h"
#include "corbel/grammar/regex.h"
#include "corbel/grammar/string_formats.h"

namespace corbel {
namespace {

constexpr int kMaxDepth = 150;  // of schemas within schemas

constexpr std::uint64_t kReadingWork = 30;  // of a schema's keywords
constexpr std::uint64_t kHoldingWork = 10;  // of a value beside one schema's own keywords

}  // namespace

std::string canonical_text(const Json& value) {
  if (value.is_number()) {
    const Decimal number = Decimal::of(value);
    return cat(number.negative && !number.zero() ? "-" : "", number.whole, ".", number.fraction);
  }
  if (!value.is_structured()) return json_text(value);
  std::vector<std::string> parts;
  for (auto it = value.begin(); it != value.end(); ++it)
    parts.push_back(value.is_object() ? cat(json_string_text(it.key()), ":", canonical_text(*it))
                                      : canonical_text(*it));
  if (value.is_object()) std::sort(parts.begin(), parts.end());
  std::string text = value.is_object() ? "{" : "[";
  for (const std::string& part : parts) text += part + ",";
  return text;
}

std::size_t character_count(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<std::uint8_t>(c) & 0xC0) != 0x80; }));
}

std::string json_string_content(std::string_view text) {
  const std::string whole = json_string_text(text);
  return whole.substr(1, whole.size() - 2);
}

Result<const Dfa*> SchemaValues::pattern_table(const SchemaKeywords& keywords, const std::string& pattern) {
  const auto [at, fresh] = tables_.emplace("p" + pattern, Dfa{});
  if (!fresh) return &at->second;
  Result<Dfa> table = builder_.regular_table(
      [&](Regular& r) { return parse_regex(r, pattern, RegexAnchoring::search, Spelling::json_string); });
  if (!table) {
    tables_.erase(at);
    return document_.refuse(keywords.at, "pattern", cat(quote(pattern), ": ", table.error().message));
  }
  at->second = *std::move(table);
  return &at->second;
}

Result<const Dfa*> SchemaValues::format_table(const SchemaKeywords& keywords) {
  const auto [at, fresh] = tables_.emplace("f" + keywords.format, Dfa{});
  if (!fresh) return &at->second;
  const std::vector<std::string_view> patterns = *string_format(keywords.format);
  Result<Dfa> table = builder_.regular_table([&](Regular& r) -> Result<Regular::Id> {
    Regular::Id all = r.complement(r.nothing());
    for (const std::string_view pattern : patterns) {
      CORBEL_ASSIGN(const Regular::Id id, parse_regex(r, pattern, RegexAnchoring::whole, Spelling::json_string));
      all = r.both(all, id);
    }
    return all;
  });
  if (!table) {
    tables_.erase(at);
    return document_.refuse(keywords.at, "format", table.error().message);
  }
  at->second = *std::move(table);
  return &at->second;
}

Result<const Dfa*> SchemaValues::multiples_table(const Decimal& divisor) {
  const auto [at, fresh] = tables_.emplace(cat("m", divisor.whole, ".", divisor.fraction), Dfa{});
  if (!fresh) return &at->second;
  Result<Dfa> table = multiples_of(divisor, builder_.options().max_table_states);
  if (table) {
    if (const auto spent = builder_.spend(table->next.size() / 4); !spent) table = forward_failure(spent);
  }
  if (!table) {
    tables_.erase(at);
    return forward_failure(table);
  }
  at->second = *std::move(table);
  return &at->second;
}

bool SchemaValues::is_listed(const Json& list, const Json& value) {
  const auto [at, fresh] = lists_.try_emplace(&list);
  if (fresh) {
    for (const Json& each : list) at->second.insert(canonical_text(each));
  }
  return at->second.contains(canonical_text(value));
}

Result<bool> SchemaValues::valid(const Json& schema, const Json& value, int depth) {
  if (schema.is_boolean()) return schema.get<bool>();
  if (!schema.is_object()) return document_.refuse(&schema, "", "a schema must be an object, true or false");
  CORBEL_TRY(builder_.spend(kReadingWork + schema.size()));
  if (depth > kMaxDepth)
    return document_.refuse(&schema, "$ref", cat("schemas lie more than ", kMaxDepth, " deep in each other"));
  CORBEL_ASSIGN(const SchemaKeywords keywords, read_keywords(document_, schema));
  CORBEL_ASSIGN(bool good, holds(keywords, value, depth));
  if (const auto ref = schema.find("$ref"); good && ref != schema.end() && ref->is_string()) {
    CORBEL_ASSIGN(const Json* target, document_.resolve(&schema, ref->get<std::string>()));
    CORBEL_ASSIGN(good, valid(*target, value, depth + 1));
  }
  for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
    const auto list = schema.find(keyword);
    if (!good || list == schema.end() || !list->is_array()) continue;
    std::size_t count = 0;
    for (const Json& each : *list) {
      CORBEL_ASSIGN(const bool holds_too, valid(each, value, depth + 1));
      count += holds_too ? 1 : 0;
    }
    const std::string_view name = keyword;
    good = name == "allOf" ? count == list->size() : name == "anyOf" ? count > 0 : count == 1;
  }
  return good;
}

Result<bool> SchemaValues::number_holds(const SchemaKeywords& keywords, const Json& value) {
  const Decimal number = Decimal::of(value);
  if (const auto& low = keywords.bounds.low; low) {
    const int order = compare(number, low->value);
    if (order < 0 || (order == 0 && low->exclusive)) return false;
  }
  if (const auto& high = keywords.bounds.high; high) {
    const int order = compare(number, high->value);
    if (order > 0 || (order == 0 && high->exclusive)) return false;
  }
  for (const Decimal& divisor : keywords.divisors) {
    CORBEL_ASSIGN(const Dfa* table, multiples_table(divisor));
    const std::string sign = number.negative ? "-" : "";
    if (!table->matches(sign + number.whole + (number.fraction.empty() ? "" : "." + number.fraction))) return false;
  }
  return true;
}

Result<bool> SchemaValues::string_holds(const SchemaKeywords& keywords, const std::string& text) {
  const std::size_t length = character_count(text);
  if (length < keywords.min_length || length > keywords.max_length) return false;
  const std::string content = json_string_content(text);
  for (const std::string& pattern : keywords.patterns) {
    CORBEL_ASSIGN(const Dfa* table, pattern_table(keywords, pattern));
    if (!table->matches(content)) return false;
  }
  if (keywords.format.empty()) return true;
  CORBEL_ASSIGN(const Dfa* table, format_table(keywords));
  return table->matches(content);
}

Result<bool> SchemaValues::array_holds(const SchemaKeywords& keywords, const Json& value, int depth) {
  if (value.size() < keywords.min_items || value.size() > keywords.max_items) return false;
  const std::size_t prefix = keywords.prefix_items == nullptr ? 0 : keywords.prefix_items->size();
  for (std::size_t i = 0; i < value.size(); ++i) {
    const Json* schema = i < prefix ? &(*keywords.prefix_items)[i] : keywords.items;
    if (schema == nullptr) continue;
    CORBEL_ASSIGN(const bool good, valid(*schema, value[i], depth + 1));
    if (!good) return false;
  }
  return true;
}

Result<bool> SchemaValues::member_holds(const SchemaKeywords& keywords, const std::string& name, const Json& value,
                                        int depth) {
  bool evaluated = false;
  std::vector<const Json*> schemas;
  if (keywords.properties != nullptr && keywords.properties->contains(name)) {
    schemas.push_back(&keywords.properties->at(name));
    evaluated = true;
  }
  if (keywords.pattern_properties != nullptr) {
    for (auto it = keywords.pattern_properties->begin(); it != keywords.pattern_properties->end(); ++it) {
      CORBEL_ASSIGN(const Dfa* table, pattern_table(keywords, it.key()));
      if (!table->matches(json_string_content(name))) continue;
      schemas.push_back(&it.value());
      evaluated = true;
    }
  }
  if (!evaluated && keywords.additional != nullptr) schemas.push_back(keywords.additional);
  for (const Json* schema : schemas) {
    CORBEL_ASSIGN(const bool good, valid(*schema, value, depth + 1));
    if (!good) return false;
  }
  if (keywords.property_names == nullptr) return true;
  return valid(*keywords.property_names, Json(name), depth + 1);
}

Result<bool> SchemaValues::object_holds(const SchemaKeywords& keywords, const Json& value, int depth) {
  if (value.size() < keywords.min_properties || value.size() > keywords.max_properties) return false;
  for (const std::string& name : keywords.required) {
    if (!value.contains(name)) return false;
  }
  for (auto it = value.begin(); it != value.end(); ++it) {
    CORBEL_ASSIGN(const bool good, member_holds(keywords, it.key(), it.value(), depth));
    if (!good) return false;
  }
  return true;
}

Result<bool> SchemaValues::holds(const SchemaKeywords& keywords, const Json& value, int depth) {
  if ((keywords.kinds & kind_of(value)) == 0) return false;
  CORBEL_TRY(builder_.spend(kHoldingWork + value.size()));
  if (keywords.constant != nullptr && canonical_text(*keywords.constant) != canonical_text(value)) return false;
  if (keywords.enumeration != nullptr && !is_listed(*keywords.enumeration, value)) return false;
  if (value.is_number()) return number_holds(keywords, value);
  if (value.is_string()) return string_holds(keywords, value.get_ref<const std::string&>());
  if (value.is_array()) return array_holds(keywords, value, depth);
  if (value.is_object()) return object_holds(keywords, value, depth);
  return true;
}

}  // namespace corbel
