#include "corbel/chat/request_fields_rows.h"

namespace corbel::request_fields_rows {

std::vector<RequestField> response_fields() {
  constexpr std::string_view kNotStored = "nothing is stored: each request has all of its conversation";
  std::vector<RequestField> prompt = {
      honoured("input", Type::text_or_list, "",
               "a text, or a list of items: message, function_call, function_call_output, reasoning"),
      honoured("instructions", Type::text, "null", "a system message in front of the input"),
      honoured("tools", Type::list, "[]",
               "functions that the model may call, {type, name, description, parameters, strict}; up to 128"),
      honoured("tool_choice", Type::text_or_object, "\"auto\" with tools",
               "none, auto, required, {type: function, name}, or {type: allowed_tools, mode, tools}"),
      honoured("text", Type::object, "{}",
               "format: text, json_object, or json_schema with {name, description, schema, strict}; strict or not, it "
               "always holds"),
      honoured("reasoning", Type::object, "{}", "effort: the variable reasoning_effort of the model's chat template"),
      only("previous_response_id", Type::text, "null", kNotStored),
      only("conversation", Type::text_or_object, "null", kNotStored),
      only("truncation", Type::text, "\"disabled\"", "a prompt that does not fit is refused, never cut"),
  };
  for (RequestField& field : prompt) field = of(field, {Api::responses, Api::input_tokens});
  std::vector<RequestField> fields = {
      ranged(honoured("max_output_tokens", Type::integer, kModels, "most tokens of the answer, thoughts included"), 1,
             kMostTokens),
      ranged(honoured("top_logprobs", Type::integer, "0",
                      "with each text the log-probability of its tokens, and of so many of the likeliest ones"),
             0, kMostTop),
      honoured("include", Type::list, "[]", "message.output_text.logprobs: log-probabilities of the text's tokens"),
      honoured("stream_options", Type::object, "{}", "include_obfuscation: false; needs stream"),
      only("background", Type::boolean, "false", kNotStored),
      only("prompt", Type::object, "null", "no prompts are stored"),
      only("moderation", Type::object, "null", "nothing is moderated"),
      only("context_management", Type::list, "[]", "conversations are never shortened"),
      ranged(used(Use::warned, honoured("max_tool_calls", Type::integer, "null", "there are no built-in tools")), 1,
             kMostTokens),
      used(Use::warned, honoured("prompt_cache_retention", Type::text, "null", "the cache keeps what it has room for")),
      used(Use::warned, honoured("prompt_cache_options", Type::object, "{}", "the cache keeps what it has room for")),
  };
  for (RequestField& field : fields) field = of(field, {Api::responses});
  fields.insert(fields.end(), prompt.begin(), prompt.end());
  return fields;
}

std::vector<RequestField> message_fields() {
  std::vector<RequestField> prompt = {
      honoured("system", Type::text_or_list, "null", "a system message in front of the others", kAnthropic),
      honoured("tools", Type::list, "[]",
               "functions that the model may call, {name, description, input_schema, strict}; up to 128", kAnthropic),
      honoured("tool_choice", Type::object, "{\"type\": \"auto\"} with tools",
               "auto, any, none, or tool with its name; disable_parallel_tool_use: at most one call", kAnthropic),
      honoured("thinking", Type::object, "as the model does",
               "enabled or disabled: the variables enable_thinking and thinking of the model's chat template",
               kAnthropic),
      honoured("output_config", Type::object, "{}",
               "format: json_schema with its schema, which always holds; effort: the variable reasoning_effort",
               kAnthropic),
      used(Use::about_caller,
           honoured("cache_control", Type::object, "null", "equal beginnings are found anyway", kAnthropic)),
      only("context_management", Type::object, "null", "conversations are never shortened", kAnthropic),
      only("mcp_servers", Type::list, "[]", "no servers of tools are asked", kAnthropic),
  };
  for (RequestField& field : prompt) field = of(field, {Api::messages, Api::count_tokens});
  std::vector<RequestField> fields = {
      ranged(honoured("max_tokens", Type::integer, "", "most tokens of the answer, thoughts included", kAnthropic), 1,
             kMostTokens),
      honoured("stop_sequences", Type::list, "[]", "texts that end an answer and are not part of it; up to 64",
               kAnthropic),
      ranged(honoured("temperature", Type::number, kModels, "divides the logits; 0: always the likeliest token",
                      kAnthropic),
             0, 1),
      only("speed", Type::text, "\"standard\"", "there is one speed", kAnthropic),
      only("container", Type::text_or_object, "null", "nothing is run here", kAnthropic),
      used(Use::warned, honoured("inference_geo", Type::text, "null", "it runs where this server is", kAnthropic)),
  };
  for (RequestField& field : fields) field = of(field, {Api::messages});
  fields.insert(fields.end(), prompt.begin(), prompt.end());
  return fields;
}

}  // namespace corbel::request_fields_rows
