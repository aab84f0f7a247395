#include "tests/server/endpoint_fixture.h"
#include "tests/server/typed_events.h"

namespace corbel {
namespace {

const Json kFunction = Json::parse(
    R"({"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"a": {"enum": [1]}},
        "required": ["a"], "additionalProperties": false}})");
/// A model that babbles says at once what it must.
const Json kAtOnce = Json::parse(R"({"max_output_tokens": 300, "chat_template_kwargs": {"enable_thinking": false}})");
constexpr const char* kCall = R"(~<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>~)";

struct Responses : Endpoints {
  Answered respond(const Json& input, const Json& more = Json::object()) {
    Json body = {{"input", input}, {"max_output_tokens", 100}};
    body.update(more);
    return post("/v1/responses", body);
  }
  Json response(const Json& input, const Json& more = Json::object()) {
    const Answered answered = respond(input, more);
    EXPECT_EQ(answered.status, 200) << answered.text;
    return answered.json();
  }
  /// What a chat completion of these messages gets as its prompt.
  Json prompt_of(const Json& messages, const Json& more = Json::object()) {
    Json body = {{"messages", messages}};
    body.update(more);
    return post("/apply-template", body).json()["tokens"];
  }
  std::int64_t prompt_tokens(const Json& input, const Json& more = Json::object()) {
    Json body = {{"input", input}};
    body.update(more);
    const Answered answered = post("/v1/responses/input_tokens", body);
    EXPECT_EQ(answered.status, 200) << answered.text;
    EXPECT_EQ(answered.json()["object"], "response.input_tokens");
    return answered.json()["input_tokens"];
  }
  void expect_refused(const Json& input, const Json& more, const std::string& path) {
    const Answered answered = respond(input, more);
    EXPECT_EQ(answered.status, 400) << answered.text;
    const Json param = answered.error()["param"];
    EXPECT_EQ(param, path) << answered.text;
  }
};

TEST_F(Responses, AnswerATextWithAMessage) {
  const Json json = response("~hello there~", {{"temperature", 0}, {"metadata", {{"a", "b"}}}});
  EXPECT_EQ(json["object"], "response");
  EXPECT_EQ(json["status"], "completed");
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("resp_"));
  ASSERT_EQ(json["output"].size(), 1U);
  EXPECT_EQ(json["output"][0]["type"], "message");
  EXPECT_EQ(json["output"][0]["role"], "assistant");
  EXPECT_EQ(json["output"][0]["status"], "completed");
  EXPECT_EQ(json["output"][0]["content"],
            Json::parse(R"([{"type": "output_text", "text": "hello there", "annotations": [], "logprobs": []}])"));
  EXPECT_EQ(json["usage"]["output_tokens"], 12);
  EXPECT_EQ(json["usage"]["total_tokens"].get<int>(), json["usage"]["input_tokens"].get<int>() + 12);
  EXPECT_EQ(json["model"], "parrot");
  EXPECT_EQ(json["metadata"]["a"], "b");
  EXPECT_EQ(json["store"], false);
  EXPECT_EQ(json["temperature"], 0.0);
  for (const char* name : {"error", "incomplete_details", "instructions", "previous_response_id"})
    EXPECT_TRUE(json[name].is_null()) << name;
  EXPECT_FALSE(json.contains("warnings"));
}

TEST_F(Responses, EventsAddUpToTheWholeResponse) {
  const std::vector<std::string> texts = {
      "~hello there~", R"(~<think>hm, well</think>so <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>~)",
      kCall, "~~"};
  for (const std::string& text : texts) {
    const Json more = {{"tools", Json::array({kFunction})}, {"include", Json::array({"message.output_text.logprobs"})}};
    const Json whole = response(text, more);
    Json asked = more;
    asked["stream"] = true;
    const Answered answered = respond(text, asked);
    ASSERT_TRUE(answered.streamed);
    const std::vector<Json> events = typed_events(answered.text);
    ASSERT_GE(events.size(), 3U);
    EXPECT_EQ(events[0]["type"], "response.created");
    EXPECT_EQ(events[0]["response"]["status"], "in_progress");
    EXPECT_EQ(events[1]["type"], "response.in_progress");
    EXPECT_EQ(events.back()["type"], "response.completed");
    for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]["sequence_number"], i);
    Json told = events.back()["response"];
    EXPECT_EQ(without_ids(told["output"]), without_ids(whole["output"])) << text;
    EXPECT_EQ(told["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
    EXPECT_EQ(told["usage"]["output_tokens_details"], whole["usage"]["output_tokens_details"]);
    EXPECT_EQ(built_items(events), told["output"]) << text;
  }
}

TEST_F(Responses, EachItemBeginsGrowsAndEndsInTheDocumentedOrder) {
  const Answered answered = respond(R"(~<think>h</think>s<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>~)",
                                    {{"tools", Json::array({kFunction})}, {"stream", true}});
  std::vector<std::string> types;
  for (const Json& event : typed_events(answered.text)) types.push_back(event["type"]);
  const std::vector<std::string> expected = {"response.created",
                                             "response.in_progress",
                                             "response.output_item.added",
                                             "response.content_part.added",
                                             "response.reasoning_text.delta",
                                             "response.reasoning_text.done",
                                             "response.content_part.done",
                                             "response.output_item.done",
                                             "response.output_item.added",
                                             "response.content_part.added",
                                             "response.output_text.delta",
                                             "response.output_text.done",
                                             "response.content_part.done",
                                             "response.output_item.done",
                                             "response.output_item.added",
                                             "response.function_call_arguments.delta",
                                             "response.function_call_arguments.done",
                                             "response.output_item.done",
                                             "response.completed"};
  EXPECT_EQ(types, expected);
}

TEST_F(Responses, ThoughtsAreCountedAndGivenApart) {
  const Json json = response("~<think>hm</think>so~");
  ASSERT_EQ(json["output"].size(), 2U);
  EXPECT_EQ(json["output"][0]["type"], "reasoning");
  EXPECT_EQ(json["output"][0]["summary"], Json::array());
  EXPECT_EQ(json["output"][0]["content"], Json::parse(R"([{"type": "reasoning_text", "text": "hm"}])"));
  EXPECT_EQ(json["output"][1]["content"][0]["text"], "so");
  // A token for each byte: of <think>hm</think>.
  EXPECT_EQ(json["usage"]["output_tokens_details"]["reasoning_tokens"], 17);
  EXPECT_EQ(json["usage"]["output_tokens"], 20);
}

TEST_F(Responses, LogprobsAreThoseOfTheTextAlone) {
  const Json json = response("~<think>hm</think>so~", {{"top_logprobs", 2}});
  const Json logprobs = json["output"][1]["content"][0]["logprobs"];
  std::string text;
  for (const Json& one : logprobs) {
    text += one["token"].get<std::string>();
    EXPECT_EQ(one["top_logprobs"].size(), 2U);
  }
  EXPECT_EQ(text, "so");
}

TEST_F(Responses, ItemsOfAConversationMakeThePromptOfItsMessages) {
  const Json input = Json::parse(R"([
    {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "why"}]},
    {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
     "content": [{"type": "output_text", "text": "let me ", "annotations": []}, {"type": "output_text", "text": "see"}]},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"a\": 1}"},
    {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{\"a\": 2}"},
    {"type": "function_call_output", "call_id": "c1", "output": "one"},
    {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
    {"role": "assistant", "content": "3"}, {"role": "user", "content": "thanks"}])");
  const Json messages = Json::parse(R"([
    {"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"},
    {"role": "assistant", "reasoning_content": "why", "content": "let me see", "tool_calls": [
      {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
      {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 2}"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "one"}, {"role": "tool", "tool_call_id": "c2", "content": "two"},
    {"role": "assistant", "content": "3"}, {"role": "user", "content": "thanks"}])");
  const Json expected = prompt_of(messages);
  ASSERT_GT(expected.size(), 100U);
  EXPECT_EQ(prompt_tokens(input, {{"instructions", "be kind"}}), static_cast<std::int64_t>(expected.size()));
  // The same bytes: asked with a receipt's tokens they could not be told apart; the cache finds all but the last one.
  chat("", {{"messages", messages}, {"max_tokens", 1}});
  const Json usage = response(input, {{"instructions", "be kind"}, {"max_output_tokens", 1}})["usage"];
  EXPECT_EQ(usage["input_tokens"], expected.size());
  EXPECT_GE(usage["input_tokens_details"]["cached_tokens"].get<std::int64_t>(),
            static_cast<std::int64_t>(expected.size()) / 64 * 64 - 64);
}

TEST_F(Responses, WhatARequestLeavesOutOfAnAnswerIsToldByItsStatus) {
  const Json json = response("~hello there~", {{"max_output_tokens", 3}});
  EXPECT_EQ(json["status"], "incomplete");
  EXPECT_EQ(json["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(json["output"][0]["status"], "incomplete");
  EXPECT_EQ(json["output"][0]["content"][0]["text"], "hel");
  const std::vector<Json> events =
      typed_events(respond("~hello there~", {{"max_output_tokens", 3}, {"stream", true}}).text);
  EXPECT_EQ(events.back()["type"], "response.incomplete");
}

TEST_F(Responses, CallsMayBeSentBackByTheirIds) {
  const Json call = response(kCall, {{"tools", Json::array({kFunction})}})["output"][0];
  EXPECT_EQ(call["type"], "function_call");
  EXPECT_EQ(call["name"], "f");
  EXPECT_EQ(Json::parse(call["arguments"].get<std::string>()), Json::parse(R"({"a": 1})"));
  const Json json =
      response(Json::array({{{"role", "user"}, {"content", kCall}},
                            call,
                            {{"type", "function_call_output"}, {"call_id", call["call_id"]}, {"output", "~1~"}}}),
               {{"tools", Json::array({kFunction})}});
  EXPECT_EQ(json["output"][0]["content"][0]["text"], "1");
}

TEST_F(Responses, ToolsMayBeDemandedNamedAndNarrowed) {
  Json other = kFunction;
  other["name"] = "g";
  const Json tools = {{"tools", Json::array({kFunction, other})}, {"parallel_tool_calls", false}};
  const auto called = [&](const Json& choice) {
    Json more = tools;
    more.update(kAtOnce);
    more["tool_choice"] = choice;
    const Json output = response("hi", more)["output"];
    return output.empty() ? Json() : output.back().value("name", Json());
  };
  EXPECT_EQ(called({{"type", "function"}, {"name", "g"}}), "g");
  const Json only_g =
      Json::parse(R"({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]})");
  EXPECT_EQ(called(only_g), "g");
  Json more = tools;
  more["tool_choice"] = only_g;
  const std::int64_t narrowed = prompt_tokens("hi", more);
  more["tool_choice"] = "auto";
  EXPECT_LT(narrowed, prompt_tokens("hi", more)) << "the model does not see the others";
}

TEST_F(Responses, ATextOfAGivenFormHasIt) {
  const Json format = Json::parse(R"({"format": {"type": "json_schema", "name": "n", "strict": true, "schema":
      {"type": "object", "properties": {"a": {"enum": [7]}}, "required": ["a"], "additionalProperties": false}}})");
  Json more = kAtOnce;
  more["text"] = format;
  const Json json = response("say", more);
  EXPECT_EQ(Json::parse(json["output"][0]["content"][0]["text"].get<std::string>())["a"], 7) << json;
  EXPECT_EQ(json["text"], format);
}

TEST_F(Responses, AreRefusedByThePathsOfTheirOwnFields) {
  const auto refused = [&](const char* more, const char* path) { expect_refused("hi", Json::parse(more), path); };
  refused(R"({"previous_response_id": "resp_1"})", "previous_response_id");
  refused(R"({"conversation": "conv_1"})", "conversation");
  refused(R"({"background": true})", "background");
  refused(R"({"truncation": "auto"})", "truncation");
  refused(R"({"prompt": {"id": "p"}})", "prompt");
  refused(R"({"messages": []})", "messages");
  refused(R"({"max_output_tokens": 0})", "max_output_tokens");
  refused(R"({"max_output_tokens": 100, "min_tokens": 200})", "min_tokens");
  refused(R"({"temperature": 2.5})", "temperature");
  refused(R"({"include": ["message.output_text.logprobs", "x"]})", "include[1]");
  refused(R"({"tools": [{"type": "web_search"}]})", "tools[0].type");
  refused(R"({"tools": [{"type": "function", "name": "a b"}]})", "tools[0].name");
  refused(R"({"tools": [{"type": "function", "name": "a", "parameters": 7}]})", "tools[0].parameters");
  refused(R"({"tool_choice": "required"})", "tool_choice");
  refused(R"({"tool_choice": {"type": "function", "name": "h"}})", "tool_choice.name");
  refused(R"({"tool_choice": {"type": "file_search"}})", "tool_choice.type");
  refused(R"({"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}})", "text.format.name");
  refused(R"({"text": {"format": {"type": "json_schema", "name": "n"}}})", "text.format.schema");
  refused(R"({"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "nothing"}}}})",
          "text.format.schema");
  refused(R"({"text": {"format": {"type": "grammar"}}})", "text.format.type");
  refused(R"({"reasoning": {"effort": 7}})", "reasoning.effort");
  refused(R"({"stream_options": {"include_usage": true}, "stream": true})", "stream_options.include_usage");
  refused(R"({"stop": [7]})", "stop[0]");
  EXPECT_EQ(post("/v1/responses", Json::object()).error()["param"], "input");
}

TEST_F(Responses, ItemsAreRefusedByTheirPlace) {
  const auto refused = [&](const char* input, const char* path) {
    expect_refused(Json::parse(input), Json::object(), path);
  };
  refused("[]", "input");
  refused("[7]", "input[0]");
  refused(R"([{"role": "robot", "content": "x"}])", "input[0].role");
  refused(R"([{"role": "user"}])", "input[0].content");
  refused(R"([{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}])", "input[0].content[0].type");
  refused(R"([{"role": "user", "content": "x"}, {"type": "item_reference", "id": "msg_1"}])", "input[1].type");
  refused(
      R"([{"role": "user", "content": "x"}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}])",
      "input[1].arguments");
  refused(R"([{"type": "function_call", "call_id": "c", "arguments": "{}"}])", "input[0].name");
  refused(R"([{"type": "function_call_output", "output": "x"}])", "input[0].call_id");
  refused(R"([{"role": "user", "content": "x", "audio": 1}])", "input[0].audio");
  const std::string lengthy(kTestContext, 'x');
  expect_refused(lengthy, Json::object(), "input");
}

TEST_F(Responses, WarningsNameTheFieldsThatChangeNothing) {
  const Json json = response("~a~", Json::parse(R"({"store": true, "reasoning": {"effort": "low", "summary": "auto"},
      "include": ["reasoning.encrypted_content"], "text": {"verbosity": "low"}, "max_tool_calls": 3})"));
  const std::string warnings = json["warnings"].dump();
  for (const char* path :
       {"store", "reasoning.effort", "reasoning.summary", "include[0]", "text.verbosity", "max_tool_calls"})
    EXPECT_NE(warnings.find(cat("\\\"", path, "\\\"")), std::string::npos) << path << " in " << warnings;
}

TEST_F(Responses, AStreamThatFailsMidwaySaysSoAndHasNoCompletion) {
  std::atomic<int> steps = 0;
  parrot->device.set_on_finish([&steps]() -> Result<void> {
    if (++steps < 4) return {};
    return fail(Code::device_failed, "the device is on fire");
  });
  const std::vector<Json> events = typed_events(respond("~0123456789~", {{"stream", true}}).text);
  ASSERT_GE(events.size(), 3U);
  EXPECT_EQ(events[events.size() - 2]["type"], "error");
  EXPECT_EQ(events[events.size() - 2]["code"], "server_error");
  EXPECT_EQ(events.back()["type"], "response.failed");
  EXPECT_EQ(events.back()["response"]["status"], "failed");
  EXPECT_NE(events.back()["response"]["error"]["message"].get<std::string>().find("on fire"), std::string::npos);
  parrot->device.set_on_finish([]() -> Result<void> { return fail(Code::device_failed, "the device is on fire"); });
  EXPECT_EQ(respond("~0123456789~").status, 500);
}

}  // namespace
}  // namespace corbel
