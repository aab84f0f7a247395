#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/grammar/json_text.h"
#include "corbel/grammar/regex.h"
#include "corbel/grammar/schema_compiler.h"

namespace corbel {
namespace {

using Id = GrammarBuilder::Id;

constexpr std::size_t kMaxPrefix = 2000;  // items that differ by their position

/// A refusal from a part that knows no place, told with the place.
Failure placed(const SchemaDocument& document, const SchemaBranch& branch, std::string_view keyword,
               const Error& error) {
  return document.refuse(branch.all.empty() ? &document.root() : branch.all[0].at, keyword, error.message);
}

}  // namespace

Result<Id> SchemaCompiler::value_of(const SchemaBranch& branch) {
  std::uint32_t kinds = kAnyKind;
  const Json* candidates = nullptr;
  for (const SchemaKeywords& keywords : branch.all) {
    kinds &= keywords.kinds;
    if (keywords.enumeration != nullptr) candidates = keywords.enumeration;
  }
  for (const SchemaKeywords& keywords : branch.all) {
    if (keywords.constant != nullptr) return enumerated(branch, Json::array({*keywords.constant}), "const");
  }
  if (candidates != nullptr) return enumerated(branch, *candidates, "enum");
  std::vector<Id> choices;
  if ((kinds & kNull) != 0) {
    CORBEL_ASSIGN(const Id null, builder_.literal("null"));
    choices.push_back(null);
  }
  if ((kinds & kBoolean) != 0) {
    CORBEL_ASSIGN(const Id yes, builder_.literal("true"));
    CORBEL_ASSIGN(const Id no, builder_.literal("false"));
    choices.insert(choices.end(), {yes, no});
  }
  if ((kinds & (kWhole | kFraction)) != 0) {
    CORBEL_ASSIGN(const Id number, number_of(branch, kinds));
    choices.push_back(number);
  }
  if ((kinds & kString) != 0) {
    CORBEL_ASSIGN(const Id string, string_of(branch));
    choices.push_back(string);
  }
  if ((kinds & kArray) != 0) {
    CORBEL_ASSIGN(const Id array, array_of(branch));
    choices.push_back(array);
  }
  if ((kinds & kObject) != 0) {
    CORBEL_ASSIGN(const Id object, object_of(branch));
    choices.push_back(object);
  }
  return builder_.nodes().either(choices);
}

Result<Id> SchemaCompiler::enumerated(const SchemaBranch& branch, const Json& candidates, std::string_view keyword) {
  std::vector<std::string> texts;
  for (const Json& candidate : candidates) {
    bool good = true;
    for (const SchemaKeywords& keywords : branch.all) {
      if (!good) break;
      CORBEL_ASSIGN(good, values_.holds(keywords, candidate));
    }
    std::string text = json_text(candidate);
    const ByteSet& alphabet = builder_.options().alphabet;
    good = good &&
           std::all_of(text.begin(), text.end(), [&](char c) { return alphabet.has(static_cast<std::uint8_t>(c)); });
    if (good && is_rounded(candidate))
      return placed(document_, branch, keyword, {Code::bad_request, "numbers of 2^64 and more are not kept exactly"});
    if (good) texts.push_back(std::move(text));
  }
  return builder_.add_table(dfa_of_literals(std::move(texts)));
}

Result<Id> SchemaCompiler::number_of(const SchemaBranch& branch, std::uint32_t kinds) {
  const NumberKind kind = (kinds & kFraction) != 0 ? NumberKind::any : NumberKind::whole;
  NumberBounds bounds;
  std::vector<Decimal> divisors;
  for (const SchemaKeywords& keywords : branch.all) {
    if (keywords.bounds.low) bounds.raise_low(keywords.bounds.low->value, keywords.bounds.low->exclusive);
    if (keywords.bounds.high) bounds.lower_high(keywords.bounds.high->value, keywords.bounds.high->exclusive);
    divisors.insert(divisors.end(), keywords.divisors.begin(), keywords.divisors.end());
  }
  const bool plain = !bounds.low && !bounds.high && divisors.empty();
  Result<Dfa> table = builder_.regular_table([&](Regular& r) -> Result<Regular::Id> {
    if (!plain) return number_in(r, bounds, kind);
    return kind == NumberKind::any ? json_number(r) : json_integer(r);
  });
  if (!table) return placed(document_, branch, "minimum", table.error());
  const std::uint32_t most = builder_.options().max_table_states;
  for (const Decimal& divisor : divisors) {
    const Result<const Dfa*> multiples = values_.multiples_table(divisor);
    if (!multiples) return placed(document_, branch, "multipleOf", multiples.error());
    table = builder_.both(*table, **multiples, 4 * most);
    if (!table) return placed(document_, branch, "multipleOf", table.error());
  }
  return builder_.add_table(*std::move(table));
}

Result<Dfa> SchemaCompiler::string_table(const SchemaBranch& branch) {
  std::uint32_t least = 0;
  std::uint32_t most = UINT32_MAX;
  std::vector<const Dfa*> parts;
  for (const SchemaKeywords& keywords : branch.all) {
    least = std::max(least, keywords.min_length);
    most = std::min(most, keywords.max_length);
    for (const std::string& pattern : keywords.patterns) {
      CORBEL_ASSIGN(const Dfa* part, values_.pattern_table(keywords, pattern));
      parts.push_back(part);
    }
    if (keywords.format.empty()) continue;
    CORBEL_ASSIGN(const Dfa* part, values_.format_table(keywords));
    parts.push_back(part);
  }
  const bool counted = least > 0 || most != UINT32_MAX;
  Result<Dfa> table = Dfa{};
  if (counted || parts.empty()) {
    table = builder_.regular_table([&](Regular& r) -> Result<Regular::Id> {
      return r.repeat(spell(r, CodePoints{}.complement(), Spelling::json_string), least, most);
    });
    if (!table) return placed(document_, branch, "maxLength", table.error());
  } else {
    table = *parts.back();
    parts.pop_back();
  }
  for (const Dfa* part : parts) {
    table = builder_.both(*table, *part, builder_.options().max_table_states);
    if (!table) return placed(document_, branch, "pattern", table.error());
  }
  return table;
}

Result<Id> SchemaCompiler::string_of(const SchemaBranch& branch) {
  std::uint32_t least = 0;
  std::uint32_t most = UINT32_MAX;
  bool free = true;
  for (const SchemaKeywords& keywords : branch.all) {
    least = std::max(least, keywords.min_length);
    most = std::min(most, keywords.max_length);
    free = free && keywords.patterns.empty() && keywords.format.empty();
  }
  if (free) return builder_.json_string(least, most);
  CORBEL_ASSIGN(Dfa table, string_table(branch));
  CORBEL_ASSIGN(const Id mark, builder_.literal("\""));
  CORBEL_ASSIGN(const Id content, builder_.add_table(std::move(table)));
  return builder_.concat({mark, content, mark});
}

Result<Dfa> SchemaCompiler::name_table(const Schemas& schemas) {
  const Schemas outer = std::exchange(open_, {});
  CORBEL_ASSIGN(const std::vector<SchemaBranch> branches, branches_of(schemas));
  open_ = outer;
  if (branches.empty()) return Dfa{};
  if (branches.size() > 1) return document_.refuse(schemas[0], "propertyNames", "alternatives are not supported");
  for (const SchemaKeywords& keywords : branches[0].all) {
    if ((keywords.kinds & kString) == 0) return Dfa{};
    if (keywords.constant != nullptr || keywords.enumeration != nullptr) {
      return document_.refuse(schemas[0], "propertyNames",
                              "enum and const are not supported; list the names in properties");
    }
  }
  return string_table(branches[0]);
}

Result<Id> SchemaCompiler::array_of(const SchemaBranch& branch) {
  std::uint32_t least = 0;
  std::uint32_t most = UINT32_MAX;
  std::size_t prefix = 0;
  for (const SchemaKeywords& keywords : branch.all) {
    least = std::max(least, keywords.min_items);
    most = std::min(most, keywords.max_items);
    if (keywords.prefix_items != nullptr) prefix = std::max(prefix, keywords.prefix_items->size());
  }
  if (prefix > kMaxPrefix)
    return document_.refuse(branch.all[0].at, "prefixItems", cat("more than ", kMaxPrefix, " are not supported"));
  if (least > most) return NodeStore::kNothing;
  const auto item = [&](std::size_t index) {
    Schemas schemas;
    for (const SchemaKeywords& keywords : branch.all) {
      const bool in_prefix = keywords.prefix_items != nullptr && index < keywords.prefix_items->size();
      if (in_prefix) schemas.push_back(&(*keywords.prefix_items)[index]);
      if (!in_prefix && keywords.items != nullptr) schemas.push_back(keywords.items);
    }
    return rule_for(std::move(schemas));
  };
  CORBEL_ASSIGN(const Id gap, builder_.space());
  CORBEL_ASSIGN(const Id open, builder_.literal("["));
  CORBEL_ASSIGN(const Id comma, builder_.literal(","));
  CORBEL_ASSIGN(const Id close, builder_.literal("]"));
  const Id end = builder_.concat({gap, close});
  const auto limit = static_cast<std::uint32_t>(std::min<std::size_t>(std::max<std::size_t>(prefix, 1), most));
  CORBEL_ASSIGN(const Id rest, item(prefix));
  // What follows `limit` items: any number of the same kind.
  const std::uint32_t more = most == UINT32_MAX ? most : most - limit;
  Id tail = builder_.concat(
      {builder_.nodes().repeat(builder_.concat({comma, gap, rest}), least > limit ? least - limit : 0, more), end});
  for (std::uint32_t i = limit; i-- > 0;) {
    CORBEL_ASSIGN(const Id value, item(i));
    const Id with = builder_.concat({i == 0 ? gap : builder_.concat({comma, gap}), value, tail});
    tail = i >= least ? builder_.either({with, i == 0 ? close : end}) : with;
  }
  if (limit == 0) tail = close;
  return builder_.concat({open, tail});
}

}  // namespace corbel
