#include "corbel/chat/tool_spec.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/chat/request_reader.h"
#include "corbel/chat/tool_call_scanner.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxTools = 128;
constexpr std::size_t kMostNameBytes = 64;

Result<ToolSpec> read_tool(const Json& entry, const std::string& path) {
  const RequestReader tool(entry, path);
  CORBEL_TRY(tool.check_object());
  CORBEL_TRY(tool.check_known({"type", "function"}));
  CORBEL_ASSIGN(const std::string type, tool.text("type", "function"));
  if (type != "function") return tool.refuse("type", cat("is ", quote(type), "; only \"function\" is known"));
  CORBEL_ASSIGN(const RequestReader function, tool.object("function"));
  CORBEL_TRY(function.check_known({"name", "description", "parameters", "strict", "return", "response"}));
  ToolSpec spec;
  spec.path = function.path();
  CORBEL_ASSIGN(spec.name, function.require_text("name"));
  if (spec.name.empty() || spec.name.size() > kMostNameBytes || !std::ranges::all_of(spec.name, is_tool_name_byte)) {
    return function.refuse(
        "name", cat("is ", quote(spec.name), "; it must have 1 to ", kMostNameBytes, " letters, digits and _ - . : /"));
  }
  CORBEL_TRY(function.text("description", ""));
  CORBEL_ASSIGN(spec.strict, function.boolean("strict", false));
  spec.parameters = {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
  if (const Json* parameters = function.find("parameters"); parameters != nullptr) {
    if (!parameters->is_object()) return function.refuse("parameters", "must be a JSON schema, an object");
    // Calls have members: what is read back of any other value would be no call.
    if (const auto kind = parameters->find("type"); kind != parameters->end() && kind->is_string() && *kind != "object")
      return function.refuse("parameters", cat("must describe an object; its \"type\" is ", clip(kind->dump())));
    if (!parameters->empty()) spec.parameters = *parameters;
  }
  return spec;
}

}  // namespace

std::string ToolSpec::schema_text() const { return parameters.dump(-1, ' ', false, Json::error_handler_t::replace); }

Result<std::vector<ToolSpec>> read_tools(const Json& tools) {
  std::vector<ToolSpec> specs;
  if (tools.is_null()) return specs;
  if (!tools.is_array()) return fail(Code::bad_request, "\"tools\" must be a list of tools");
  if (tools.size() > kMaxTools) {
    return fail(Code::bad_request, cat("\"tools\" has ", tools.size(), " entries; at most ", kMaxTools));
  }
  for (std::size_t i = 0; i < tools.size(); ++i) {
    CORBEL_ASSIGN(ToolSpec spec, read_tool(tools[i], cat("tools[", i, "]")));
    const auto same = std::ranges::find(specs, spec.name, &ToolSpec::name);
    if (same != specs.end()) {
      return fail(Code::bad_request, cat("\"", spec.path, ".name\" is ", quote(spec.name), ", which \"", same->path,
                                         ".name\" is already"));
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

Result<ToolChoice> read_tool_choice(const Json& choice, const std::vector<ToolSpec>& tools) {
  using Kind = ToolChoice::Kind;
  if (choice.is_null()) return ToolChoice{tools.empty() ? Kind::none : Kind::automatic, {}};
  ToolChoice read;
  if (choice.is_string()) {
    const std::string& text = choice.get_ref<const std::string&>();
    if (text == "none") return ToolChoice{Kind::none, {}};
    if (text != "auto" && text != "required") {
      return fail(Code::bad_request, cat("\"tool_choice\" is ", quote(text),
                                         R"(; known: "none", "auto", "required", a tool by its name)"));
    }
    read.kind = text == "auto" ? Kind::automatic : Kind::required;
  } else {
    const RequestReader object(choice, "tool_choice");
    CORBEL_TRY(object.check_object());
    CORBEL_TRY(object.check_known({"type", "function"}));
    CORBEL_ASSIGN(const std::string type, object.text("type", "function"));
    if (type != "function") return object.refuse("type", cat("is ", quote(type), "; only \"function\" is known"));
    CORBEL_ASSIGN(const RequestReader function, object.object("function"));
    CORBEL_TRY(function.check_known({"name"}));
    CORBEL_ASSIGN(read.name, function.require_text("name"));
    read.kind = Kind::named;
    if (std::ranges::find(tools, read.name, &ToolSpec::name) == tools.end()) {
      return function.refuse("name", cat("is ", quote(read.name), "; \"tools\" has no tool of this name"));
    }
  }
  if (tools.empty()) return fail(Code::bad_request, "\"tool_choice\" asks for calls, but \"tools\" has none");
  return read;
}

}  // namespace corbel
