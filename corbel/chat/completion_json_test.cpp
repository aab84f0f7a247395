#include "corbel/chat/completion_json.h"

#include <array>
#include <random>

#include "corbel/chat/chat_completion_fixture.h"

namespace corbel {
namespace {

GenerateResult result_of(std::string text, std::uint32_t choice = 0) {
  GenerateResult result;
  result.text = std::move(text);
  result.choice = choice;
  result.figures.prompt_tokens = 10;
  result.figures.generated_tokens = 5;
  return result;
}

TEST_F(ChatCompletions, AnswersAreToldInOpenAisShape) {
  const auto completion = read(cat("{", kTool, R"(,"n":2,"model":"m"})"));
  const std::vector<GenerateResult> results = {
      result_of(
          "<think>\nhm\n</think>\n\nhello <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"),
      result_of("broken <tool_call>{\"name\": \"f\"", 1)};
  const Json told = chat_completion_json(*completion, *model, results, {.id = "chatcmpl-x"});
  const Json& first = told["choices"][0];
  EXPECT_EQ(first["message"]["content"], "hello");
  EXPECT_EQ(first["message"]["reasoning_content"], "hm");
  EXPECT_TRUE(first["message"]["refusal"].is_null());
  EXPECT_EQ(first["message"]["tool_calls"][0]["function"]["arguments"], "{\"a\": 1}");
  EXPECT_EQ(first["message"]["tool_calls"][0]["id"].get<std::string>().size(), 9U);
  EXPECT_EQ(first["finish_reason"], "tool_calls");
  const Json& second = told["choices"][1];
  EXPECT_EQ(second["message"]["content"], "broken <tool_call>{\"name\": \"f\"");
  EXPECT_FALSE(second["message"].contains("tool_calls"));
  EXPECT_EQ(second["finish_reason"], "stop");
  EXPECT_NE(told["warnings"][0].get<std::string>().find("<tool_call>"), std::string::npos);
  EXPECT_EQ(told["usage"]["completion_tokens"], 10);
  EXPECT_EQ(told["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
}

/// What a client makes of the chunks of one choice.
Json joined(const std::vector<Json>& chunks, std::size_t choice) {
  Json message = {{"role", nullptr}, {"content", ""}, {"reasoning_content", ""}, {"tool_calls", Json::array()}};
  for (const Json& chunk : chunks) {
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    for (const Json& part : chunk["choices"]) {
      if (part["index"] != choice) continue;
      const Json& delta = part["delta"];
      EXPECT_EQ(delta.contains("role"), message["role"].is_null()) << "the role comes first, and once";
      if (delta.contains("role")) message["role"] = delta["role"];
      for (const char* key : {"content", "reasoning_content"}) {
        if (delta.contains(key)) message[key] = message[key].get<std::string>() + delta[key].get<std::string>();
      }
      for (const Json& call : delta.value("tool_calls", Json::array())) {
        EXPECT_EQ(call["index"], message["tool_calls"].size());
        Json kept = call;
        kept.erase("index");
        message["tool_calls"].push_back(kept);
      }
      if (!part["finish_reason"].is_null()) message["finish_reason"] = part["finish_reason"];
    }
  }
  return message;
}

TEST_F(ChatCompletions, AStreamSaysWhatTheWholeAnswerSaysHoweverItsTextIsSplit) {
  const auto completion = read(cat("{", kTool, R"(,"n":2,"stream":true,"stream_options":{"include_usage":true}})"));
  const std::vector<std::string> texts = {
      "<think>\nhm\n</think>\n\nhello <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
      "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
      "a <tool_call> that is none, <think> too", "", "<tool_call>{\"name\": \"f\", \"argu",
      "  blanks \n\n<tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call> and text behind\n"};
  std::mt19937_64 random(3);
  for (const std::string& one : texts) {
    for (const std::string& two : texts) {
      const std::vector<GenerateResult> results = {result_of(one), result_of(two, 1)};
      const Json whole = chat_completion_json(*completion, *model, results, {.id = "x"});
      for (int round = 0; round < 12; ++round) {
        CompletionStream stream(*completion, *model, {.id = "x"});
        std::vector<Json> chunks;
        const auto take = [&](std::vector<Json> more) { chunks.insert(chunks.end(), more.begin(), more.end()); };
        std::array<std::size_t, 2> at{};
        while (at[0] < one.size() || at[1] < two.size()) {
          const auto choice = static_cast<std::uint32_t>(random() % 2);
          const std::string& text = choice == 0 ? one : two;
          const std::size_t size = round == 0 ? 1 : random() % 9;
          take(stream.push(choice, std::string_view(text).substr(at[choice], size)));
          at[choice] = std::min(text.size(), at[choice] + size);
        }
        take(stream.end(results[1]));
        take(stream.end(results[0]));
        take(stream.finish());
        for (std::size_t choice = 0; choice < 2; ++choice) {
          const Json sum = joined(chunks, choice);
          const Json& message = whole["choices"][choice]["message"];
          EXPECT_EQ(sum["content"], message["content"].is_null() ? Json("") : message["content"]);
          EXPECT_EQ(sum["reasoning_content"], message.value("reasoning_content", ""));
          EXPECT_EQ(sum["tool_calls"], message.value("tool_calls", Json::array()));
          EXPECT_EQ(sum["finish_reason"], whole["choices"][choice]["finish_reason"]);
        }
        EXPECT_EQ(chunks.back()["usage"], whole["usage"]);
        EXPECT_TRUE(chunks.back()["choices"].empty());
      }
    }
  }
}

}  // namespace
}  // namespace corbel
