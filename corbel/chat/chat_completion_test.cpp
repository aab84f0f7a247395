#include "corbel/chat/chat_completion.h"

#include <fstream>
#include <sstream>

#include "corbel/chat/chat_completion_fixture.h"
#include "corbel/chat/request_fields.h"

namespace corbel {
namespace {

TEST_F(ChatCompletions, EveryNumberOutsideItsRangeIsRefusedByItsNameAndItsRangeIsTheTables) {
  int numbers = 0;
  for (const RequestField& field : request_fields(Api::chat)) {
    if (!(field.low < field.high) || field.high > 1e18) continue;
    ++numbers;
    const bool whole = field.type == FieldType::integer;
    const double step = whole ? 1.0 : 0.001;
    for (const double wrong :
         {field.low - step, field.high + step, field.low_is_open ? field.low : field.high + step}) {
      const Json value = whole ? Json(static_cast<std::int64_t>(wrong)) : Json(wrong);
      const std::string message = refusal(cat("{\"", field.name, "\":", value.dump(), "}"));
      EXPECT_EQ(refused_field(message), field.name) << value;
      EXPECT_NE(message.find(" must be "), std::string::npos) << message;
    }
    EXPECT_EQ(refused_field(refusal(cat("{\"", field.name, "\":\"x\"}"))), field.name);
    if (!whole) continue;
    EXPECT_EQ(refused_field(refusal(cat("{\"", field.name, "\":1.5}"))), field.name);
  }
  EXPECT_GT(numbers, 15);
}

TEST_F(ChatCompletions, RefusalsNameThePathOfTheField) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"bogus":1})", "bogus"},
      {R"({"messages":"x"})", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})", "messages[0].content"},
      {R"({"messages":[{"content":"x"}]})", "messages[0]"},
      {R"({"messages":[{"role":"wizard","content":"x"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":"x"},{"role":"tool","content":"x"}]})", "messages[1].tool_call_id"},
      {R"({"messages":[{"role":"assistant","content":"","tool_calls":[{"id":"a"}]}]})",
       "messages[0].tool_calls[0].function"},
      {R"({"messages":[{"role":"assistant","content":"","tool_calls":7}]})", "messages[0].tool_calls"},
      {R"({"response_format":{"type":"xml"}})", "response_format.type"},
      {R"({"response_format":{"type":"json_schema"}})", "response_format.json_schema"},
      {R"({"response_format":{"type":"json_schema","json_schema":{"name":"a b","schema":{}}}})",
       "response_format.json_schema.name"},
      {R"({"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"not":{}}}}})",
       "response_format.json_schema.schema"},
      {R"({"response_format":{"type":"json_object"},"guided_regex":"a"})", "guided_regex"},
      {R"({"guided_regex":"(?=a)b"})", "guided_regex"},
      {R"({"grammar":"root ::= x"})", "grammar"},
      {R"({"grammar":"root ::= [a-z]","response_format":{"type":"json_object"}})", "grammar"},
      {R"({"structured_outputs":{"grammar":"root ::="},"guided_grammar":"root ::= [a]"})", "guided_grammar"},
      {R"({"dry_multiplier":-1})", "dry_multiplier"},
      {R"({"dry_allowed_length":0})", "dry_allowed_length"},
      {R"({"dry_sequence_breakers":["a",""]})", "dry_sequence_breakers[1]"},
      {R"({"dry_sequence_breakers":[3]})", "dry_sequence_breakers[0]"},
      {R"({"guided_json":"{"})", "guided_json"},
      {R"({"guided_choice":[]})", "guided_choice"},
      {R"({"structured_outputs":{"regex":"a","choice":["b"]}})", "structured_outputs"},
      {R"({"tools":[{"type":"function","function":{"name":"f g"}}]})", "tools[0].function.name"},
      {R"({"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]})",
       "tools[1].function.name"},
      {R"({"tools":[{"type":"retrieval"}]})", "tools[0].type"},
      {R"({"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]})", "tools[0].function.parameters"},
      {R"({"tool_choice":"required"})", "tool_choice"},
      {R"({"tool_choice":"sometimes"})", "tool_choice"},
      {R"({"logit_bias":{"x":1}})", "logit_bias"},
      {R"({"logit_bias":{"5":101}})", "logit_bias.5"},
      {R"({"top_logprobs":2})", "top_logprobs"},
      {R"({"stop":["a",3]})", "stop[1]"},
      {R"({"stop":""})", "stop"},
      {R"({"stop_token_ids":[99999]})", "stop_token_ids[0]"},
      {R"({"max_tokens":3,"max_completion_tokens":4})", "max_tokens"},
      {R"({"max_tokens":3,"min_tokens":4})", "min_tokens"},
      {R"({"stream_options":{"include_usage":true}})", "stream_options"},
      {R"({"chat_template_kwargs":{"messages":[]}})", "chat_template_kwargs.messages"},
      {R"({"functions":[{}]})", "functions"},
      {R"({"best_of":2})", "best_of"},
      {R"({"continue_final_message":true})", "messages[0].role"},
      {R"({"continue_final_message":true,"add_generation_prompt":true})", "continue_final_message"},
      {R"({"messages":[{"role":"assistant","content":"a"}],"continue_final_message":true,"guided_regex":"a"})",
       "continue_final_message"},
  };
  for (const auto& [more, path] : cases) {
    const std::string message = refusal(more);
    EXPECT_EQ(refused_field(message), path) << more << "\n" << message;
    EXPECT_EQ(param(message), Json(path).dump());
  }
  const std::string named = refusal(cat("{", kTool, R"(,"tool_choice":{"type":"function","function":{"name":"h"}}})"));
  EXPECT_EQ(refused_field(named), "tool_choice.function.name");
}

TEST_F(ChatCompletions, NothingThatIsAcceptedIsIgnoredInSilence) {
  EXPECT_TRUE(read("{}")->warnings.empty());
  EXPECT_TRUE(
      read(R"({"user":"u","metadata":{"a":"b"},"service_tier":"auto","store":false,"modalities":["text"],"seed":null})")
          ->warnings.empty());
  EXPECT_NE(read(R"({"store":true})")->warnings.at(0).find("\"store\""), std::string::npos);
  EXPECT_NE(read(R"({"chat_template_kwargs":{"nothing_reads_this":1}})")->warnings.at(0).find("chat_template_kwargs"),
            std::string::npos);
  EXPECT_TRUE(read(R"({"chat_template_kwargs":{"enable_thinking":false}})")->warnings.empty());
  EXPECT_NE(read(R"({"tools":[{"type":"function","function":{"name":"f","strict":true}}]})")
                ->warnings.at(0)
                .find("tools[0].function.strict"),
            std::string::npos);
}

TEST_F(ChatCompletions, WhatARequestAsksForReachesTheEngine) {
  const auto completion = read(R"({"n":3,"temperature":0.5,"top_p":0.9,"top_k":-1,"typical_p":0.8,"presence_penalty":1,
      "frequency_penalty":-1,"logit_bias":{"7":-100,"3":2.5},"min_tokens":2,"stop":"x","stop_token_ids":[65],"logprobs":true,
      "top_logprobs":4,"seed":-3,"priority":7,"cache_salt":"s","max_tokens":9,"include_stop_str_in_output":true,
      "dry_multiplier":0.8,"dry_base":2,"dry_allowed_length":3,"dry_penalty_last_n":64,"dry_sequence_breakers":["\n","x"]})");
  ASSERT_TRUE(completion) << completion.error().message;
  const EngineRequest& request = completion->request;
  EXPECT_EQ(request.choices, 3);
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_k, 0);
  EXPECT_EQ(request.sampling.typical_p, 0.8);
  EXPECT_EQ(request.sampling.presence_penalty, 1.0);
  EXPECT_EQ(request.sampling.frequency_penalty, -1.0);
  ASSERT_EQ(request.sampling.logit_bias.size(), 2U);
  EXPECT_EQ(request.sampling.logit_bias[0].id, 3);
  EXPECT_EQ(request.sampling.logit_bias[1].bias, -100.0F);
  EXPECT_EQ(request.sampling.seed, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(request.sampling.dry_multiplier, 0.8);
  EXPECT_EQ(request.sampling.dry_base, 2.0);
  EXPECT_EQ(request.sampling.dry_allowed_length, 3);
  EXPECT_EQ(request.sampling.dry_penalty_last_n, 64);
  EXPECT_EQ(request.sampling.dry_sequence_breakers, (std::vector<std::string>{"\n", "x"}));
  EXPECT_EQ(request.limits.min_tokens, 2);
  EXPECT_EQ(request.limits.max_tokens, 9);
  EXPECT_EQ(request.limits.stop_strings, std::vector<std::string>{"x"});
  EXPECT_EQ(request.limits.stop_ids, (std::vector<std::int32_t>{256, 65}));
  EXPECT_TRUE(request.limits.include_stop_string);
  EXPECT_EQ(request.logprobs, 4);
  EXPECT_EQ(request.priority, 7);
  EXPECT_EQ(request.prefix_salt, "s");
  EXPECT_EQ(request.constraint, nullptr);
  EXPECT_EQ(read(R"({"ignore_eos":true})")->request.limits.stop_ids, std::vector<std::int32_t>{});
  EXPECT_EQ(read("{}")->request.sampling.seed, 0U);
  EXPECT_EQ(read(R"({"temperature":1})")->request.sampling.seed, 5U);
}

TEST_F(ChatCompletions, AnAnswerGoesOnWithTheLastMessage) {
  const auto prompt = [&](const char* more) {
    const std::vector<std::int32_t> ids = read(more)->request.prompt;
    return std::string(ids.begin(), ids.end());
  };
  EXPECT_EQ(prompt(R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],
                       "continue_final_message":true})"),
            std::string("<user>a\0\n<assistant>b", 21));
}

TEST_F(ChatCompletions, StructuredOutputBeginsBehindThoughts) {
  constexpr std::string_view kSchema =
      R"({"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}}})";
  EXPECT_TRUE(takes(kSchema, R"({"a": 1})"));
  EXPECT_TRUE(takes(kSchema, "<think>\nwell {\n</think>\n\n{\"a\":1}"));
  // Free text could be a thought, too: it is one, and what was asked for comes behind it.
  for (const std::string_view free : {R"({"guided_regex":"(.|\\s)*"})", R"({"guided_choice":["<think>","<thing>"]})",
                                      R"({"grammar":"root ::= [^}]*"})"}) {
    EXPECT_TRUE(takes(free, "<thing>")) << free;
    EXPECT_TRUE(takes(free, "<think>x</think>\n\n<thing>")) << free;
    for (const char* thought : {"<think>", "<think>x", "\n <think>x", "<think>x</think>\n<think>"})
      EXPECT_FALSE(takes(free, thought)) << free << thought;
  }
  EXPECT_FALSE(takes(kSchema, "well"));
  EXPECT_FALSE(takes(kSchema, R"({"a": 1, "b": 2})"));  // not asked for
  EXPECT_TRUE(takes(R"({"guided_choice":["yes","no"],"chat_template_kwargs":{"enable_thinking":false}})", "no"));
  EXPECT_FALSE(
      takes(R"({"guided_choice":["yes","no"],"chat_template_kwargs":{"enable_thinking":false}})", "<think></think>no"));
  EXPECT_TRUE(takes(R"({"structured_outputs":{"regex":"[ab]+"}})", "abba"));
  EXPECT_TRUE(takes(R"({"response_format":{"type":"json_object"}})", R"({"x": [1, null]})"));
  EXPECT_FALSE(takes(R"({"response_format":{"type":"json_object"}})", "[]"));
}

TEST_F(ChatCompletions, CallsThatAreDemandedAreWrittenAsTheTemplateWritesThem) {
  const std::string required = cat("{", kTool, R"(,"tool_choice":"required"})");
  constexpr std::string_view kCallF = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";
  constexpr std::string_view kCallG = "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE(takes(required, kCallF));
  EXPECT_TRUE(takes(required, cat("<think>so</think>\n", kCallF, "\n", kCallG)));
  EXPECT_FALSE(takes(required, "I will not"));
  EXPECT_FALSE(takes(required, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"1\"}}\n</tool_call>"));
  const std::string one = cat("{", kTool, R"(,"tool_choice":"required","parallel_tool_calls":false})");
  EXPECT_TRUE(takes(one, kCallG));
  EXPECT_FALSE(takes(one, cat(kCallF, "\n", kCallG)));
  const std::string named = cat("{", kTool, R"(,"tool_choice":{"type":"function","function":{"name":"g"}}})");
  EXPECT_TRUE(takes(named, kCallG));
  EXPECT_FALSE(takes(named, kCallF));
  const std::string either = cat("{", kTool, R"(,"response_format":{"type":"json_object"}})");
  EXPECT_TRUE(takes(either, kCallF));
  EXPECT_TRUE(takes(either, "{}"));
  EXPECT_EQ(read(cat("{", kTool, "}"))->request.constraint, nullptr);
  EXPECT_FALSE(read(cat("{", kTool, R"(,"tool_choice":"none"})"))->reading.reads_calls);
}

std::string source_file(const std::string& path) {
  std::ifstream file(std::string(CORBEL_SOURCE_DIR) + path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(RequestFields, TheDocumentationIsTheTables) {
  EXPECT_EQ(source_file("/docs/api_fields.md"), request_fields_page())
      << "make it again: build/release/corbel_api_fields > docs/api_fields.md";
}

TEST(RequestFields, TheWordsForFuzzingAreTheTables) {
  const std::string words = request_fields_dictionary();
  EXPECT_EQ(source_file("/fuzz/chat_body.dict"), words)
      << "make it again: build/release/corbel_api_fields --dictionary > fuzz/chat_body.dict";
  for (const char* word : {R"("\"temperature\":2")", R"("\"temperature\":3")", R"("\"temperature\":-1")",
                           R"("\"logprobs\":true")", R"("\"stop\":[]")"})
    EXPECT_NE(words.find(cat(word, "\n")), std::string::npos) << word;
}

}  // namespace
}  // namespace corbel
