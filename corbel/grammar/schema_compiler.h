#pragma once
#include <deque>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "corbel/grammar/grammar_builder.h"
#include "corbel/grammar/schema_document.h"
#include "corbel/grammar/schema_keywords.h"
#include "corbel/grammar/schema_values.h"

namespace corbel {

/// Schema objects that must all hold, each with its own keywords alone: one way to be valid.
struct SchemaBranch {
  std::vector<SchemaKeywords> all;
};

/// What oneOf means: exactly one, which is only honoured where no value satisfies two; or, to find that out, any.
enum class OneOf { proven_disjoint, any };

/// Writes a schema document as rules. A rule stands for a list of schemas that must all hold ($ref, allOf and shared
/// properties are merged); its body is one alternative per branch and kind of value.
class SchemaCompiler {
 public:
  using Id = GrammarBuilder::Id;
  using Schemas = std::vector<const Json*>;  // all must hold; empty: any value

  SchemaCompiler(const SchemaDocument& document, GrammarBuilder& builder, OneOf one_of)
      : document_(document), builder_(builder), values_(document, builder), one_of_(one_of) {}

  /// A value that satisfies all of `schemas`, as a rule; every rule it needs is written.
  Result<Id> compile(const Schemas& schemas);
  /// Where and why `start`, which compile() gave, has no text; empty: it has one.
  std::string why_no_text(Id start) const;
  /// As compile_raw_string().
  Result<Id> raw_string(const Schemas& schemas, std::string_view end);

 private:
  friend class SchemaObject;

  Result<Id> rule_for(const Schemas& schemas);  // written later, by compile()
  Result<const Json*> without_detours(const Json* schema) const;

  // schema_branches.cpp
  Result<std::vector<SchemaBranch>> branches_of(const Schemas& schemas);
  Result<void> add_schema(const Json& schema, std::vector<SchemaBranch>& branches);
  Result<void> add_options(const Json& schema, std::string_view keyword, std::vector<SchemaBranch>& branches);
  Result<bool> tagged_apart(const Json& a, const Json& b) const;
  Result<void> prove_disjoint(const Json& schema, const Json& options);

  // schema_kinds.cpp
  Result<Id> value_of(const SchemaBranch& branch);
  Result<Id> enumerated(const SchemaBranch& branch, const Json& candidates, std::string_view keyword);
  Result<Id> number_of(const SchemaBranch& branch, std::uint32_t kinds);
  Result<Id> string_of(const SchemaBranch& branch);
  Result<Id> array_of(const SchemaBranch& branch);
  Result<std::vector<std::string>> enumerated_texts(const SchemaBranch& branch, std::string_view end);
  Result<Dfa> string_table(const SchemaBranch& branch);  // between the marks
  Result<Dfa> name_table(const Schemas& schemas);        // strings that satisfy propertyNames

  // schema_object.cpp
  Result<Id> object_of(const SchemaBranch& branch);

  struct Pending {
    std::uint32_t rule;
    Schemas schemas;
  };
  const SchemaDocument& document_;
  GrammarBuilder& builder_;
  SchemaValues values_;
  OneOf one_of_;
  std::map<Schemas, std::uint32_t> rules_;
  std::deque<Pending> pending_;
  Schemas open_;  // schemas that are being taken apart: one that comes again is itself without a value in between
  std::set<const Json*> disjoint_;  // schemas whose oneOf was proven
  std::uint64_t disjointness_checks_ = 0;
};

/// A schema document, or the part of it that `at` refers to, as a node of `builder`.
Result<GrammarBuilder::Id> compile_schema(GrammarBuilder& builder, std::string_view text, const std::string& at);
/// Which part of it no text satisfies, and why; empty: some text does, or it does not compile.
std::string why_no_text(const GrammarOptions& options, std::string_view text, const std::string& at);
/// The strings that it allows as they are, without marks and escapes: those without control characters and backslashes,
/// and without the first byte of `end`, where the schema says more than a list of texts.
Result<GrammarBuilder::Id> compile_raw_string(GrammarBuilder& builder, std::string_view text, const std::string& at,
                                              std::string_view end);

}  // namespace corbel
