#include "corbel/chat/response_request.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/chat/response_input.h"

namespace corbel {
namespace {

class ResponseReader {
 public:
  ResponseReader(const RequestFields& fields, MadeRequest& made) : fields_(fields), made_(made) {}

  Result<void> read() {
    made_.warnings = fields_.warnings();
    CORBEL_TRY(read_response_input(fields_, made_));
    CORBEL_TRY(read_tool_choice());
    CORBEL_TRY(read_tools());
    CORBEL_TRY(read_text());
    CORBEL_TRY(read_reasoning());
    CORBEL_TRY(read_include());
    CORBEL_TRY(read_stream());
    made_.pass_on(fields_);
    if (const Json* const most = fields_.find("max_output_tokens"); most != nullptr) {
      made_.body["max_completion_tokens"] = *most;
      made_.names.add("max_completion_tokens", "max_output_tokens");
    }
    return {};
  }

 private:
  Result<void> read_tools();
  Result<void> read_tool_choice();
  Result<void> read_text();
  Result<void> read_reasoning();
  Result<void> read_include();
  Result<void> read_stream();
  Result<void> read_allowed(const RequestReader& choice);

  const RequestFields& fields_;
  MadeRequest& made_;
  std::optional<std::vector<std::string>> allowed_;  // of the tools: those that the model may call
};

Result<void> ResponseReader::read_tools() {
  const Json* const tools = fields_.find("tools");
  if (tools == nullptr) return {};
  Json& made = made_.body["tools"] = Json::array();
  std::vector<std::string> names;
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const RequestReader tool((*tools)[i], cat("tools[", i, "]"));
    CORBEL_TRY(tool.check_object());
    CORBEL_ASSIGN(const std::string type, tool.require_text("type"));
    if (type != "function")
      return tool.refuse("type", cat("is ", quote(type), "; only \"function\" is known: no tools are built in"));
    CORBEL_TRY(tool.check_known({"type", "name", "description", "parameters", "strict"}));
    CORBEL_ASSIGN(const std::string name, tool.require_text("name"));
    names.push_back(name);
    if (allowed_ && std::ranges::find(*allowed_, name) == allowed_->end()) continue;
    Json function = (*tools)[i];
    function.erase("type");
    made_.names.add(cat("tools[", made.size(), "].function"), tool.path());
    made_.names.add(cat("tools[", made.size(), "]"), tool.path());
    made.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  if (!allowed_) return {};
  for (std::size_t i = 0; i < allowed_->size(); ++i) {
    if (std::ranges::find(names, (*allowed_)[i]) == names.end())
      return refuse_field(cat("tool_choice.tools[", i, "].name"),
                          cat("is ", quote((*allowed_)[i]), "; \"tools\" has no tool of this name"));
  }
  return {};
}

/// {"type": "allowed_tools", "mode", "tools": [{"type": "function", "name"}]}
Result<void> ResponseReader::read_allowed(const RequestReader& choice) {
  CORBEL_TRY(choice.check_known({"type", "mode", "tools"}));
  CORBEL_ASSIGN(const std::string mode, choice.require_text("mode"));
  if (mode != "auto" && mode != "required")
    return choice.refuse("mode", cat("is ", quote(mode), "; known: \"auto\", \"required\""));
  made_.body["tool_choice"] = mode;
  const Json* const tools = choice.find("tools");
  if (tools == nullptr || !tools->is_array() || tools->empty())
    return choice.refuse("tools", "must be a list of at least one {\"type\": \"function\", \"name\"}");
  allowed_.emplace();
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const RequestReader tool((*tools)[i], cat(choice.path_of("tools"), '[', i, ']'));
    CORBEL_TRY(tool.check_object());
    CORBEL_ASSIGN(const std::string type, tool.require_text("type"));
    if (type != "function") return tool.refuse("type", cat("is ", quote(type), "; only \"function\" is known"));
    CORBEL_ASSIGN(std::string name, tool.require_text("name"));
    allowed_->push_back(std::move(name));
  }
  return {};
}

Result<void> ResponseReader::read_tool_choice() {
  const Json* const choice = fields_.find("tool_choice");
  if (choice == nullptr) return {};
  made_.body["tool_choice"] = *choice;
  if (choice->is_string()) return {};
  const RequestReader object(*choice, "tool_choice");
  CORBEL_ASSIGN(const std::string type, object.require_text("type"));
  if (type == "allowed_tools") return read_allowed(object);
  if (type != "function")
    return object.refuse("type", cat("is ", quote(type), "; known: \"function\", \"allowed_tools\""));
  CORBEL_TRY(object.check_known({"type", "name"}));
  CORBEL_ASSIGN(const std::string name, object.require_text("name"));
  made_.body["tool_choice"] = {{"type", "function"}, {"function", {{"name", name}}}};
  made_.names.add("tool_choice.function", "tool_choice");
  return {};
}

Result<void> ResponseReader::read_text() {
  const Json* const text = fields_.find("text");
  if (text == nullptr) return {};
  const RequestReader reader(*text, "text");
  CORBEL_TRY(reader.check_known({"format", "verbosity"}));
  CORBEL_ASSIGN(const std::string verbosity, reader.text("verbosity", "medium"));
  if (verbosity != "medium")
    made_.warnings.emplace_back("\"text.verbosity\" changes nothing: the prompt says how long an answer should be");
  if (reader.find("format") == nullptr) return {};
  CORBEL_ASSIGN(const RequestReader format, reader.object("format"));
  CORBEL_ASSIGN(const std::string type, format.require_text("type"));
  Json made = {{"type", type}};
  if (type == "json_schema") {
    CORBEL_TRY(format.check_known({"type", "name", "description", "schema", "strict"}));
    CORBEL_TRY(format.require_text("name"));
    CORBEL_TRY(format.object("schema"));
    Json schema = (*text)["format"];
    schema.erase("type");
    made["json_schema"] = std::move(schema);
  } else {
    CORBEL_TRY(format.check_known({"type"}));
  }
  made_.body["response_format"] = std::move(made);
  made_.names.add("response_format", "text.format");
  made_.names.add("response_format.json_schema", "text.format");
  return {};
}

Result<void> ResponseReader::read_reasoning() {
  const Json* const reasoning = fields_.find("reasoning");
  if (reasoning == nullptr) return {};
  const RequestReader reader(*reasoning, "reasoning");
  CORBEL_TRY(reader.check_known({"effort", "summary", "generate_summary", "context"}));
  for (const char* name : {"summary", "generate_summary"}) {
    CORBEL_TRY(reader.text(name, ""));
    if (reader.find(name) != nullptr)
      made_.warnings.push_back(cat("\"reasoning.", name, "\" changes nothing: thoughts are told as they are"));
  }
  CORBEL_ASSIGN(const std::string context, reader.text("context", "auto"));
  if (context != "auto")
    made_.warnings.emplace_back(
        "\"reasoning.context\" changes nothing: the chat template says which thoughts it shows");
  if (reader.find("effort") == nullptr) return {};
  CORBEL_ASSIGN(made_.body["reasoning_effort"], reader.require_text("effort"));
  made_.names.add("reasoning_effort", "reasoning.effort");
  return {};
}

Result<void> ResponseReader::read_include() {
  const Json* const include = fields_.find("include");
  bool logprobs = fields_.integer("top_logprobs", 0) > 0;
  for (std::size_t i = 0; include != nullptr && i < include->size(); ++i) {
    const Json& one = (*include)[i];
    const std::string path = cat("include[", i, "]");
    constexpr auto kNothing = std::to_array<std::string_view>(
        {"file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
         "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs"});
    if (one == "message.output_text.logprobs") {
      logprobs = true;
    } else if (one == "reasoning.encrypted_content") {
      made_.warnings.push_back(
          cat('"', path, "\" changes nothing: thoughts are told as texts, and may be sent back so"));
    } else if (one.is_string() && std::ranges::find(kNothing, one.get<std::string>()) != kNothing.end()) {
      made_.warnings.push_back(cat('"', path, "\" changes nothing: there is no such thing here"));
    } else {
      return refuse_field(path, cat("is ", found_value(one), "; known: \"message.output_text.logprobs\""));
    }
  }
  if (!logprobs) return {};
  made_.body["logprobs"] = true;
  made_.body["top_logprobs"] = fields_.integer("top_logprobs", 0);
  return {};
}

Result<void> ResponseReader::read_stream() {
  made_.body["stream"] = fields_.boolean("stream", false);
  const Json* const options = fields_.find("stream_options");
  if (options == nullptr) return {};
  const RequestReader reader(*options, "stream_options");
  CORBEL_TRY(reader.check_known({"include_obfuscation"}));
  CORBEL_ASSIGN(const bool obfuscates, reader.boolean("include_obfuscation", false));
  if (obfuscates) return reader.refuse("include_obfuscation", "is true; events are not padded here");
  if (!options->empty() && made_.body["stream"] == false)
    return refuse_field("stream_options", "is given, but \"stream\" is not true");
  return {};
}

/// What a response says of its request.
Json told_of(const RequestFields& fields, const ChatCompletion& completion) {
  const auto given = [&](std::string_view name, Json fallback) {
    const Json* const value = fields.find(name);
    return value == nullptr ? std::move(fallback) : *value;
  };
  Json told = {{"background", false}, {"previous_response_id", nullptr}, {"store", false}};
  told["truncation"] = "disabled";
  told["service_tier"] = "default";
  for (const char* name :
       {"instructions", "max_output_tokens", "max_tool_calls", "prompt_cache_key", "safety_identifier", "user"})
    told[name] = given(name, nullptr);
  told["metadata"] = given("metadata", Json::object());
  told["parallel_tool_calls"] = given("parallel_tool_calls", true);
  told["temperature"] = completion.request.sampling.temperature;
  told["top_p"] = completion.request.sampling.top_p;
  told["top_logprobs"] = given("top_logprobs", 0);
  told["text"] = given("text", Json::object());
  if (!told["text"].contains("format")) told["text"]["format"] = {{"type", "text"}};
  told["reasoning"] = {{"effort", nullptr}, {"summary", nullptr}};
  told["reasoning"].update(given("reasoning", Json::object()));
  told["tool_choice"] = given("tool_choice", "auto");
  told["tools"] = given("tools", Json::array());
  for (Json& tool : told["tools"]) {
    for (const char* name : {"parameters", "strict"}) {
      if (!tool.contains(name)) tool[name] = nullptr;
    }
  }
  return told;
}

Result<ResponseRequest> read_as(Api api, const Json& body, const ChatModel& model, std::uint64_t seed) {
  CORBEL_ASSIGN(const RequestFields fields, RequestFields::make(body, api));
  MadeRequest made;
  CORBEL_TRY(ResponseReader(fields, made).read());
  CORBEL_ASSIGN(ChatCompletion completion, read_made(made, model, seed));
  Json told = told_of(fields, completion);
  return ResponseRequest{std::move(completion), std::move(told)};
}

}  // namespace

Result<ResponseRequest> read_response_request(const Json& body, const ChatModel& model, std::uint64_t seed) {
  return read_as(Api::responses, body, model, seed);
}

Result<ResponseRequest> read_response_prompt(const Json& body, const ChatModel& model) {
  return read_as(Api::input_tokens, body, model, 0);
}

}  // namespace corbel
