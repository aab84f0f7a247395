#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// A tool as a request lists it.
struct ToolSpec {
  std::string name;  // of what is_tool_name_byte() takes
  std::string path;  // "tools[0].function", for messages
  Json parameters;   // a schema; of the empty object where the request has none
  bool strict = false;

  std::string schema_text() const;
};

/// Refuses, naming the place, what is no list of tools: {"type": "function", "function": {"name", "description",
/// "parameters", "strict"}}, names that are no names or come twice, more than 128 of them.
Result<std::vector<ToolSpec>> read_tools(const Json& tools);

/// Whether and which tools are to be called.
struct ToolChoice {
  enum class Kind { none, automatic, required, named };
  Kind kind = Kind::automatic;
  std::string name;  // named

  bool forces_a_call() const noexcept { return kind == Kind::required || kind == Kind::named; }
};

/// "none", "auto", "required", {"type": "function", "function": {"name"}}. Null: "auto", without tools "none".
/// Refuses others, a call that is demanded without tools, a name that no tool has.
Result<ToolChoice> read_tool_choice(const Json& choice, const std::vector<ToolSpec>& tools);

}  // namespace corbel
