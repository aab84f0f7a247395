#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// One row of a table of kinds: what a tokenizer file calls it, and who reads its fields.
template <typename Stage>
struct ComponentKind {
  std::string_view type;
  Result<std::unique_ptr<Stage>> (*make)(const JsonFields& fields);
};

/// Makes the component that fields["type"] names; an unknown one is refused with the list of the known.
template <typename Stage>
Result<std::unique_ptr<Stage>> make_component(std::span<const ComponentKind<Stage>> kinds, const JsonFields& fields) {
  CORBEL_ASSIGN(const std::string type, fields.require_string("type"));
  std::string known;
  for (const ComponentKind<Stage>& kind : kinds) {
    if (kind.type == type) return kind.make(fields);
    known += cat(known.empty() ? "\"" : ", \"", kind.type, "\"");
  }
  return fail(Code::unsupported, cat(fields.source(), ": \"", fields.field_name("type"), "\" is \"", type,
                                     "\", which is not supported; known: ", known));
}

/// Makes each component of the array under `key` (the parts of a "Sequence").
template <typename Stage>
Result<std::vector<std::unique_ptr<Stage>>> make_components(
    Result<std::unique_ptr<Stage>> (*make)(const JsonFields& fields), const JsonFields& fields, std::string_view key) {
  const auto found = fields.json().find(std::string(key));
  if (found == fields.json().end() || !found->is_array()) {
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name(key), "\" must be an array"));
  }
  std::vector<std::unique_ptr<Stage>> stages;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const std::string place = cat(fields.field_name(key), "[", i, "]");
    if (!(*found)[i].is_object()) {
      return fail(Code::bad_file, cat(fields.source(), ": \"", place, "\" must be an object"));
    }
    CORBEL_ASSIGN(std::unique_ptr<Stage> stage, make(JsonFields((*found)[i], fields.source(), place)));
    stages.push_back(std::move(stage));
  }
  return stages;
}

}  // namespace corbel
