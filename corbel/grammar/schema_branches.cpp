#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/grammar/schema_compiler.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxBranches = 512;
constexpr std::uint64_t kMaxDisjointnessChecks = 600;
constexpr std::uint32_t kMaxCheckStates = 20'000;

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
  if (keyword == "oneOf" && one_of_ == OneOf::proven_disjoint) CORBEL_TRY(prove_disjoint(schema, *options));
  std::vector<SchemaBranch> all;
  for (const Json& option : *options) {
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

/// Two options are disjoint when the grammar of both together has no text.
Result<void> SchemaCompiler::prove_disjoint(const Json& schema, const Json& options) {
  GrammarOptions check = builder_.options();
  check.alphabet = ByteSet::all();
  check.undeclared = UndeclaredProperties::as_schema_says;
  check.max_total_states = kMaxCheckStates;
  check.max_table_states = std::min(check.max_table_states, kMaxCheckStates / 4);
  check.max_work = std::min<std::uint64_t>(check.max_work, 1'000'000);
  for (std::size_t i = 0; i < options.size(); ++i) {
    for (std::size_t j = i + 1; j < options.size(); ++j) {
      if (++disjointness_checks_ > kMaxDisjointnessChecks) {
        return document_.refuse(&schema, "oneOf",
                                cat("more than ", kMaxDisjointnessChecks, " pairs to prove disjoint; use anyOf"));
      }
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
    }
  }
  return {};
}

}  // namespace corbel
