#include "corbel/grammar/grammar_builder.h"
#include "corbel/grammar/json_text.h"

namespace corbel {

Result<GrammarBuilder::Id> GrammarBuilder::list_of(std::string_view open, Id item, std::string_view close) {
  CORBEL_ASSIGN(const Id before, literal(open));
  CORBEL_ASSIGN(const Id comma, literal(","));
  CORBEL_ASSIGN(const Id after, literal(close));
  CORBEL_ASSIGN(const Id gap, space());
  const Id more = nodes_.repeat(concat({comma, gap, item}), 0, NodeStore::kUnbounded);
  return concat({before, either({after, concat({gap, item, more, gap, after})})});
}

Result<GrammarBuilder::Id> GrammarBuilder::any_object() {
  CORBEL_ASSIGN(const Id value, any_value());
  CORBEL_ASSIGN(const Id key, json_string(0, NodeStore::kUnbounded));
  CORBEL_ASSIGN(const Id colon, literal(":"));
  CORBEL_ASSIGN(const Id gap, space());
  return list_of("{", concat({key, colon, gap, value}), "}");
}

Result<GrammarBuilder::Id> GrammarBuilder::any_value() {
  if (any_value_ >= 0) return nodes_.rule(static_cast<std::uint32_t>(any_value_));
  const std::uint32_t rule = new_rule();
  any_value_ = rule;
  const Id value = nodes_.rule(rule);
  CORBEL_ASSIGN(const Id object, any_object());
  CORBEL_ASSIGN(const Id array, list_of("[", value, "]"));
  CORBEL_ASSIGN(const Id string, json_string(0, NodeStore::kUnbounded));
  CORBEL_ASSIGN(const Id number, regular([](Regular& r) { return Result<Regular::Id>(json_number(r)); }));
  CORBEL_ASSIGN(const Id words, add_table(dfa_of_literals({"true", "false", "null"})));
  set_rule(rule, either({object, array, string, number, words}));
  return value;
}

}  // namespace corbel
