#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "corbel/grammar/number_range.h"
#include "corbel/grammar/schema_document.h"

namespace corbel {

/// Kinds of JSON values as bits.
enum JsonKinds : std::uint32_t {
  kNull = 1,
  kBoolean = 2,
  kWhole = 4,     // numbers without a fraction
  kFraction = 8,  // other numbers
  kString = 16,
  kArray = 32,
  kObject = 64,
  kAnyKind = 127,
};

std::uint32_t kind_of(const Json& value);

/// What one schema object says itself, without what it refers to or combines. Counts that are absent are 0 and
/// UINT32_MAX.
struct SchemaKeywords {
  const Json* at = nullptr;
  std::uint32_t kinds = kAnyKind;
  const Json* enumeration = nullptr;  // the list of "enum"
  const Json* constant = nullptr;
  NumberBounds bounds;
  std::vector<Decimal> divisors;
  std::uint32_t min_length = 0, max_length = UINT32_MAX;
  std::vector<std::string> patterns;
  std::string format;
  std::uint32_t min_items = 0, max_items = UINT32_MAX;
  const Json* prefix_items = nullptr;  // a list
  const Json* items = nullptr;         // a schema, for those after the prefix
  std::uint32_t min_properties = 0, max_properties = UINT32_MAX;
  const Json* properties = nullptr;          // an object
  const Json* pattern_properties = nullptr;  // an object
  const Json* additional = nullptr;          // a schema
  const Json* property_names = nullptr;      // a schema
  std::vector<std::string> required;
};

/// Reads the keywords of a schema object. Refuses keywords that constrain values and are not supported, and values that
/// a keyword cannot have. Unknown keywords are annotations, as JSON schema says.
Result<SchemaKeywords> read_keywords(const SchemaDocument& document, const Json& schema);

/// Does it hold a keyword of its own, besides references, combinations and annotations?
bool says_something(const Json& schema);

}  // namespace corbel
