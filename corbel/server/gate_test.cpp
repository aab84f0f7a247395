#include "corbel/server/gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"
#include "corbel/server/access_log.h"
#include "corbel/server/metrics.h"

namespace corbel {
namespace {

using std::chrono::seconds;

TEST(ApiKeys, KeepTheSha256OfAKeyAndFindNoOther) {
  ApiKeys keys;
  keys.add("abc");
  keys.add("abc");
  EXPECT_EQ(keys.size(), 1U);
  ASSERT_NE(keys.find("abc"), nullptr);
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(keys.find("abc")->salt, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(keys.find("abc")->name, "ba7816bf");
  for (const char* other : {"", "ab", "abcd", "abd", "ABC"}) EXPECT_EQ(keys.find(other), nullptr) << other;
}

TEST(ApiKeys, AreComparedWhole) {
  ApiKeys keys;
  keys.add("abc");
  // Of so many hashes some begin as this one's first two bytes, and some have its last byte.
  for (int i = 0; i < 300'000; ++i) ASSERT_EQ(keys.find(std::to_string(i)), nullptr) << i;
}

TEST(ApiKeys, FindEachOfSeveral) {
  ApiKeys keys;
  for (const char* key : {"one", "two", "three"}) keys.add(key);
  for (const char* key : {"one", "two", "three"}) ASSERT_NE(keys.find(key), nullptr) << key;
  for (const char* key : {"one", "two", "three"}) {
    for (const char* other : {"one", "two", "three"})
      EXPECT_EQ(keys.find(key)->salt == keys.find(other)->salt, std::string(key) == other) << key << " " << other;
  }
}

TEST(RateLimit, LetsAMinutesWorthThroughThenOneAtATime) {
  RateLimit rate;
  rate.limit_to(6);
  const RateLimit::Clock::time_point begin{};
  for (int i = 0; i < 6; ++i) EXPECT_FALSE(rate.take("a", begin));
  EXPECT_EQ(rate.take("a", begin), seconds(10));
  EXPECT_FALSE(rate.take("b", begin));
  EXPECT_EQ(rate.take("a", begin + seconds(4)), seconds(6));
  EXPECT_FALSE(rate.take("a", begin + seconds(10)));
  EXPECT_EQ(rate.take("a", begin + seconds(10)), seconds(10));
}

TEST(RateLimit, RemembersABoundedNumberOfCallers) {
  RateLimit rate;
  rate.limit_to(1);
  const RateLimit::Clock::time_point begin{};
  for (int i = 0; i < 20'000; ++i) rate.take(cat(i), begin);
  EXPECT_LE(rate.callers(), 10'000U);
  EXPECT_FALSE(rate.take("late", begin + seconds(61)));  // the others are forgotten: their buckets are full again
  EXPECT_EQ(rate.callers(), 1U);
}

TEST(Gate, SeesHowDeepJsonIsNestedAndNoBracketsInTexts) {
  EXPECT_FALSE(is_nested_deeper("[[1], {\"a\": [2]}]", 3));
  EXPECT_TRUE(is_nested_deeper("[[1], {\"a\": [2]}]", 2));
  EXPECT_FALSE(is_nested_deeper(R"(["[[[[", "\"[[[", "\\", {"{{{": 1}])", 2));
  EXPECT_TRUE(is_nested_deeper(std::string(10'000, '['), 64));
  EXPECT_FALSE(is_nested_deeper("\"\\", 1));
  EXPECT_FALSE(is_nested_deeper("]]]][", 1));
}

/// A gate with one key, "sesame", and an answer of 200 for whatever comes through.
struct KeyedGate : testing::Test {
  KeyedGate() {
    ApiKeys keys;
    keys.add("sesame");
    gate.set_keys(std::move(keys));
  }
  using Headers = std::vector<std::pair<std::string, std::string>>;
  class Kept final : public Responder {
   public:
    void respond(HttpResponse response) override { answer = std::move(response); }
    void begin(HttpResponse) override {}
    void write(std::string) override {}
    void end() override {}
    void on_gone(std::function<void()> gone) override { leave = std::move(gone); }
    HttpResponse answer{.status = 0};
    std::function<void()> leave;
  };
  HttpResponse send(const std::string& method, const std::string& path, Headers headers) {
    auto kept = std::make_shared<Kept>();
    gate.pass({.method = method, .path = path, .headers = std::move(headers)}, kept,
              [](const HttpRequest&, const std::shared_ptr<RequestRecord>&, const std::shared_ptr<Responder>& back) {
                back->respond({});
              });
    return kept->answer;
  }
  int status(const std::string& method, const std::string& path, Headers headers) {
    return send(method, path, std::move(headers)).status;
  }
  static std::vector<std::string> challenges(const HttpResponse& response) {
    std::vector<std::string> texts;
    for (const auto& [name, value] : response.headers) {
      if (name == "www-authenticate") texts.push_back(value);
    }
    return texts;
  }
  Gate gate;
};

// Base64 by Python's base64 module.
constexpr const char* kBasic = "Basic YW55Ym9keTpzZXNhbWU=";  // anybody:sesame

TEST_F(KeyedGate, EveryPathButHealthNeedsAKey) {
  for (const char* path : {"/", "/page/main.js", "/page/", "/health/", "/health/generate", "/metrics", "/openapi.json",
                           "/version", "/v1/models", "/nowhere", "", "//health"})
    EXPECT_EQ(status("GET", path, {}), 401) << path;
  EXPECT_EQ(status("POST", "/v1/messages", {}), 401);
  EXPECT_EQ(status("GET", "/health", {}), 200);
}

TEST_F(KeyedGate, AKeyComesAsABearerAsAHeaderOrAsThePasswordOfHttpsBasicScheme) {
  const Headers good[] = {{{"authorization", "Bearer sesame"}},
                          {{"authorization", "bEARER sesame"}},
                          {{"x-api-key", "sesame"}},
                          {{"api-key", "sesame"}},
                          {{"authorization", kBasic}},
                          {{"authorization", "basic OnNlc2FtZQ=="}}};  // ":sesame"
  for (const Headers& headers : good) EXPECT_EQ(status("GET", "/", headers), 200) << headers[0].second;
  // sesame:, anybody:sesam, anybody:sesame:, sesame, anybody:sesame cut short, no base64, nothing
  for (const char* basic : {"c2VzYW1lOg==", "YW55Ym9keTpzZXNhbQ==", "YW55Ym9keTpzZXNhbWU6", "c2VzYW1l",
                            "YW55Ym9keTpzZXNhbWU", "\xff\xff\xff\xff", ""})
    EXPECT_EQ(status("GET", "/", {{"authorization", cat("Basic ", basic)}}), 401) << basic;
  EXPECT_EQ(status("GET", "/", {{"authorization", cat("Basic ", std::string(10'000, 'A'))}}), 401);
  EXPECT_EQ(status("GET", "/", {{"authorization", "Bearer"}}), 401);
}

TEST_F(KeyedGate, OnlyABrowserThatOpensAPageIsAskedToAskItsUser) {
  EXPECT_EQ(challenges(send("GET", "/v1/models", {{"accept", "*/*"}})), std::vector<std::string>{"Bearer"});
  EXPECT_EQ(challenges(send("GET", "/v1/status", {{"sec-fetch-mode", "cors"}})), std::vector<std::string>{"Bearer"});
  const std::vector<std::string> both{"Bearer", R"(Basic realm="corbel", charset="UTF-8")"};
  EXPECT_EQ(challenges(send("GET", "/", {{"accept", "text/html,application/xhtml+xml"}})), both);
  EXPECT_EQ(challenges(send("GET", "/", {{"sec-fetch-mode", "navigate"}})), both);
}

// What an endpoint does when a client leaves concerns a model that may be closed when the answer has ended.
TEST_F(KeyedGate, ADepartureIsToldWhileAnAnswerIsUnderWayAndNotAfterIt) {
  for (const bool answered : {false, true}) {
    for (const bool streamed : {false, true}) {
      int told = 0;
      const auto held = std::make_shared<int>(0);
      auto kept = std::make_shared<Kept>();
      gate.pass({.method = "GET", .path = "/health"}, kept,
                [&](const HttpRequest&, const std::shared_ptr<RequestRecord>&, const std::shared_ptr<Responder>& back) {
                  back->on_gone([&told, held] { ++told; });
                  if (streamed) back->begin({});
                  if (answered) streamed ? back->end() : back->respond({});
                });
      EXPECT_EQ(held.use_count(), answered ? 1 : 2) << streamed;
      kept->leave();
      EXPECT_EQ(told, answered ? 0 : 1) << streamed;
    }
  }
}

// The browser adds such a key to whatever is sent to the server, also where another origin's page has it sent.
TEST_F(KeyedGate, AKeyThatABrowserAddsByItselfServesNoPageOfAnotherOrigin) {
  const auto post = [&](const char* key, Headers headers) {
    headers.emplace_back("authorization", key);
    headers.emplace_back("host", "corbel.example:8000");
    return status("POST", "/v1/chat/completions", std::move(headers));
  };
  EXPECT_EQ(post(kBasic, {{"sec-fetch-site", "same-origin"}, {"origin", "https://in.front.of.a.proxy"}}), 200);
  EXPECT_EQ(post(kBasic, {{"sec-fetch-site", "none"}}), 200);
  EXPECT_EQ(post(kBasic, {}), 200) << "no browser";
  EXPECT_EQ(post(kBasic, {{"origin", "http://corbel.example:8000"}}), 200) << "a browser that does not trust http";
  // Another port of the same machine is "same-site", and not the same origin.
  for (const char* site : {"cross-site", "same-site"}) EXPECT_EQ(post(kBasic, {{"sec-fetch-site", site}}), 403) << site;
  for (const char* origin : {"http://evil.example", "http://corbel.example:8001", "http://corbel.example", "null"})
    EXPECT_EQ(post(kBasic, {{"origin", origin}}), 403) << origin;
  EXPECT_EQ(post("Bearer sesame", {{"origin", "http://evil.example"}}), 200) << "no browser sends this unasked";
  EXPECT_EQ(post("Bearer sesame", {{"sec-fetch-site", "cross-site"}}), 403);
}

TEST_F(KeyedGate, AnyOriginMeansAnyWithAKeyOfItsOwn) {
  const Headers other = {{"sec-fetch-site", "cross-site"}, {"origin", "https://evil.example"}};
  const auto post = [&](const char* key) {
    Headers headers = other;
    headers.emplace_back("authorization", key);
    return status("POST", "/v1/chat/completions", std::move(headers));
  };
  gate.set({.cors_origins = {"*"}});
  EXPECT_EQ(post(kBasic), 403);
  EXPECT_EQ(post("Bearer sesame"), 200);
  gate.set({.cors_origins = {"https://evil.example"}});
  EXPECT_EQ(post(kBasic), 200) << "named";
}

// It is no request yet, so it goes through no pass(): what came in of its head says whose client it is.
TEST_F(KeyedGate, WhatNeverBecameARequestIsRefusedInTheShapeOfItsPath) {
  std::vector<RequestSummary> logged;
  gate.set(
      {.cors_origins = {"https://page.example"}, .log = [&](const RequestSummary& one) { logged.push_back(one); }});
  const auto refuse = [&](const char* path, int status) {
    return gate.refuse(
        {.method = "POST", .path = path, .headers = {{"x-request-id", "mine"}, {"origin", "https://page.example"}}},
        status, "too much");
  };
  // Anthropic's API, "Errors": the shape, and these names of types.
  for (const auto& [status, type] : {std::pair(400, "invalid_request_error"), std::pair(408, "invalid_request_error"),
                                     std::pair(413, "request_too_large"), std::pair(503, "overloaded_error")}) {
    const HttpResponse response = refuse("/v1/messages", status);
    const Json body = Json::parse(response.body);
    EXPECT_EQ(body["type"], "error");
    EXPECT_EQ(body["error"]["type"], type);
    EXPECT_EQ(body["error"]["message"], "too much");
    EXPECT_EQ(body["request_id"], "mine");
    for (const char* name : {"x-request-id", "request-id"})
      EXPECT_NE(std::ranges::find(response.headers, std::pair<std::string, std::string>(name, "mine")),
                response.headers.end());
  }
  for (const char* path : {"/v1/responses", "/v1/chat/completions", ""}) {
    const Json body = Json::parse(refuse(path, 413).body);
    EXPECT_EQ(body.size(), 1U) << body;
    EXPECT_EQ(body["error"]["type"], "invalid_request_error");
  }
  const HttpResponse seen = refuse("/v1/responses", 413);
  EXPECT_NE(std::ranges::find(seen.headers, std::pair<std::string, std::string>("access-control-allow-origin",
                                                                                "https://page.example")),
            seen.headers.end())
      << "a browser shows its page no answer without it";
  ASSERT_EQ(logged.size(), 8U);
  EXPECT_EQ(logged[0].path, "/v1/messages");
  EXPECT_EQ(logged[0].method, "POST");
}

TEST(Histogram, CountsAValueInTheFirstBucketWhoseBoundIsNotBelowIt) {
  Histogram histogram({1.0, 2.0});
  for (const double value : {0.5, 1.0, 1.5, 2.0, 2.5}) histogram.add(value);
  EXPECT_EQ(std::vector<std::uint64_t>(histogram.counts().begin(), histogram.counts().end()),
            (std::vector<std::uint64_t>{2, 2, 1}));
  EXPECT_EQ(histogram.sum(), 7.5);
}

TEST(ServerMetrics, EscapeAModelsNameAndKeepEachFamilyTogether) {
  ServerMetrics metrics;
  metrics.note_response(200);
  const EngineSample samples[] = {{"a\"b\\c\n", {}, 100}, {"plain", {}, 100}};
  const std::string page = metrics.page(samples);
  EXPECT_NE(page.find(R"(model_name="a\"b\\c\n")"), std::string::npos);
  EXPECT_NE(page.find("corbel:http_responses_total{code=\"200\"} 1.0\n"), std::string::npos);
  const std::size_t type = page.find("# TYPE vllm:num_requests_running ");
  EXPECT_EQ(page.find("# TYPE vllm:num_requests_running ", type + 1), std::string::npos);
}

TEST(AccessLog, IsOneLineOfJsonWhateverAClientSends) {
  RequestSummary summary{.ms = 1.26, .id = "x", .method = "G\nET", .path = "/\"\xff", .finish = "stop", .status = 200};
  const std::string line = access_log_line(summary);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto json = parse_json(line, "line");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ((*json)["time"], "1970-01-01T00:00:00.000Z");
  EXPECT_EQ((*json)["ms"], 1.3);
  EXPECT_FALSE(json->contains("key"));
}

}  // namespace
}  // namespace corbel
