#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/grammar/schema_compiler.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxBranches = 512;
constexpr std::uint64_t kMaxDisjointnessChecks = 600;
constexpr std::uint32_t kMaxCheckStates = 20'000;
constexpr std::uint64_t kMaxCheckWork = 1'000'000;
constexpr std::uint64_t kReadingWork = 30;  // of a schema's keywords

const Json* member(const Json& value, const std::string& name) {
  if (!value.is_object()) return nullptr;
  const auto found = value.find(name);
  return found == value.end() ? nullptr : &*found;
}

}  // namespace

Result<std::vector<SchemaBranch>> SchemaCompiler::branches_of(const Schemas& schemas) {
  std::vector<SchemaBranch> branches(1);
  for (const Json* schema : schemas) CORBEL_TRY(add_schema(*schema, branches));
  return branches;
}

Result<void> SchemaCompiler::add_schema(const Json& schema, std::vector<SchemaBranch>& branches) {
  if (schema.is_boolean()) {
    if (schema == false) branches.clear();
    return {};
  }
  if (!schema.is_object()) return document_.refuse(&schema, "", "a schema must be an object, true or false");
  CORBEL_TRY(builder_.spend(kReadingWork + schema.size()));
  if (std::find(open_.begin(), open_.end(), &schema) != open_.end()) {
    return document_.refuse(&schema, "$ref", "the schema refers to itself without an array or object in between");
  }
  if (says_something(schema)) {
    CORBEL_ASSIGN(const SchemaKeywords keywords, read_keywords(document_, schema));
    for (SchemaBranch& branch : branches) branch.all.push_back(keywords);
  }
  open_.push_back(&schema);
  if (const auto ref = schema.find("$ref"); ref != schema.end()) {
    if (!ref->is_string()) return document_.refuse(&schema, "$ref", "must be a string");
    CORBEL_ASSIGN(const Json* target, document_.resolve(&schema, ref->get<std::string>()));
    CORBEL_TRY(add_schema(*target, branches));
  }
  if (const auto all = schema.find("allOf"); all != schema.end()) {
    if (!all->is_array()) return document_.refuse(&schema, "allOf", "must be a list of schemas");
    for (const Json& each : *all) CORBEL_TRY(add_schema(each, branches));
  }
  CORBEL_TRY(add_options(schema, "anyOf", branches));
  CORBEL_TRY(add_options(schema, "oneOf", branches));
  open_.pop_back();
  return {};
}

Result<void> SchemaCompiler::add_options(const Json& schema, std::string_view keyword,
                                         std::vector<SchemaBranch>& branches) {
  const auto options = schema.find(std::string(keyword));
  if (options == schema.end()) return {};
  if (!options->is_array() || options->empty())
    return document_.refuse(&schema, keyword, "must be a list of schemas, at least one");
  if (keyword == "oneOf" && one_of_ == OneOf::proven_disjoint && !disjoint_.contains(&schema)) {
    CORBEL_TRY(prove_disjoint(schema, *options));
    disjoint_.insert(&schema);
  }
  std::vector<SchemaBranch> all;
  for (const Json& option : *options) {
    for (const SchemaBranch& branch : branches) CORBEL_TRY(builder_.spend(1 + branch.all.size()));
    std::vector<SchemaBranch> copy = branches;
    CORBEL_TRY(add_schema(option, copy));
    all.insert(all.end(), std::make_move_iterator(copy.begin()), std::make_move_iterator(copy.end()));
    if (all.size() > kMaxBranches) {
      return document_.refuse(&schema, keyword, cat("alternatives combine to more than ", kMaxBranches));
    }
  }
  branches = std::move(all);
  return {};
}

/// Both are objects with a property that has another constant in each: the usual way to tell options apart, and the
/// quick one.
Result<bool> SchemaCompiler::tagged_apart(const Json& a, const Json& b) const {
  CORBEL_ASSIGN(const Json* one, without_detours(&a));
  CORBEL_ASSIGN(const Json* other, without_detours(&b));
  if (!one->is_object() || !other->is_object()) return false;
  const Json* const both[] = {one, other};
  if (std::ranges::none_of(both, [](const Json* schema) { return schema->value("type", Json()) == "object"; }))
    return false;
  const Json* const properties = member(*one, "properties");
  if (properties == nullptr || !properties->is_object()) return false;
  for (auto it = properties->begin(); it != properties->end(); ++it) {
    const Json* const constant = member(*it, "const");
    const Json* const others = member(*other, "properties");
    const Json* const property = others == nullptr ? nullptr : member(*others, it.key());
    const Json* const another = property == nullptr ? nullptr : member(*property, "const");
    if (constant == nullptr || another == nullptr || canonical_text(*constant) == canonical_text(*another)) continue;
    const auto requires_it = [&](const Json* schema) {
      const Json* const required = member(*schema, "required");
      return required != nullptr && required->is_array() &&
             std::find(required->begin(), required->end(), it.key()) != required->end();
    };
    if (std::ranges::any_of(both, requires_it)) return true;
  }
  return false;
}

/// Two options are disjoint when the grammar of both together has no text.
Result<void> SchemaCompiler::prove_disjoint(const Json& schema, const Json& options) {
  GrammarOptions check = builder_.options();
  check.alphabet = ByteSet::all();
  check.undeclared = UndeclaredProperties::as_schema_says;
  check.max_total_states = kMaxCheckStates;
  check.max_table_states = std::min(check.max_table_states, kMaxCheckStates / 4);
  for (std::size_t i = 0; i < options.size(); ++i) {
    for (std::size_t j = i + 1; j < options.size(); ++j) {
      if (++disjointness_checks_ > kMaxDisjointnessChecks) {
        return document_.refuse(&schema, "oneOf",
                                cat("more than ", kMaxDisjointnessChecks, " pairs to prove disjoint; use anyOf"));
      }
      CORBEL_ASSIGN(const bool apart, tagged_apart(options[i], options[j]));
      if (apart) continue;
      check.max_work = std::min(kMaxCheckWork, builder_.work_left());
      GrammarBuilder scratch(check);
      SchemaCompiler both(document_, scratch, OneOf::any);
      Schemas together{&options[i], &options[j]};
      // What stands beside oneOf holds for every option, too; oneOf itself is then "any of them", which changes
      // nothing.
      if (schema.size() > 1) together.push_back(&schema);
      const Result<Id> start = both.compile(together);
      if (!start || !scratch.has_no_text(*start)) {
        return document_.refuse(
            &schema, "oneOf",
            cat("options ", i, " and ", j, " could not be proven to exclude each other; ",
                start ? "use anyOf, or give them a property with different const" : start.error().message));
      }
      CORBEL_TRY(builder_.spend(check.max_work - scratch.work_left()));
    }
  }
  return {};
}

}  // namespace corbel
