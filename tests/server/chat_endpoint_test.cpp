#include "tests/server/endpoint_fixture.h"

namespace corbel {
namespace {

const Json kTools = Json::parse(cat("{", kTool, "}"));

TEST_F(Endpoints, AChatIsAnsweredWholeAndInPiecesAlike) {
  const Answered whole = chat("~hello there~");
  ASSERT_EQ(whole.status, 200) << whole.text;
  const Json json = whole.json();
  EXPECT_EQ(json["choices"][0]["message"]["content"], "hello there");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json["model"], "parrot");
  EXPECT_EQ(json["usage"]["completion_tokens"], 12);
  const Answered pieces = chat("~hello there~", {{"stream", true}, {"model", "bird"}});
  EXPECT_TRUE(pieces.streamed);
  bool done = false;
  std::string content;
  for (const Json& event : pieces.events(done)) {
    EXPECT_EQ(event["model"], "bird") << "as the request names it";
    content += event["choices"][0]["delta"].value("content", "");
  }
  EXPECT_TRUE(done);
  EXPECT_EQ(content, "hello there");
}

TEST_F(Endpoints, ACallThatDoesNotParseIsContentWithAWarning) {
  for (const bool stream : {false, true}) {
    Json more = kTools;
    more["stream"] = stream;
    const Answered answered = chat(R"(~<tool_call>{"name": "f", "argu</tool_call>~)", more);
    ASSERT_EQ(answered.status, 200) << answered.text;
    bool done = false;
    std::string content, warnings;
    std::string finish;
    if (stream) {
      for (const Json& event : answered.events(done)) {
        content += event["choices"][0]["delta"].value("content", "");
        EXPECT_FALSE(event["choices"][0]["delta"].contains("tool_calls"));
        if (event["choices"][0]["finish_reason"].is_string()) finish = event["choices"][0]["finish_reason"];
        if (event.contains("warnings")) warnings = event["warnings"].dump();
      }
      EXPECT_TRUE(done);
    } else {
      content = answered.json()["choices"][0]["message"]["content"];
      finish = answered.json()["choices"][0]["finish_reason"];
      warnings = answered.json()["warnings"].dump();
    }
    EXPECT_EQ(content, R"(<tool_call>{"name": "f", "argu</tool_call>)");
    EXPECT_EQ(finish, "stop");
    EXPECT_NE(warnings.find("tool_call"), std::string::npos) << warnings;
  }
}

TEST_F(Endpoints, CallsAndThoughtsComeAsDeltasOfTheirOwn) {
  Json more = kTools;
  more["stream"] = true;
  bool done = false;
  const Answered answered =
      chat(R"(~<think>hm</think>so <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>~)", more);
  std::string thoughts, content;
  Json calls = Json::array();
  Json finish;
  for (const Json& event : answered.events(done)) {
    const Json& delta = event["choices"][0]["delta"];
    thoughts += delta.value("reasoning_content", "");
    content += delta.value("content", "");
    if (delta.contains("tool_calls")) calls.push_back(delta["tool_calls"][0]);
    finish = event["choices"][0]["finish_reason"];
  }
  EXPECT_EQ(thoughts, "hm");
  EXPECT_EQ(content, "so");
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0]["index"], 0);
  EXPECT_EQ(calls[0]["function"]["name"], "f");
  EXPECT_EQ(calls[0]["function"]["arguments"], R"({"a": 1})");
  EXPECT_EQ(finish, "tool_calls");
}

TEST_F(Endpoints, MalformedCallsInTheClientsOwnHistoryAreRefusedByTheirPlace) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"([{"id":"1","type":"function","function":{"name":"f","arguments":"{not json"}}])",
       "messages[1].tool_calls[0].function.arguments"},
      {R"([{"id":"1","type":"function","function":{"arguments":"{}"}}])", "messages[1].tool_calls[0].function.name"},
      {R"([7])", "messages[1].tool_calls[0]"},
      {R"("x")", "messages[1].tool_calls"}};
  for (const auto& [calls, path] : cases) {
    Json body = chat_body("hi");
    body["messages"].push_back({{"role", "assistant"}, {"content", nullptr}, {"tool_calls", Json::parse(calls)}});
    const Answered answered = post("/v1/chat/completions", body);
    EXPECT_EQ(answered.status, 400) << calls;
    const Json param = answered.error()["param"];
    EXPECT_EQ(param, path) << answered.text;
  }
}

TEST_F(Endpoints, AStreamThatFailsMidwayEndsWithAnErrorAndNoDone) {
  // The third step fails, and so does the next: twice in a row is an end.
  std::atomic<int> steps = 0;
  parrot->device.set_on_finish([&steps]() -> Result<void> {
    if (++steps < 4) return {};
    return fail(Code::device_failed, "the device is on fire");
  });
  const Answered answered = chat("~0123456789~", {{"stream", true}});
  EXPECT_EQ(answered.status, 200) << "it had begun";
  bool done = true;
  const std::vector<Json> events = answered.events(done);
  EXPECT_FALSE(done);
  ASSERT_GE(events.size(), 2U);
  EXPECT_TRUE(events.front().contains("choices"));
  EXPECT_EQ(events.back()["error"]["type"], "server_error");
  EXPECT_NE(events.back()["error"]["message"].get<std::string>().find("on fire"), std::string::npos);
  EXPECT_TRUE(is_idle());
}

TEST_F(Endpoints, AnAnswerThatFailsBeforeItBeganIsA500) {
  parrot->device.set_on_finish([]() -> Result<void> { return fail(Code::device_failed, "the device is on fire"); });
  const Answered answered = chat("~0123456789~");
  EXPECT_EQ(answered.status, 500);
  EXPECT_EQ(answered.error()["type"], "server_error");
}

TEST_F(Endpoints, APromptTooLongIsRefusedWithTheNumbers) {
  const Answered answered = chat(std::string(kTestContext, 'x'), {{"max_tokens", 5}});
  EXPECT_EQ(answered.status, 400);
  EXPECT_EQ(answered.error()["code"], "context_length_exceeded");
  EXPECT_EQ(answered.error()["param"], "messages");
  const std::string message = answered.error()["message"];
  EXPECT_NE(message.find(cat("there are ", kTestContext)), std::string::npos) << message;
}

TEST_F(Endpoints, AClientThatGoesAwayEndsItsRequest) {
  for (const bool stream : {false, true}) {
    Json body = chat_body("hi", {{"stream", stream}, {"max_tokens", 500}, {"ignore_eos", true}, {"n", 3}});
    const auto responder = send("POST", "/v1/chat/completions", body.dump());
    responder->leave();
    while (!is_idle()) continue;  // each look waits for the engine's next step
  }
}

TEST_F(Endpoints, WhoIsStillAnsweredWhenTheServerEndsIsToldSoAndLogged) {
  std::mutex mutex;
  std::map<std::string, std::string> finishes;  // by path, of requests that are over
  state.gate.set({.log = [&](const RequestSummary& summary) {
    const std::lock_guard lock(mutex);
    finishes[summary.path] = cat(summary.status, ' ', summary.finish);
  }});
  // The engine hears of the requests and of the end at once: not one step lies between.
  std::promise<void> go;
  (*shelf->wait_for(""))->engine->post([&go](Engine&) { go.get_future().wait(); });
  auto whole = send("POST", "/v1/chat/completions", chat_body("hi").dump());
  auto stream = send("POST", "/v1/messages", chat_body("hi", {{"stream", true}}).dump());
  shelf->stop();
  go.set_value();
  EXPECT_EQ(whole->wait().status, 503);
  EXPECT_EQ(whole->wait().error()["message"], "the server is shutting down");
  EXPECT_NE(stream->wait().text.find("event: error"), std::string::npos) << stream->wait().text;
  EXPECT_EQ(stream->wait().text.find("message_stop"), std::string::npos) << stream->wait().text;
  // A request is over when the last who holds it lets go, its connection among them.
  for (auto* const connection : {&whole, &stream}) connection->reset();
  shelf.reset();
  EXPECT_EQ(finishes["/v1/chat/completions"], "503 cancelled");
  EXPECT_EQ(finishes["/v1/messages"], "200 cancelled");
}

TEST_F(Endpoints, PromptLogprobsAreToldWithTheChat) {
  const Answered answered = chat("~a~", {{"prompt_logprobs", 1}});
  ASSERT_EQ(answered.status, 200) << answered.text;
  const Json told = answered.json()["prompt_logprobs"];
  ASSERT_EQ(static_cast<std::int64_t>(told.size()), answered.json()["usage"]["prompt_tokens"].get<std::int64_t>());
  EXPECT_TRUE(told[0].is_null());
  for (std::size_t i = 1; i < told.size(); ++i) {
    EXPECT_GE(told[i].size(), 1U);
    for (const auto& [id, one] : told[i].items()) EXPECT_LE(one["logprob"].get<double>(), 0.0);
  }
}

TEST_F(Endpoints, SpecialTokensAreSpelledOutWhereThatIsAsked) {
  const Answered hidden = chat("~ab~", {{"ignore_eos", true}, {"max_tokens", 3}});
  EXPECT_EQ(hidden.json()["choices"][0]["message"]["content"], "ab");
  const Answered shown = chat("~ab~", {{"ignore_eos", true}, {"max_tokens", 3}, {"skip_special_tokens", false}});
  EXPECT_EQ(shown.json()["choices"][0]["message"]["content"], "ab<end>");
}

TEST_F(Endpoints, TheSimpleChatTellsTextAndFigures) {
  const Answered answered = post("/chat", {{"prompt", "~yes~"}, {"max_tokens", 20}});
  EXPECT_EQ(answered.json()["response"], "yes");
  EXPECT_EQ(answered.json()["tokens"], 4);
  const Answered refused = post("/chat", {{"prompt", "x"}, {"top_p", 1}});
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.error()["param"], "top_p");
}

}  // namespace
}  // namespace corbel
