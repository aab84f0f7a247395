#include <cmath>
#include <regex>

#include "corbel/engine/receipt.h"
#include "tests/server/endpoint_fixture.h"

namespace corbel {
namespace {

constexpr std::string_view kPath = "/v1/completions";

/// What EchoModel says behind a text, likeliest tokens first to last.
std::string echo_of(const std::string& prompt, int tokens) {
  std::vector<std::int32_t> all(prompt.begin(), prompt.end());
  std::string text;
  std::vector<float> logits(EchoModel::kVocab);
  for (int i = 0; i < tokens; ++i) {
    EchoModel::logits_behind(all, logits);
    const auto id = static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
    if (id == kEndId) break;
    all.push_back(id);
    text += static_cast<char>(id);
  }
  return text;
}

struct Completions : Endpoints {
  Answered complete(const Json& body) { return post(std::string(kPath), body); }
};

TEST_F(Completions, ATextGoesOnAsTheModelSays) {
  const Answered answered = complete({{"prompt", "abc"}, {"max_tokens", 9}});
  ASSERT_EQ(answered.status, 200) << answered.text;
  const Json json = answered.json();
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(json["choices"][0]["text"], echo_of("abc", 9));
  EXPECT_EQ(json["usage"]["prompt_tokens"], 3);
}

TEST_F(Completions, SeveralPromptsAreAnsweredAsEachIsAlone) {
  const Json prompts = {"abc", "x", "abcd", "yy", "abc"};
  const Json told =
      complete({{"prompt", prompts}, {"max_tokens", 7}, {"n", 2}, {"seed", 4}, {"temperature", 0}}).json();
  ASSERT_EQ(told["choices"].size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(told["choices"][i]["index"], i);
    EXPECT_EQ(told["choices"][i]["text"], echo_of(prompts[i / 2], 7));
  }
  EXPECT_EQ(told["usage"]["prompt_tokens"], 13);
}

TEST_F(Completions, EchoWithLogprobsTellsThePromptsAsTheModelHasThem) {
  const Json choice =
      complete({{"prompt", "abca"}, {"max_tokens", 2}, {"echo", true}, {"logprobs", 2}}).json()["choices"][0];
  EXPECT_EQ(choice["text"], "abca" + echo_of("abca", 2));
  const Json& columns = choice["logprobs"];
  ASSERT_EQ(columns["tokens"].size(), 6U);
  EXPECT_TRUE(columns["token_logprobs"][0].is_null());
  const std::string all = choice["text"];
  std::vector<std::int32_t> ids(all.begin(), all.end());
  std::vector<float> logits(EchoModel::kVocab);
  for (std::size_t i = 1; i < 6; ++i) {
    EchoModel::logits_behind(std::span(ids).first(i), logits);
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    const double expected = static_cast<double>(logits[static_cast<std::size_t>(ids[i])]) - std::log(sum);
    EXPECT_NEAR(columns["token_logprobs"][i].get<double>(), expected, 1e-5) << i;
    const double best = *std::ranges::max_element(logits) - std::log(sum);
    double most = -100.0;
    for (const auto& [token, logprob] : columns["top_logprobs"][i].items())
      most = std::max(most, logprob.get<double>());
    EXPECT_NEAR(most, best, 1e-5);
    EXPECT_EQ(columns["text_offset"][i], i);
  }
}

TEST_F(Completions, ThePromptAloneIsScoredWithMaxTokensZero) {
  const Json json =
      complete({{"prompt", {97, 98, 99}}, {"max_tokens", 0}, {"echo", true}, {"logprobs", 0}, {"n", 1}}).json();
  EXPECT_EQ(json["choices"][0]["text"], "abc");
  EXPECT_EQ(json["choices"][0]["logprobs"]["tokens"].size(), 3U);
  EXPECT_EQ(json["usage"]["completion_tokens"], 0);
  const std::string full(kTestContext, 'a');
  EXPECT_EQ(complete({{"prompt", full}, {"max_tokens", 0}, {"echo", true}}).status, 200) << "all of the context";
  const Answered over = complete({{"prompt", full + "a"}, {"max_tokens", 0}, {"echo", true}});
  EXPECT_EQ(over.status, 400);
  EXPECT_EQ(over.error()["code"], "context_length_exceeded");
}

TEST_F(Completions, AStreamJoinsToTheWhole) {
  const Json body = {{"prompt", {"abc", "q"}}, {"max_tokens", 12}, {"n", 2}, {"temperature", 1}, {"seed", 8}};
  const Json whole = complete(body).json();
  Json streamed = body;
  streamed.update(Json{{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  bool done = false;
  std::map<std::size_t, std::string> texts;
  Json usage;
  for (const Json& event : complete(streamed).events(done)) {
    for (const Json& choice : event["choices"]) texts[choice["index"]] += choice["text"].get<std::string>();
    usage = event["usage"];
  }
  EXPECT_TRUE(done);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(texts[i], whole["choices"][i]["text"]);
  EXPECT_EQ(usage["completion_tokens"], whole["usage"]["completion_tokens"]);
}

TEST_F(Completions, StopsConstraintsAndBiasHold) {
  const std::string said = echo_of("abc", 12);
  const std::string stop = said.substr(5, 1);
  EXPECT_EQ(complete({{"prompt", "abc"}, {"max_tokens", 12}, {"stop", stop}}).json()["choices"][0]["text"],
            said.substr(0, said.find(stop)));
  const Json shaped =
      complete({{"prompt", "abc"}, {"max_tokens", 50}, {"structured_outputs", {{"regex", "[xy]{3}!"}}}}).json();
  EXPECT_TRUE(std::regex_match(shaped["choices"][0]["text"].get<std::string>(), std::regex("[xy]{3}!")));
  EXPECT_EQ(
      complete({{"prompt", "abc"}, {"max_tokens", 3}, {"logit_bias", {{"90", 100}}}}).json()["choices"][0]["text"],
      "ZZZ");
}

TEST_F(Completions, OnePromptThatFailsIsTheFailureOfAll) {
  std::atomic<int> steps = 0;
  parrot->device.set_on_finish([&steps]() -> Result<void> {
    if (++steps < 3) return {};
    return fail(Code::device_failed, "the device is on fire");
  });
  const Answered answered = complete({{"prompt", {"abc", "x"}}, {"max_tokens", 50}, {"ignore_eos", true}});
  EXPECT_EQ(answered.status, 500);
  while (!is_idle()) continue;
}

struct Receipts : Completions {
  Json receipt_of(const Json& more) {
    Json body = {{"prompt", "abc"}, {"max_tokens", 20}, {"temperature", 1}, {"seed", 3}, {"return_receipt", true}};
    body.update(more);
    const Answered answered = complete(body);
    EXPECT_EQ(answered.status, 200) << answered.text;
    return answered.json()["choices"].back()["receipt"];
  }
};

TEST_F(Receipts, AnAnswerIsMadeAgainFromItsReceipt) {
  for (const Json& more : {Json::object(), Json{{"n", 3}}, Json{{"guided_regex", "[a-f]{5,9}"}}, Json{{"stop", "c"}},
                           Json{{"presence_penalty", 1.5}, {"logit_bias", {{"97", 3}}}}}) {
    const Json receipt = receipt_of(more);
    const Answered again = post("/replay", {{"receipt", receipt}});
    ASSERT_EQ(again.status, 200) << again.text;
    const Json json = again.json();
    EXPECT_EQ(json["same"], true) << again.text;
    EXPECT_TRUE(json["difference"].is_null());
    EXPECT_EQ(json["text"], receipt["answer"]["text"]);
    EXPECT_EQ(json["model"], "parrot");
    EXPECT_EQ(json["run"]["model_hash"], "hash of parrot");
  }
}

TEST_F(Receipts, AChatsStreamHasItsReceiptAtTheEnd) {
  bool done = false;
  const std::vector<Json> events = chat("~hello~", {{"stream", true}, {"return_receipt", true}}).events(done);
  const Json receipt = events.back()["choices"][0]["receipt"];
  EXPECT_EQ(receipt["answer"]["text"], "hello");
  EXPECT_EQ(post("/replay", {{"receipt", receipt}}).json()["same"], true);
}

TEST_F(Receipts, WhatDiffersIsNamedByItsFirstToken) {
  Json receipt = receipt_of({{"max_tokens", 8}});
  receipt["sampling"]["seed"] = 4;
  const Json json = post("/replay", {{"receipt", receipt}}).json();
  EXPECT_EQ(json["same"], false);
  EXPECT_NE(json["difference"].get<std::string>().find("the receipt"), std::string::npos) << json;
}

TEST_F(Receipts, AnotherRunIs409AndAnAlteredReceipt400) {
  Json receipt = receipt_of(Json::object());
  receipt["run"]["profile"] = "cpu/amx";
  Answered answered = post("/replay", {{"receipt", receipt}});
  EXPECT_EQ(answered.status, 409);
  EXPECT_EQ(answered.error()["code"], "other_run");
  receipt = receipt_of(Json::object());
  receipt["answer"]["ids"][0] = 5;
  answered = post("/replay", {{"receipt", receipt}});
  EXPECT_EQ(answered.status, 400);
  EXPECT_EQ(answered.error()["param"], "receipt");
  EXPECT_EQ(post("/replay", {{"receipt", 7}}).error()["param"], "receipt");
  EXPECT_EQ(post("/replay", Json::object()).error()["param"], "receipt");
  receipt = receipt_of(Json::object());
  answered = post("/replay", {{"receipt", receipt}, {"model", "nobody"}});
  EXPECT_EQ(answered.status, 404);
  EXPECT_EQ(answered.error()["code"], "model_not_found");
}

}  // namespace
}  // namespace corbel
