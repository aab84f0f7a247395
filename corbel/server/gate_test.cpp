#include "corbel/server/gate.h"

#include <gtest/gtest.h>

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
  for (const char* key : {"one", "two", "three"}) {
    ASSERT_NE(keys.find(key), nullptr) << key;
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
