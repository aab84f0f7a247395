#include "corbel/engine/grammar_json.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/engine/sampling_json.h"

namespace corbel {
namespace {

/// An enumerator under the name it has in JSON.
template <typename Value>
struct Name {
  std::string_view name;
  Value value;
};

using Kind = GrammarSource::Kind;
constexpr auto kKinds = std::to_array<Name<Kind>>({
    {"literal", Kind::literal},
    {"marked", Kind::marked},
    {"until", Kind::until},
    {"until_end", Kind::until_end},
    {"regex", Kind::regex},
    {"gbnf", Kind::gbnf},
    {"json_schema", Kind::json_schema},
    {"raw_string", Kind::raw_string},
    {"json_value", Kind::json_value},
    {"json_object", Kind::json_object},
    {"unless_begins", Kind::unless_begins},
    {"sequence", Kind::sequence},
    {"any_of", Kind::any_of},
    {"repeat", Kind::repeat},
});
constexpr auto kWhitespace = std::to_array<Name<Whitespace>>({
    {"compact", Whitespace::compact},
    {"flexible", Whitespace::flexible},
});
constexpr auto kUndeclared = std::to_array<Name<UndeclaredProperties>>({
    {"as_schema_says", UndeclaredProperties::as_schema_says},
    {"when_asked_for", UndeclaredProperties::when_asked_for},
});

template <typename Value, std::size_t count>
std::string_view name_of(const std::array<Name<Value>, count>& table, Value value) {
  const auto row = std::ranges::find(table, value, &Name<Value>::value);
  CORBEL_CHECK(row != table.end(), "an enumerator without a name");
  return row->name;
}

template <typename Value, std::size_t count>
Result<Value> read_name(const std::array<Name<Value>, count>& table, const JsonFields& fields, std::string_view key) {
  CORBEL_ASSIGN(const std::string name, fields.require_string(key));
  const auto row = std::ranges::find(table, name, &Name<Value>::name);
  if (row != table.end()) return row->value;
  return fail(Code::bad_file,
              cat(fields.source(), ": \"", fields.field_name(key), "\" is ", quote(name), ", which is not known here"));
}

Json grammar_json(const GrammarSource& source) {
  Json json = {{"kind", name_of(kKinds, source.kind)}};
  if (!source.text.empty()) json["text"] = source.text;
  if (!source.at.empty()) json["at"] = source.at;
  if (source.min != 0) json["min"] = source.min;
  if (source.max != UINT32_MAX) json["max"] = source.max;
  for (const GrammarSource& part : source.parts) json["parts"].push_back(grammar_json(part));
  return json;
}

/// Nested as deep as the JSON is, which its parser bounds.
Result<GrammarSource> read_grammar(const JsonFields& fields) {
  constexpr std::array kKnown = {std::string_view("kind"), std::string_view("text"), std::string_view("at"),
                                 std::string_view("min"),  std::string_view("max"),  std::string_view("parts")};
  CORBEL_TRY(check_known_fields(fields, kKnown));
  GrammarSource source;
  CORBEL_ASSIGN(source.kind, read_name(kKinds, fields, "kind"));
  CORBEL_ASSIGN(source.text, fields.get_string("text", ""));
  CORBEL_ASSIGN(source.at, fields.get_string("at", ""));
  CORBEL_ASSIGN(const std::int64_t min, fields.get_int("min", 0, 0, UINT32_MAX));
  CORBEL_ASSIGN(const std::int64_t max, fields.get_int("max", UINT32_MAX, 0, UINT32_MAX));
  source.min = static_cast<std::uint32_t>(min);
  source.max = static_cast<std::uint32_t>(max);
  if (!fields.has("parts")) return source;
  const Json& parts = fields.json()["parts"];
  if (!parts.is_array())
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name("parts"), "\" must be an array"));
  for (const Json& part : parts) {
    CORBEL_ASSIGN(GrammarSource read, read_grammar(JsonFields(part, fields.source(), fields.field_name("parts"))));
    source.parts.push_back(std::move(read));
  }
  return source;
}

}  // namespace

Json constraint_json(const ConstraintSource& source) {
  return {{"grammar", grammar_json(source.grammar)},
          {"whitespace", name_of(kWhitespace, source.options.whitespace)},
          {"undeclared", name_of(kUndeclared, source.options.undeclared)},
          {"end_ids", source.end_ids}};
}

Result<ConstraintSource> read_constraint(const JsonFields& fields) {
  constexpr std::array kKnown = {std::string_view("grammar"), std::string_view("whitespace"),
                                 std::string_view("undeclared"), std::string_view("end_ids")};
  CORBEL_TRY(check_known_fields(fields, kKnown));
  ConstraintSource source;
  if (!fields.has("grammar")) return fail(Code::bad_file, cat(fields.source(), ": the constraint has no \"grammar\""));
  CORBEL_ASSIGN(const JsonFields grammar, fields.object("grammar"));
  CORBEL_ASSIGN(source.grammar, read_grammar(grammar));
  CORBEL_ASSIGN(source.options.whitespace, read_name(kWhitespace, fields, "whitespace"));
  CORBEL_ASSIGN(source.options.undeclared, read_name(kUndeclared, fields, "undeclared"));
  CORBEL_ASSIGN(const std::vector<std::int64_t> ids, fields.get_ints("end_ids"));
  for (const std::int64_t id : ids) {
    if (id < 0 || id > INT32_MAX) return fail(Code::bad_file, cat(fields.source(), ": ", id, " is no token id"));
    source.end_ids.push_back(static_cast<std::int32_t>(id));
  }
  return source;
}

}  // namespace corbel
