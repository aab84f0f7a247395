#include "corbel/chat/text_completion.h"

#include "corbel/chat/answer_receipt.h"
#include "corbel/chat/chat_completion_fixture.h"

namespace corbel {
namespace {

struct TextCompletions : ChatCompletions {
  static Json body(std::string_view more) {
    Json made = {{"prompt", "hi"}};
    made.update(Json::parse(more));
    return made;
  }
  Result<TextCompletion> read(std::string_view more) const { return read_text_completion(body(more), *model, 5); }
  std::string refusal(std::string_view more) const {
    const auto completion = read(more);
    return completion ? "" : completion.error().message;
  }
  /// An answer with a log-probability of -1/2 for each token, beside the token "?" with -1/4.
  static GenerateResult result_of(const std::string& text, std::uint32_t choice = 0, float logprob = -0.5F) {
    GenerateResult result;
    result.text = text;
    result.choice = choice;
    result.figures.prompt_tokens = 2;
    for (const char c : text) {
      const auto id = static_cast<std::int32_t>(static_cast<unsigned char>(c));
      result.ids.push_back(id);
      result.logprobs.push_back({{id, logprob}, 2, {{'?', -0.25F}, {id, logprob}}});
    }
    result.figures.generated_tokens = std::ssize(result.ids);
    return result;
  }
  Json told(const TextCompletion& completion, const std::vector<PromptResults>& results) const {
    return text_completion_json(completion, *model, results, {.id = "x"});
  }
};

TEST_F(TextCompletions, APromptIsATextTextsIdsOrListsOfIds) {
  const std::vector<std::pair<const char*, std::vector<std::vector<std::int32_t>>>> cases = {
      {R"({"prompt":"ab"})", {{97, 98}}},
      {R"({"prompt":["ab","c"]})", {{97, 98}, {99}}},
      {R"({"prompt":[97,98]})", {{97, 98}}},
      {R"({"prompt":[[97],[98,99]]})", {{97}, {98, 99}}},
      {R"({"prompt":["a",[98]]})", {{97}, {98}}}};
  for (const auto& [text, wanted] : cases) {
    const auto completion = read(text);
    ASSERT_TRUE(completion) << completion.error().message;
    ASSERT_EQ(completion->prompts.size(), wanted.size()) << text;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(completion->prompts[i].ids, wanted[i]) << text;
      EXPECT_EQ(completion->request_of(i).prompt, wanted[i]);
    }
  }
  EXPECT_EQ(read(R"({"prompt":[97,98]})")->prompts[0].text, "ab");
}

TEST_F(TextCompletions, RefusalsNameThePathOfTheField) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"prompt":null})", "prompt"},
      {R"({"prompt":7})", "prompt"},
      {R"({"prompt":[]})", "prompt"},
      {R"({"prompt":""})", "prompt"},
      {R"({"prompt":["a",""]})", "prompt[1]"},
      {R"({"prompt":["a",{}]})", "prompt[1]"},
      {R"({"prompt":[97,-1]})", "prompt[1]"},
      {R"({"prompt":[97,1.5]})", "prompt[1]"},
      {R"({"prompt":[[97],[9999]]})", "prompt[1][0]"},
      {R"({"messages":[]})", "messages"},
      {R"({"tools":[]})", "tools"},
      {R"({"suffix":"x"})", "suffix"},
      {R"({"max_tokens":0})", "max_tokens"},
      {R"({"max_tokens":-1})", "max_tokens"},
      {R"({"logprobs":true})", "logprobs"},
      {R"({"logprobs":21})", "logprobs"},
      {R"({"n":3,"best_of":2})", "best_of"},
      {R"({"best_of":2,"stream":true})", "best_of"},
      {R"({"echo":true,"logprobs":1,"stream":true})", "logprobs"},
      {R"({"prompt_logprobs":1,"stream":true})", "prompt_logprobs"},
      {R"({"stream_options":{"include_usage":true}})", "stream_options"},
      {R"({"min_tokens":17})", "min_tokens"},
      {R"({"grammar":"root ::= \"a\n"})", "grammar"},
      {R"({"guided_regex":"(?=a)b"})", "guided_regex"}};
  for (const auto& [text, field] : cases) EXPECT_EQ(refused_field(refusal(text)), field) << text;
  Json many = Json::array();
  for (int i = 0; i < 129; ++i) many.push_back("a");
  EXPECT_EQ(refused_field(refusal(cat(R"({"n":8,"prompt":)", many.dump(), "}"))), "n");
  for (int i = 0; i < 128; ++i) many.push_back("a");
  EXPECT_EQ(refused_field(refusal(cat(R"({"prompt":)", many.dump(), "}"))), "prompt");
}

TEST_F(TextCompletions, EveryNumberOutsideItsRangeIsRefusedByItsName) {
  int numbers = 0;
  for (const RequestField& field : request_fields(Api::completions)) {
    if (!field.is_ranged() || field.high > 1e18) continue;
    ++numbers;
    const double step = field.type == FieldType::integer ? 1.0 : 0.001;
    for (const double wrong : {field.low - step, field.high + step}) {
      const Json value = field.type == FieldType::integer ? Json(static_cast<std::int64_t>(wrong)) : Json(wrong);
      EXPECT_EQ(refused_field(refusal(cat("{\"", field.name, "\":", value.dump(), "}"))), field.name) << value;
    }
  }
  EXPECT_GT(numbers, 15);
}

TEST_F(TextCompletions, WhatIsAskedForReachesTheEngine) {
  const auto completion = read(
      R"({"max_tokens":7,"n":2,"best_of":3,"seed":9,"temperature":0.5,"stop":["x"],"logit_bias":{"97":-100},"echo":true,)"
      R"("logprobs":2,"prompt_logprobs":4,"priority":3,"cache_salt":"s","presence_penalty":1,"return_receipt":true})");
  ASSERT_TRUE(completion) << completion.error().message;
  const EngineRequest request = completion->request_of(0);
  EXPECT_EQ(request.limits.max_tokens, 7);
  EXPECT_EQ(request.choices, 3);
  EXPECT_EQ(completion->told_choices, 2);
  EXPECT_EQ(request.sampling.seed, 9U);
  EXPECT_EQ(request.limits.stop_strings, std::vector<std::string>{"x"});
  EXPECT_EQ(request.sampling.logit_bias.size(), 1U);
  EXPECT_EQ(request.logprobs, 2);
  EXPECT_EQ(request.prompt_logprobs, 4);
  EXPECT_EQ(request.priority, 3);
  EXPECT_EQ(request.prefix_salt, "s");
  EXPECT_TRUE(completion->wants_receipt);
  EXPECT_EQ(read("{}")->request.limits.max_tokens, 16) << "OpenAI's default";
}

TEST_F(TextCompletions, ChoicesAreNumberedPromptByPrompt) {
  const auto completion = read(R"({"prompt":["a","b"],"n":2})");
  const Json json = told(*completion, {{result_of("1"), result_of("2", 1)}, {result_of("33"), result_of("4", 1)}});
  std::string texts;
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(json["choices"][i]["index"], i);
    texts += json["choices"][i]["text"].get<std::string>();
    EXPECT_TRUE(json["choices"][i]["logprobs"].is_null());
  }
  EXPECT_EQ(texts, "12334");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(json["usage"]["completion_tokens"], 5);
}

TEST_F(TextCompletions, LogprobsStandInColumnsWithTheOffsetsOfTheirTokens) {
  const auto completion = read(R"({"prompt":"h\u00e9","echo":true,"logprobs":1})");
  GenerateResult result = result_of("!\xC3\xA9");  // its two bytes are tokens of their own here
  for (const std::int32_t id : {0xC3, 0xA9}) result.prompt_logprobs.push_back({{id, -1.5F}, 2, {{'?', -0.25F}}});
  const Json choice = told(*completion, {{result}})["choices"][0];
  EXPECT_EQ(choice["text"], "h\u00e9!\u00e9");
  const Json& columns = choice["logprobs"];
  EXPECT_EQ(columns["tokens"], Json::parse(R"(["h","bytes:\\xc3","bytes:\\xa9","!","bytes:\\xc3","bytes:\\xa9"])"));
  EXPECT_EQ(columns["token_logprobs"], Json::parse("[null,-1.5,-1.5,-0.5,-0.5,-0.5]"));
  EXPECT_EQ(columns["text_offset"], Json::parse("[0,1,2,2,3,4]"));
  EXPECT_TRUE(columns["top_logprobs"][0].is_null());
  EXPECT_EQ(columns["top_logprobs"][3], Json::parse(R"({"?":-0.25,"!":-0.5})")) << "the chosen one is always there";
}

TEST_F(TextCompletions, MaxTokensZeroTellsThePromptAlone) {
  const auto completion = read(R"({"echo":true,"max_tokens":0,"logprobs":0})");
  ASSERT_TRUE(completion) << completion.error().message;
  EXPECT_EQ(completion->request.limits.max_tokens, 1);
  GenerateResult result = result_of("!");
  result.prompt_logprobs.push_back({{'i', -1.5F}, 1, {}});
  const Json json = told(*completion, {{result}});
  EXPECT_EQ(json["choices"][0]["text"], "hi");
  EXPECT_EQ(json["choices"][0]["logprobs"]["tokens"], Json::parse(R"(["h","i"])"));
  EXPECT_EQ(json["usage"]["completion_tokens"], 0);
}

TEST_F(TextCompletions, TheBestOfAreThoseWhoseTokensAreLikeliestOnAverage) {
  const auto completion = read(R"({"n":2,"best_of":3})");
  const Json json =
      told(*completion, {{result_of("worst", 0, -3.0F), result_of("b", 1, -2.0F), result_of("best of all", 2, -1.0F)}});
  ASSERT_EQ(json["choices"].size(), 2U);
  EXPECT_EQ(json["choices"][0]["text"], "best of all");
  EXPECT_EQ(json["choices"][1]["text"], "b");
  EXPECT_EQ(json["usage"]["completion_tokens"], 17) << "what was made is counted, told or not";
}

TEST_F(TextCompletions, AStreamSaysWhatTheWholeAnswerSays) {
  const auto completion =
      read(R"({"prompt":["ab","c"],"n":2,"logprobs":1,"stream":true,"stream_options":{"include_usage":true}})");
  const std::vector<PromptResults> results = {{result_of("one"), result_of("tw\xC3\xA9", 1)},
                                              {result_of(""), result_of("four", 1)}};
  const Json whole = told(*completion, results);
  TextCompletionStream stream(*completion, *model, {.id = "x"});
  std::vector<Json> chunks;
  const auto take = [&](std::vector<Json> more) { chunks.insert(chunks.end(), more.begin(), more.end()); };
  for (std::size_t prompt = 0; prompt < 2; ++prompt) {
    for (const GenerateResult& result : results[prompt]) {
      // The text of every other token is held back until the next one.
      std::string held;
      for (std::size_t i = 0; i < result.ids.size(); ++i) {
        held += static_cast<char>(result.ids[i]);
        const bool shown = i % 2 == 1;
        take(stream.push(prompt,
                         {result.choice, shown ? std::string_view(held) : "", result.ids[i], &result.logprobs[i]}));
        if (shown) held.clear();
      }
      take(stream.push(prompt, {result.choice, held, -1, nullptr}));
      take(stream.end(prompt, result));
    }
  }
  take(stream.finish());
  for (std::size_t index = 0; index < 4; ++index) {
    std::string text;
    Json columns = {{"tokens", Json::array()},
                    {"token_logprobs", Json::array()},
                    {"top_logprobs", Json::array()},
                    {"text_offset", Json::array()}};
    Json finish;
    for (const Json& chunk : chunks) {
      for (const Json& choice : chunk["choices"]) {
        if (choice["index"] != index) continue;
        text += choice["text"].get<std::string>();
        if (!choice["finish_reason"].is_null()) finish = choice["finish_reason"];
        if (choice["logprobs"].is_null()) continue;
        for (auto& [key, list] : columns.items())
          for (const Json& one : choice["logprobs"][key]) list.push_back(one);
      }
    }
    EXPECT_EQ(text, whole["choices"][index]["text"]);
    EXPECT_EQ(columns, whole["choices"][index]["logprobs"]);
    EXPECT_EQ(finish, whole["choices"][index]["finish_reason"]);
  }
  EXPECT_EQ(chunks.back()["usage"], whole["usage"]);
}

TEST_F(TextCompletions, AReceiptSaysOfEachChoiceWhatItCameFrom) {
  const auto completion = read(R"({"prompt":["ab","c"],"n":2,"seed":3,"guided_regex":"a+","return_receipt":true})");
  const ReceiptIssuer issuer{.corbel = "1", .model = "m", .run = {.model_hash = "h"}, .context_tokens = 64};
  const std::vector<PromptResults> results = {{result_of("a"), result_of("aa", 1)},
                                              {result_of("a"), result_of("a", 1)}};
  const Json json = text_completion_json(*completion, *model, results, {.id = "x", .receipts = &issuer});
  for (std::size_t i = 0; i < 4; ++i) {
    const auto receipt = read_receipt(json["choices"][i]["receipt"], "test");
    ASSERT_TRUE(receipt) << receipt.error().message;
    EXPECT_EQ(receipt->request.prompt, completion->prompts[i / 2].ids);
    EXPECT_EQ(receipt->request.sampling.choice, i % 2);
    EXPECT_EQ(receipt->text, results[i / 2][i % 2].text);
    ASSERT_TRUE(receipt->request.constraint);
    EXPECT_TRUE(replay_request(*receipt, tokenizer));
  }
}

}  // namespace
}  // namespace corbel
