#include "corbel/chat/call_grammar_values.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/chat/tool_call_schema.h"

namespace corbel {
namespace {

using Source = GrammarSource;
constexpr std::size_t kMaxParameters = 64;
/// Under which a schema of our own is put into a copy of the tool's; unknown keywords constrain nothing.
constexpr std::string_view kOwnSchema = "corbel:no_text";

Source optional(Source part) { return Source::repeat(std::move(part), 0, 1); }
Source newline() { return optional(Source::literal("\n")); }

std::string reference_to(std::string_view property) {
  std::string reference = "#/properties/";
  for (const char c : property) {
    if (c == '~') {
      reference += "~0";
    } else if (c == '/') {
      reference += "~1";
    } else if (c == '%') {
      reference += "%25";
    } else {
      reference += c;
    }
  }
  return reference;
}

struct Parameter {
  std::string name;
  const Json* schema = nullptr;
  bool required = false;
};

Failure refuse(const ToolSpec& tool, std::string_view why) {
  return fail(Code::bad_request, cat('"', tool.path, ".parameters\" ", why,
                                     "; the model writes the arguments of a call one by one, and not as JSON"));
}

/// The parameters of an object that is described by its properties alone, required ones first.
Result<std::vector<Parameter>> parameters_of(const ToolSpec& tool) {
  constexpr std::array<std::string_view, 12> kTaken = {"type",    "properties",  "required",    "additionalProperties",
                                                       "$defs",   "definitions", "description", "title",
                                                       "$schema", "$id",         "id",          "strict"};
  for (const auto& [key, value] : tool.parameters.items()) {
    if (std::ranges::find(kTaken, key) == kTaken.end()) return refuse(tool, cat("has the keyword ", quote(key)));
  }
  std::vector<Parameter> parameters;
  const auto type = tool.parameters.find("type");
  if (type != tool.parameters.end() && *type != "object") return refuse(tool, "is no object's schema");
  const auto properties = tool.parameters.find("properties");
  if (properties != tool.parameters.end() && properties->is_object()) {
    for (const auto& [name, schema] : properties->items()) parameters.push_back({name, &schema, false});
  }
  if (parameters.size() > kMaxParameters) return refuse(tool, cat("has more than ", kMaxParameters, " properties"));
  const auto required = tool.parameters.find("required");
  if (required != tool.parameters.end() && required->is_array()) {
    for (const Json& name : *required) {
      const auto found = std::ranges::find_if(parameters, [&](const Parameter& one) { return name == one.name; });
      if (found == parameters.end()) return refuse(tool, "requires what its properties lack");
      found->required = true;
    }
  }
  std::ranges::stable_partition(parameters, &Parameter::required);
  return parameters;
}

bool is_free_text(const Json& schema) {
  if (!schema.is_object()) return false;
  constexpr std::array<std::string_view, 6> kSayNothing = {"type",    "description", "title",
                                                           "default", "examples",    "nullable"};
  return std::ranges::all_of(schema.items(), [&](const auto& entry) {
    return std::ranges::find(kSayNothing, entry.key()) != kSayNothing.end();
  });
}

/// Values of `parameter` that are no texts, as JSON.
Source values_but_texts(const ToolSpec& tool, const Parameter& parameter) {
  Json document = tool.parameters;
  const Json other = {{"type", {"object", "array", "number", "boolean", "null"}}};
  document[std::string(kOwnSchema)] = {{"allOf", Json::array({*parameter.schema, other})}};
  return Source::json_schema(document.dump(-1, ' ', false, Json::error_handler_t::replace), cat("#/", kOwnSchema));
}

/// A value without quotation marks where it is a text, and `end`: what ToolSchemas::value_to_json() makes the same of.
Source bare_value(const ToolSpec& tool, const Parameter& parameter, const std::string& end) {
  using Kind = ToolSchemas::ValueKinds;
  const std::string reference = reference_to(parameter.name);
  const Kind kinds = ToolSchemas::kinds_of(*parameter.schema, tool.parameters);
  const auto as_json = [&](Source value) {
    return Source::sequence({newline(), std::move(value), newline(), Source::marked(end)});
  };
  const bool says_nothing = kinds == Kind::unknown && is_free_text(*parameter.schema);
  const bool may_be_any_text = kinds == Kind::text || kinds == Kind::text_or_null;
  if (says_nothing || (may_be_any_text && is_free_text(*parameter.schema))) return Source::until(end);
  Source text = Source::raw_string(tool.schema_text(), reference, end);
  if (kinds == Kind::text) return text;
  if (kinds == Kind::text_or_null) {
    return Source::any_of({std::move(text), as_json(Source::literal("null"))});
  }
  if (kinds == Kind::no_text) return as_json(Source::json_schema(tool.schema_text(), reference));
  return as_json(values_but_texts(tool, parameter));
}

/// NAME name_end (key_open KEY key_end VALUE value_end)* close, behind `open`.
Source parameters_call(const ToolCallSyntax& syntax, const ToolSpec& tool, const std::vector<Parameter>& parameters) {
  std::vector<Source> parts{Source::marked(syntax.open), Source::literal(syntax.name_prefix + tool.name),
                            Source::marked(syntax.name_end)};
  for (const Parameter& parameter : parameters) {
    Source one = Source::sequence({newline(), Source::marked(syntax.key_open), Source::literal(parameter.name),
                                   Source::marked(syntax.key_end), bare_value(tool, parameter, syntax.value_end)});
    parts.push_back(parameter.required ? std::move(one) : optional(std::move(one)));
  }
  parts.push_back(newline());
  parts.push_back(Source::marked(syntax.close));
  return Source::sequence(std::move(parts));
}

/// Entries with commas between; those that are not required may be left out.
Source comma_list(std::vector<Source> entries, const std::vector<Parameter>& parameters) {
  const Source comma = Source::regex(", ?");
  const auto behind_first = [&](std::size_t from) {
    std::vector<Source> parts;
    for (std::size_t i = from; i < entries.size(); ++i) {
      Source one = Source::sequence({comma, entries[i]});
      parts.push_back(parameters[i].required ? std::move(one) : optional(std::move(one)));
    }
    return Source::sequence(std::move(parts));
  };
  std::vector<Source> ways;
  for (std::size_t first = 0; first < entries.size(); ++first) {
    ways.push_back(Source::sequence({entries[first], behind_first(first + 1)}));
    if (parameters[first].required) return Source::any_of(std::move(ways));
  }
  ways.push_back(Source::literal(""));
  return Source::any_of(std::move(ways));
}

/// f(key=value, ...)
Source python_call(const ToolSpec& tool, const std::vector<Parameter>& parameters) {
  std::vector<Source> entries;
  for (const Parameter& parameter : parameters) {
    entries.push_back(Source::sequence({Source::literal(parameter.name + "="),
                                        Source::json_schema(tool.schema_text(), reference_to(parameter.name))}));
  }
  return Source::sequence(
      {Source::literal(tool.name + "("), comma_list(std::move(entries), parameters), Source::literal(")")});
}

/// f{key:value,...}: texts between marks, everything else as JSON.
Source loose_call(const ToolCallSyntax& syntax, const ToolSpec& tool, const std::vector<Parameter>& parameters) {
  std::vector<Source> entries;
  for (const Parameter& parameter : parameters) {
    const auto kinds = ToolSchemas::kinds_of(*parameter.schema, tool.parameters);
    const bool text = kinds == ToolSchemas::ValueKinds::text && !syntax.string_mark.empty();
    Source value = text && is_free_text(*parameter.schema)
                       ? Source::sequence({Source::marked(syntax.string_mark), Source::until(syntax.string_mark)})
                   : text ? Source::sequence({Source::marked(syntax.string_mark),
                                              Source::raw_string(tool.schema_text(), reference_to(parameter.name),
                                                                 syntax.string_mark)})
                          : Source::json_schema(tool.schema_text(), reference_to(parameter.name));
    entries.push_back(Source::sequence({Source::literal(parameter.name + ":"), std::move(value)}));
  }
  return Source::sequence({Source::marked(syntax.open), Source::literal(syntax.name_prefix + tool.name + "{"),
                           comma_list(std::move(entries), parameters), Source::literal("}"),
                           Source::marked(syntax.close)});
}

/// What a reader of bare keys takes for one.
bool is_plain_key(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    return (byte | 32) >= 'a' ? (byte | 32) <= 'z' || byte >= 0x80 : (byte >= '0' && byte <= '9') || c == '_';
  }) && (name.front() < '0' || name.front() > '9');
}

}  // namespace

Result<GrammarSource> call_arguments(const ToolCallSyntax& syntax, const ToolSpec& tool) {
  CORBEL_ASSIGN(const std::vector<Parameter> parameters, parameters_of(tool));
  for (const Parameter& parameter : parameters) {
    if (syntax.shape == ToolCallShape::parameters) {
      const bool plain = !parameter.name.empty() &&
                         parameter.name.find_first_of("\n" + syntax.key_end.substr(0, 1)) == std::string::npos &&
                         parameter.name.front() != ' ' && parameter.name.back() != ' ';
      if (!plain) return refuse(tool, cat("has a property ", quote(parameter.name)));
    } else if (!is_plain_key(parameter.name)) {
      return refuse(tool, cat("has a property ", quote(parameter.name), ", whose name is no word"));
    }
  }
  switch (syntax.shape) {
    case ToolCallShape::parameters: return parameters_call(syntax, tool, parameters);
    case ToolCallShape::python_calls: return python_call(tool, parameters);
    default: return loose_call(syntax, tool, parameters);
  }
}

}  // namespace corbel
