#include "corbel/chat/message_request.h"

#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/chat/message_turns.h"

namespace corbel {
namespace {

class MessageReader {
 public:
  MessageReader(const RequestFields& fields, MadeRequest& made) : fields_(fields), made_(made) {}

  Result<void> read() {
    made_.warnings = fields_.warnings();
    CORBEL_TRY(read_message_turns(fields_, made_));
    CORBEL_TRY(read_tools());
    CORBEL_TRY(read_tool_choice());
    made_.pass_on(fields_);
    CORBEL_TRY(read_thinking());
    CORBEL_TRY(read_output());
    made_.body["stream"] = fields_.boolean("stream", false);
    if (const Json* const stops = fields_.find("stop_sequences"); stops != nullptr) {
      made_.body["stop"] = *stops;
      made_.names.add("stop", "stop_sequences");
    }
    if (const Json* const most = fields_.find("max_tokens"); most != nullptr) made_.body["max_tokens"] = *most;
    return {};
  }

 private:
  Result<void> read_tools();
  Result<void> read_tool_choice();
  Result<void> read_thinking();
  Result<void> read_output();

  const RequestFields& fields_;
  MadeRequest& made_;
};

/// [{"name", "description", "input_schema"}]
Result<void> MessageReader::read_tools() {
  const Json* const tools = fields_.find("tools");
  if (tools == nullptr) return {};
  Json& made = made_.body["tools"] = Json::array();
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const RequestReader tool((*tools)[i], cat("tools[", i, "]"));
    CORBEL_TRY(tool.check_object());
    CORBEL_ASSIGN(const std::string type, tool.text("type", "custom"));
    if (type != "custom")
      return tool.refuse("type", cat("is ", quote(type), "; only \"custom\" is known: no tools are built in"));
    CORBEL_TRY(tool.check_known(
        {"type", "name", "description", "input_schema", "strict", "cache_control", "eager_input_streaming"}));
    CORBEL_ASSIGN(const bool eager, tool.boolean("eager_input_streaming", false));
    if (eager) {
      made_.warnings.push_back(cat('"', tool.path_of("eager_input_streaming"),
                                   "\" changes nothing: the input of a call comes in one piece"));
    }
    CORBEL_ASSIGN(const std::string name, tool.require_text("name"));
    CORBEL_TRY(tool.object("input_schema"));
    Json function = {{"name", name}};
    if (const Json* const text = tool.find("description"); text != nullptr) function["description"] = *text;
    function["parameters"] = *tool.find("input_schema");
    if (const Json* const strict = tool.find("strict"); strict != nullptr) function["strict"] = *strict;
    const std::string path = cat("tools[", i, "]");
    made_.names.add(path + ".function", path);
    made_.names.add(path + ".function.parameters", path + ".input_schema");
    made.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return {};
}

/// {"type": "auto" | "any" | "tool" | "none", "name", "disable_parallel_tool_use"}
Result<void> MessageReader::read_tool_choice() {
  const Json* const choice = fields_.find("tool_choice");
  if (choice == nullptr) return {};
  const RequestReader reader(*choice, "tool_choice");
  CORBEL_ASSIGN(const std::string type, reader.require_text("type"));
  if (type == "tool") {
    CORBEL_TRY(reader.check_known({"type", "name", "disable_parallel_tool_use"}));
    CORBEL_ASSIGN(const std::string name, reader.require_text("name"));
    made_.body["tool_choice"] = {{"type", "function"}, {"function", {{"name", name}}}};
    made_.names.add("tool_choice.function", "tool_choice");
  } else if (type == "auto" || type == "any" || type == "none") {
    CORBEL_TRY(reader.check_known({"type", "disable_parallel_tool_use"}));
    made_.body["tool_choice"] = type == "any" ? "required" : type;
  } else {
    return reader.refuse("type", cat("is ", quote(type), R"(; known: "auto", "any", "tool", "none")"));
  }
  CORBEL_ASSIGN(const bool one, reader.boolean("disable_parallel_tool_use", false));
  if (one) made_.body["parallel_tool_calls"] = false;
  made_.names.add("parallel_tool_calls", "tool_choice.disable_parallel_tool_use");
  return {};
}

/// Templates know whether to think under one name or another.
Result<void> MessageReader::read_thinking() {
  const Json* const thinking = fields_.find("thinking");
  if (thinking == nullptr) return {};
  const RequestReader reader(*thinking, "thinking");
  CORBEL_TRY(reader.check_known({"type", "budget_tokens", "display"}));
  CORBEL_ASSIGN(const std::string type, reader.require_text("type"));
  if (type != "enabled" && type != "disabled" && type != "adaptive")
    return reader.refuse("type", cat("is ", quote(type), R"(; known: "enabled", "disabled", "adaptive")"));
  CORBEL_TRY(reader.integer("budget_tokens", 1024, 1, 1 << 24));
  if (reader.find("budget_tokens") != nullptr)
    made_.warnings.emplace_back(
        "\"thinking.budget_tokens\" changes nothing: \"max_tokens\" bounds thoughts and answer");
  CORBEL_ASSIGN(const std::string display, reader.text("display", ""));
  if (!display.empty())
    made_.warnings.emplace_back("\"thinking.display\" changes nothing: thoughts are told as they are");
  if (type == "adaptive") return {};
  if (!fields_.has("chat_template_kwargs")) made_.names.add("chat_template_kwargs", "thinking");
  for (const char* name : {"enable_thinking", "thinking"}) made_.set_variable(name, type == "enabled");
  return {};
}

/// {"effort", "format": {"type": "json_schema", "schema"}}
Result<void> MessageReader::read_output() {
  const Json* const output = fields_.find("output_config");
  if (output == nullptr) return {};
  const RequestReader reader(*output, "output_config");
  CORBEL_TRY(reader.check_known({"effort", "format"}));
  CORBEL_ASSIGN(const std::string effort, reader.text("effort", ""));
  if (!effort.empty()) {
    made_.body["reasoning_effort"] = effort;
    made_.names.add("reasoning_effort", "output_config.effort");
  }
  if (reader.find("format") == nullptr) return {};
  CORBEL_ASSIGN(const RequestReader format, reader.object("format"));
  CORBEL_TRY(format.check_known({"type", "schema"}));
  CORBEL_ASSIGN(const std::string type, format.require_text("type"));
  if (type != "json_schema") return format.refuse("type", cat("is ", quote(type), "; only \"json_schema\" is known"));
  CORBEL_TRY(format.object("schema"));
  made_.body["response_format"] = {{"type", type}, {"json_schema", {{"schema", *format.find("schema")}}}};
  made_.names.add("response_format", "output_config.format");
  made_.names.add("response_format.json_schema", "output_config.format");
  return {};
}

Result<MessageRequest> read_as(Api api, const Json& body, const ChatModel& model, std::uint64_t seed) {
  CORBEL_ASSIGN(const RequestFields fields, RequestFields::make(body, api));
  if (api == Api::messages && !fields.has("max_tokens"))
    return refuse_field("max_tokens", "is missing; it must be a whole number from 1 on");
  MadeRequest made;
  CORBEL_TRY(MessageReader(fields, made).read());
  CORBEL_ASSIGN(ChatCompletion completion, read_made(made, model, seed));
  std::vector<std::string> stops;
  if (const Json* const given = fields.find("stop_sequences"); given != nullptr)
    stops = given->get<std::vector<std::string>>();
  return MessageRequest{std::move(completion), std::move(stops)};
}

}  // namespace

Result<MessageRequest> read_message_request(const Json& body, const ChatModel& model, std::uint64_t seed) {
  return read_as(Api::messages, body, model, seed);
}

Result<MessageRequest> read_message_prompt(const Json& body, const ChatModel& model) {
  return read_as(Api::count_tokens, body, model, 0);
}

}  // namespace corbel
