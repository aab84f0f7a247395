#include "tests/server/endpoint_fixture.h"
#include "tests/server/typed_events.h"

namespace corbel {
namespace {

const Json kTools = Json::parse(R"([{"name": "f", "description": "does f", "input_schema":
    {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"], "additionalProperties": false}}])");

struct Messages : Endpoints {
  Answered say(const Json& messages, const Json& more = Json::object()) {
    Json body = {{"messages", messages}, {"max_tokens", 100}};
    body.update(more);
    return post("/v1/messages", body);
  }
  static Json user(const std::string& text) { return Json::array({{{"role", "user"}, {"content", text}}}); }
  Json message(const Json& messages, const Json& more = Json::object()) {
    const Answered answered = say(messages, more);
    EXPECT_EQ(answered.status, 200) << answered.text;
    return answered.json();
  }
  std::int64_t counted(const Json& messages, const Json& more = Json::object()) {
    Json body = {{"messages", messages}};
    body.update(more);
    const Answered answered = post("/v1/messages/count_tokens", body);
    EXPECT_EQ(answered.status, 200) << answered.text;
    return answered.json()["input_tokens"];
  }
  std::int64_t chat_tokens(const Json& body) {
    const Answered answered = post("/apply-template", body);
    EXPECT_EQ(answered.status, 200) << answered.text;
    return std::ssize(answered.json()["tokens"]);
  }
  void expect_refused(const Json& messages, const Json& more, const std::string& path) {
    const Answered answered = say(messages, more);
    EXPECT_EQ(answered.status, 400) << answered.text;
    EXPECT_EQ(answered.json()["type"], "error");
    EXPECT_EQ(answered.error()["type"], "invalid_request_error");
    const Json param = answered.error()["param"];
    EXPECT_EQ(param, path) << answered.text;
  }
};

TEST_F(Messages, AnswerWithBlocks) {
  const Json json = message(user("~hello there~"), {{"system", "be kind"}, {"metadata", {{"user_id", "u"}}}});
  EXPECT_EQ(json["type"], "message");
  EXPECT_EQ(json["role"], "assistant");
  EXPECT_EQ(json["model"], "parrot");
  EXPECT_EQ(json["content"], Json::parse(R"([{"type": "text", "text": "hello there"}])"));
  EXPECT_EQ(json["stop_reason"], "end_turn");
  EXPECT_TRUE(json["stop_sequence"].is_null());
  EXPECT_EQ(json["usage"]["output_tokens"], 12);
  EXPECT_FALSE(json.contains("warnings"));
}

TEST_F(Messages, ThoughtsAndCallsAreBlocksOfTheirOwn) {
  const Json json =
      message(user(R"(~<think>hm</think>so <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>~)"),
              {{"tools", kTools}});
  ASSERT_EQ(json["content"].size(), 3U) << json;
  EXPECT_EQ(json["content"][0], Json::parse(R"({"type": "thinking", "thinking": "hm", "signature": ""})"));
  EXPECT_EQ(json["content"][1]["text"], "so");
  EXPECT_EQ(json["content"][2]["type"], "tool_use");
  EXPECT_EQ(json["content"][2]["name"], "f");
  EXPECT_EQ(json["content"][2]["input"], Json::parse(R"({"a": 1})"));
  EXPECT_EQ(json["stop_reason"], "tool_use");
}

TEST_F(Messages, EventsAddUpToTheWholeMessage) {
  for (const std::string text :
       {"~hello there~", R"(~<think>hm, well</think>so <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>~)",
        R"(~<tool_call>{"name": "f", "arguments": {}}</tool_call>~)", "~~"}) {
    const Json whole = message(user(text), {{"tools", kTools}});
    const Answered answered = say(user(text), {{"tools", kTools}, {"stream", true}});
    ASSERT_TRUE(answered.streamed);
    const std::vector<Json> events = typed_events(answered.text);
    ASSERT_GE(events.size(), 4U);
    EXPECT_EQ(events[0]["type"], "message_start");
    EXPECT_EQ(events[1]["type"], "ping");
    EXPECT_EQ(events[events.size() - 2]["type"], "message_delta");
    EXPECT_EQ(events.back(), Json::parse(R"({"type": "message_stop"})"));
    Json built = events[0]["message"];
    EXPECT_EQ(built["content"], Json::array());
    EXPECT_TRUE(built["stop_reason"].is_null());
    std::string input;
    std::size_t stopped = 0;
    for (const Json& event : events) {
      const std::string type = event["type"];
      if (type == "content_block_start") {
        EXPECT_EQ(event["index"], built["content"].size());
        EXPECT_EQ(stopped, built["content"].size()) << "blocks do not overlap";
        built["content"].push_back(event["content_block"]);
        input.clear();
      }
      if (type == "content_block_delta") {
        Json& block = built["content"][event["index"].get<std::size_t>()];
        const Json& delta = event["delta"];
        if (delta["type"] == "text_delta") block["text"].get_ref<std::string&>() += delta["text"];
        if (delta["type"] == "thinking_delta") block["thinking"].get_ref<std::string&>() += delta["thinking"];
        if (delta["type"] == "input_json_delta") block["input"] = Json::parse(input += delta["partial_json"]);
      }
      if (type == "content_block_stop") {
        EXPECT_EQ(event["index"], stopped++);
      }
      if (type == "message_delta") {
        built.update(event["delta"]);
        built["usage"] = event["usage"];
      }
    }
    EXPECT_EQ(stopped, built["content"].size());
    EXPECT_EQ(without_ids(built["content"]), without_ids(whole["content"])) << text;
    EXPECT_EQ(built["stop_reason"], whole["stop_reason"]);
    EXPECT_EQ(built["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
  }
}

TEST_F(Messages, EndForTheReasonThatIsTold) {
  const Json cut = message(user("~hello there~"), {{"max_tokens", 3}});
  EXPECT_EQ(cut["stop_reason"], "max_tokens");
  EXPECT_EQ(cut["content"][0]["text"], "hel");
  const Json stopped = message(user("~hello there~"), {{"stop_sequences", Json::array({"xyz", "o th"})}});
  EXPECT_EQ(stopped["stop_reason"], "stop_sequence");
  EXPECT_EQ(stopped["stop_sequence"], "o th");
  EXPECT_EQ(stopped["content"][0]["text"], "hell");
}

TEST_F(Messages, TurnsMakeThePromptOfAChatsMessages) {
  const Json turns = Json::parse(R"([
    {"role": "user", "content": "hi"}, {"role": "user", "content": [{"type": "text", "text": "you", "cache_control": {"type": "ephemeral"}}]},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "why", "signature": ""}, {"type": "text", "text": "let me "},
      {"type": "text", "text": "see"}, {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
      {"type": "tool_use", "id": "c2", "name": "f", "input": {"a": 2}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "one"},
      {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "two"}]}, {"type": "text", "text": "thanks"}]}])");
  const Json chat = Json::parse(R"({"messages": [{"role": "system", "content": "be kind"},
    {"role": "user", "content": "hi\nyou"},
    {"role": "assistant", "reasoning_content": "why", "content": "let me see", "tool_calls": [
      {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}},
      {"id": "c2", "type": "function", "function": {"name": "f", "arguments": {"a": 2}}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "one"}, {"role": "tool", "tool_call_id": "c2", "content": "two"},
    {"role": "user", "content": "thanks"}]})");
  EXPECT_EQ(counted(turns, Json::parse(R"({"system": [{"type": "text", "text": "be kind"}]})")), chat_tokens(chat));
  Json tool_chat = chat;
  tool_chat["tools"] = Json::array(
      {{{"type", "function"},
        {"function", {{"name", "f"}, {"description", "does f"}, {"parameters", kTools[0]["input_schema"]}}}}});
  EXPECT_EQ(counted(turns, {{"system", "be kind"}, {"tools", kTools}}), chat_tokens(tool_chat));
}

TEST_F(Messages, ALastMessageOfTheAssistantIsGoneOnWith) {
  Json turns = user("hi");
  turns.push_back({{"role", "assistant"}, {"content", "The best answer is ("}});
  const Json chat = {{"messages", turns}, {"continue_final_message", true}};
  EXPECT_EQ(counted(turns), chat_tokens(chat));
  const std::string prompt = post("/apply-template", chat).json()["prompt"];
  EXPECT_TRUE(prompt.ends_with("<assistant>The best answer is (")) << prompt;
  turns.back()["content"] = "";
  expect_refused(turns, Json::object(), "messages[1].content");
}

TEST_F(Messages, ThinkingIsAVariableOfTheTemplate) {
  const std::int64_t open = counted(user("hi"));
  EXPECT_GT(counted(user("hi"), {{"thinking", {{"type", "disabled"}}}}), open) << "the template closes the thoughts";
  EXPECT_EQ(counted(user("hi"), {{"thinking", {{"type", "adaptive"}}}}), open);
}

TEST_F(Messages, ACallIsDemandedAndAFormIsKept) {
  // A model that babbles says at once what it must.
  Json more = {{"thinking", {{"type", "disabled"}}}, {"max_tokens", 300}, {"tools", kTools}};
  more["tool_choice"] = {{"type", "any"}, {"disable_parallel_tool_use", true}};
  const Json called = message(user("hi"), more);
  ASSERT_FALSE(called["content"].empty());
  EXPECT_EQ(called["content"].back().value("name", ""), "f") << called;
  more.erase("tools");
  more.erase("tool_choice");
  more["output_config"] = Json::parse(R"({"format": {"type": "json_schema", "schema":
      {"type": "object", "properties": {"a": {"enum": [7]}}, "required": ["a"], "additionalProperties": false}}})");
  const Json formed = message(user("hi"), more);
  EXPECT_EQ(Json::parse(formed["content"][0]["text"].get<std::string>())["a"], 7);
}

TEST_F(Messages, AreRefusedByThePathsOfTheirOwnFields) {
  const auto refused = [&](const char* more, const char* path) { expect_refused(user("hi"), Json::parse(more), path); };
  refused(R"({"max_tokens": null})", "max_tokens");
  refused(R"({"max_tokens": 0})", "max_tokens");
  refused(R"({"temperature": 1.5})", "temperature");
  refused(R"({"n": 2})", "n");
  refused(R"({"stop": "x"})", "stop");
  refused(R"({"stop_sequences": [""]})", "stop_sequences[0]");
  refused(R"({"system": 7})", "system");
  refused(R"({"system": [{"type": "image"}]})", "system[0].type");
  refused(R"({"tools": [{"type": "web_search_20250305", "name": "web_search"}]})", "tools[0].type");
  refused(R"({"tools": [{"name": "f"}]})", "tools[0].input_schema");
  refused(R"({"tools": [{"name": "a b", "input_schema": {}}]})", "tools[0].name");
  refused(R"({"tool_choice": {"type": "any"}})", "tool_choice");
  refused(R"({"tool_choice": {"type": "tool", "name": "g"}, "tools": [{"name": "f", "input_schema": {}}]})",
          "tool_choice.name");
  refused(R"({"thinking": {"type": "always"}})", "thinking.type");
  refused(R"({"output_config": {"format": {"type": "json_schema", "schema": {"type": "nothing"}}}})",
          "output_config.format.schema");
  refused(R"({"mcp_servers": [{"name": "x"}]})", "mcp_servers");
  EXPECT_EQ(post("/v1/messages", {{"max_tokens", 1}}).error()["param"], "messages");
}

TEST_F(Messages, BlocksAreRefusedByTheirPlace) {
  const auto refused = [&](const char* turns, const char* path) {
    expect_refused(Json::parse(turns), Json::object(), path);
  };
  refused("[7]", "messages[0]");
  refused(R"([{"role": "tool", "content": "x"}])", "messages[0].role");
  refused(R"([{"role": "user"}])", "messages[0].content");
  refused(R"([{"role": "user", "content": [{"type": "image", "source": {}}]}])", "messages[0].content[0].type");
  refused(R"([{"role": "user", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]}])",
          "messages[0].content[0].type");
  refused(
      R"([{"role": "user", "content": "x"}, {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": "{}"}]}])",
      "messages[1].content[0].input");
  refused(R"([{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}])",
          "messages[0].content[0].tool_use_id");
  expect_refused(user(std::string(kTestContext, 'x')), Json::object(), "messages");
}

TEST_F(Messages, ErrorsHaveTheShapeOfTheirApiWhoeverMakesThem) {
  const auto shaped = [&](const Answered& answered, int status, const char* type) {
    EXPECT_EQ(answered.status, status) << answered.text;
    EXPECT_EQ(answered.json()["type"], "error");
    EXPECT_EQ(answered.error()["type"], type);
    std::string id;
    for (const auto& [name, value] : answered.headers) id = name == "request-id" ? value : id;
    EXPECT_EQ(answered.json()["request_id"], id);
    EXPECT_FALSE(id.empty());
  };
  shaped(get("/v1/messages"), 405, "invalid_request_error");
  shaped(say(user("hi"), {{"model", "nobody"}}), 404, "not_found_error");
  shaped(send("POST", "/v1/messages", "{")->wait(), 400, "invalid_request_error");
  parrot->device.set_on_finish([]() -> Result<void> { return fail(Code::device_failed, "the device is on fire"); });
  shaped(say(user("~0123~")), 500, "api_error");
  state.ready = false;
  shaped(say(user("hi")), 503, "overloaded_error");
  ApiKeys keys;
  keys.add("secret");
  state.gate.set_keys(std::move(keys));
  shaped(say(user("hi")), 401, "authentication_error");
}

TEST_F(Messages, AStreamThatFailsMidwayEndsWithAnErrorAndNoStop) {
  std::atomic<int> steps = 0;
  parrot->device.set_on_finish([&steps]() -> Result<void> {
    if (++steps < 4) return {};
    return fail(Code::device_failed, "the device is on fire");
  });
  const std::vector<Json> events = typed_events(say(user("~0123456789~"), {{"stream", true}}).text);
  EXPECT_EQ(events.front()["type"], "message_start");
  EXPECT_EQ(events.back()["type"], "error");
  EXPECT_EQ(events.back()["error"]["type"], "api_error");
}

TEST_F(Messages, WarningsNameTheFieldsThatChangeNothing) {
  const Json turns = Json::parse(
      R"([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "~a~", "is_error": true}]}])");
  const Json json = message(
      turns, Json::parse(R"({"thinking": {"type": "enabled", "budget_tokens": 2000}, "service_tier": "standard_only",
      "output_config": {"effort": "low"}})"));
  const std::string warnings = json["warnings"].dump();
  for (const char* path : {"messages[0].content[0].is_error", "thinking.budget_tokens", "service_tier", "thinking"})
    EXPECT_NE(warnings.find(cat("\\\"", path, "\\\"")), std::string::npos) << path << " in " << warnings;
}

}  // namespace
}  // namespace corbel
