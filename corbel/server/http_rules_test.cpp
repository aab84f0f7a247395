#include "corbel/server/http_rules.h"

#include <gtest/gtest.h>

namespace corbel {
namespace {

HttpRequest with(std::vector<std::pair<std::string, std::string>> headers) { return {.headers = std::move(headers)}; }

TEST(PathOfTarget, LeavesOutTheQueryAndTheHost) {
  EXPECT_EQ(path_of_target("/v1/models?after=x"), "/v1/models");
  EXPECT_EQ(path_of_target("http://somewhere:80/v1/models?x=/y"), "/v1/models");
  EXPECT_EQ(path_of_target("HTTPS://somewhere"), "/");
  EXPECT_EQ(path_of_target("http://somewhere?x"), "/");
  EXPECT_EQ(path_of_target("*"), "*");
  EXPECT_EQ(path_of_target(""), "");
}

TEST(PathOfTarget, DecodesWhatNeedsNoPercentSignAndNothingElse) {
  EXPECT_EQ(path_of_target("/v1/model%73/%7e%2D"), "/v1/models/~-");
  EXPECT_EQ(path_of_target("/a%2Fb%00%zz%4"), "/a%2Fb%00%zz%4");
}

TEST(RefusedHead, WantsOneHostOfHttp11) {
  EXPECT_EQ(refused_head(with({{"host", "x"}}), 11), 0);
  EXPECT_EQ(refused_head(with({}), 11), 400);
  EXPECT_EQ(refused_head(with({}), 10), 0);
  EXPECT_EQ(refused_head(with({{"host", "x"}, {"host", "y"}}), 10), 400);
}

TEST(RefusedHead, KnowsNoTransferCodingButChunked) {
  EXPECT_EQ(refused_head(with({{"host", "x"}, {"transfer-encoding", "Chunked"}}), 11), 0);
  EXPECT_EQ(refused_head(with({{"host", "x"}, {"transfer-encoding", "gzip, chunked"}}), 11), 501);
}

TEST(ExpectsContinue, InAnyCaseButNotOfHttp10) {
  EXPECT_TRUE(expects_continue(with({{"expect", "100-Continue"}}), 11));
  EXPECT_FALSE(expects_continue(with({{"expect", "100-continue"}}), 10));
  EXPECT_FALSE(expects_continue(with({{"expect", "200-ok"}}), 11));
  EXPECT_FALSE(expects_continue(with({}), 11));
}

TEST(HttpDate, IsTheExampleOfItsSpecification) {
  EXPECT_EQ(http_date(std::chrono::system_clock::from_time_t(784111777)), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(http_date(std::chrono::system_clock::from_time_t(951782400)), "Tue, 29 Feb 2000 00:00:00 GMT");
}

}  // namespace
}  // namespace corbel
