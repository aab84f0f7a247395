#include "corbel/grammar/schema_compiler.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::uint32_t kMaxNodes = 2'000'000;
constexpr std::size_t kMaxChildren = 8'000'000;
constexpr int kMaxDetours = 200;

}  // namespace

/// Follows a $ref that stands alone, so that everybody who refers to a schema shares its rule.
Result<const Json*> SchemaCompiler::without_detours(const Json* schema) const {
  for (int i = 0; i < kMaxDetours; ++i) {
    if (!schema->is_object() || says_something(*schema)) return schema;
    const auto ref = schema->find("$ref");
    if (ref == schema->end() || !ref->is_string()) return schema;
    if (schema->contains("allOf") || schema->contains("anyOf") || schema->contains("oneOf")) return schema;
    CORBEL_ASSIGN(schema, document_.resolve(schema, ref->get<std::string>()));
  }
  return document_.refuse(schema, "$ref", "the schema refers to itself without an array or object in between");
}

Result<SchemaCompiler::Id> SchemaCompiler::rule_for(const Schemas& schemas) {
  Schemas kept;
  for (const Json* schema : schemas) {
    CORBEL_ASSIGN(schema, without_detours(schema));
    if (*schema == true || (schema->is_object() && schema->empty())) continue;
    if (std::find(kept.begin(), kept.end(), schema) == kept.end()) kept.push_back(schema);
  }
  if (kept.empty()) return builder_.any_value();
  const auto [at, fresh] = rules_.emplace(kept, 0);
  if (fresh) {
    if (rules_.size() > builder_.options().max_rules) {
      return document_.refuse(kept[0], "",
                              cat("the schema has more than ", builder_.options().max_rules, " values that differ"));
    }
    at->second = builder_.new_rule();
    pending_.push_back({at->second, std::move(kept)});
  }
  return builder_.nodes().rule(at->second);
}

Result<SchemaCompiler::Id> SchemaCompiler::compile(const Schemas& schemas) {
  CORBEL_ASSIGN(const Id start, rule_for(schemas));
  for (; !pending_.empty(); pending_.pop_front()) {
    const Pending& now = pending_.front();
    open_.clear();
    const std::size_t before = builder_.nodes().size() + builder_.nodes().grammar().children.size();
    CORBEL_ASSIGN(const std::vector<SchemaBranch> branches, branches_of(now.schemas));
    std::vector<Id> choices;
    for (const SchemaBranch& branch : branches) {
      CORBEL_ASSIGN(const Id value, value_of(branch));
      choices.push_back(value);
    }
    builder_.set_rule(now.rule, builder_.nodes().either(choices));
    CORBEL_TRY(builder_.spend(builder_.nodes().size() + builder_.nodes().grammar().children.size() - before));
    if (builder_.nodes().size() > kMaxNodes || builder_.nodes().grammar().children.size() > kMaxChildren) {
      return document_.refuse(now.schemas[0], "", "the schema is too large; fewer optional properties help most");
    }
  }
  return start;
}

namespace {

/// The first rule without a text that `id`, which has none either, needs; UINT32_MAX: it lacks one by itself.
std::uint32_t barren_rule(const NodeStore& nodes, const std::vector<bool>& productive, NodeStore::Id id) {
  using Kind = Grammar::Kind;
  while (nodes.node(id).kind == Kind::concat || nodes.node(id).kind == Kind::repeat) {
    const Grammar::Node& node = nodes.node(id);
    id = node.kind == Kind::concat && productive[node.a] ? node.b : node.a;
  }
  if (nodes.node(id).kind == Kind::rule) return nodes.node(id).a;
  if (nodes.node(id).kind != Kind::either) return UINT32_MAX;
  for (const NodeStore::Id choice : nodes.children(id)) {
    if (const std::uint32_t rule = barren_rule(nodes, productive, choice); rule != UINT32_MAX) return rule;
  }
  return UINT32_MAX;
}

}  // namespace

std::string SchemaCompiler::why_no_text(Id start) const {
  const NodeStore& nodes = builder_.nodes();
  const std::vector<bool> productive = builder_.productive_nodes();
  if (productive[start]) return {};
  std::set<std::uint32_t> seen;
  std::uint32_t at = UINT32_MAX;
  bool endless = false;
  for (std::uint32_t rule = barren_rule(nodes, productive, start); rule != UINT32_MAX && !endless;) {
    endless = !seen.insert(rule).second;
    at = rule;
    rule = barren_rule(nodes, productive, nodes.grammar().rules[rule]);
  }
  const auto found = std::find_if(rules_.begin(), rules_.end(), [at](const auto& entry) { return entry.second == at; });
  const Json* place = found == rules_.end() ? &document_.root() : found->first[0];
  return cat("JSON schema at ", quote(document_.path_of(place)), ": no text satisfies it: ",
             endless ? "a value needs itself without end"
                     : "its keywords contradict each other, or the vocabulary lacks bytes that it needs");
}

std::string why_no_text(const GrammarOptions& options, std::string_view text, const std::string& at) {
  Result<Json> json = parse_json(text, "JSON schema");
  if (!json) return {};
  const SchemaDocument document(*std::move(json));
  const Result<const Json*> schema = document.resolve(&document.root(), at.empty() ? "#" : at);
  if (!schema) return {};
  GrammarBuilder builder(options);
  SchemaCompiler compiler(document, builder, OneOf::proven_disjoint);
  const Result<GrammarBuilder::Id> start = compiler.compile({*schema});
  return start ? compiler.why_no_text(*start) : "";
}

Result<GrammarBuilder::Id> compile_schema(GrammarBuilder& builder, std::string_view text, const std::string& at) {
  CORBEL_ASSIGN(Json json, parse_json(text, "JSON schema"));
  const SchemaDocument document(std::move(json));
  CORBEL_ASSIGN(const Json* schema, document.resolve(&document.root(), at.empty() ? "#" : at));
  SchemaCompiler compiler(document, builder, OneOf::proven_disjoint);
  return compiler.compile({schema});
}

Result<GrammarBuilder::Id> compile_raw_string(GrammarBuilder& builder, std::string_view text, const std::string& at,
                                              std::string_view end) {
  CORBEL_ASSIGN(Json json, parse_json(text, "JSON schema"));
  const SchemaDocument document(std::move(json));
  CORBEL_ASSIGN(const Json* schema, document.resolve(&document.root(), at.empty() ? "#" : at));
  SchemaCompiler compiler(document, builder, OneOf::proven_disjoint);
  return compiler.raw_string({schema}, end);
}

}  // namespace corbel
