#pragma once
#include <map>
#include <string>
#include <unordered_set>

#include "corbel/grammar/grammar_builder.h"
#include "corbel/grammar/number_range.h"
#include "corbel/grammar/schema_keywords.h"

namespace corbel {

/// Tells whether a value that stands in a schema (a member of an enum, a property's name) satisfies another part of it.
class SchemaValues {
 public:
  SchemaValues(const SchemaDocument& document, GrammarBuilder& builder) : document_(document), builder_(builder) {}

  Result<bool> valid(const Json& schema, const Json& value) { return valid(schema, value, 0); }
  /// The object's own keywords alone.
  Result<bool> holds(const SchemaKeywords& keywords, const Json& value, int depth = 0);

  /// The strings that a pattern matches, or a format allows, as JSON writes them between the marks; compiled once.
  Result<const Dfa*> pattern_table(const SchemaKeywords& keywords, const std::string& pattern);
  Result<const Dfa*> format_table(const SchemaKeywords& keywords);
  /// Multiples of a divisor (multiples_of), made once.
  Result<const Dfa*> multiples_table(const Decimal& divisor);

 private:
  Result<bool> valid(const Json& schema, const Json& value, int depth);
  Result<bool> number_holds(const SchemaKeywords& keywords, const Json& value);
  Result<bool> string_holds(const SchemaKeywords& keywords, const std::string& text);
  Result<bool> array_holds(const SchemaKeywords& keywords, const Json& value, int depth);
  Result<bool> object_holds(const SchemaKeywords& keywords, const Json& value, int depth);
  Result<bool> member_holds(const SchemaKeywords& keywords, const std::string& name, const Json& value, int depth);

  bool is_listed(const Json& list, const Json& value);

  const SchemaDocument& document_;
  GrammarBuilder& builder_;
  std::map<std::string, Dfa> tables_;
  std::map<const Json*, std::unordered_set<std::string>> lists_;  // values of an enum, by canonical_text()
};

/// The same text for values that JSON schema calls equal: 1 and 1.0, objects in any order.
std::string canonical_text(const Json& value);
/// Characters of valid UTF-8.
std::size_t character_count(std::string_view text);
/// What stands between the marks of a JSON string.
std::string json_string_content(std::string_view text);

}  // namespace corbel
