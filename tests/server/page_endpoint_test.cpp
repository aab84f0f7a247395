#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "corbel/server/page_files.h"
#include "tests/server/endpoint_fixture.h"

namespace corbel {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string header(const Answered& answered, std::string_view name) {
  for (const auto& [key, value] : answered.headers)
    if (key == name) return value;
  return {};
}

/// Every "page/NAME" or "./NAME" that a file names.
std::set<std::string> named_files(std::string_view text) {
  static const std::regex name_pattern(R"re(["'](?:page|\.)/([\w.]+)["'])re");
  const std::string copy(text);
  std::set<std::string> names;
  for (auto at = std::sregex_iterator(copy.begin(), copy.end(), name_pattern); at != std::sregex_iterator(); ++at)
    names.insert((*at)[1]);
  return names;
}

TEST_F(Endpoints, ThePageIsThereBeforeTheModelForWhoHasAKey) {
  state.ready = false;
  const Answered page = get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.text, HasSubstr("<title>Corbel</title>"));
  EXPECT_EQ(get("/page/main.js").status, 200);
  for (const char* path : {"/page/", "/page/nothing.js", "/page/../endpoints.h", "/page/%2e%2e/x"})
    EXPECT_EQ(get(path).status, 404) << path;
  ApiKeys keys;
  keys.add("secret");
  state.gate.set_keys(std::move(keys));
  for (const char* path : {"/", "/page/main.js", "/v1/status", "/pages"}) EXPECT_EQ(get(path).status, 401) << path;
}

TEST_F(Endpoints, ThePageIsTheFolderByteForByteAndNamesNoFileThatIsNotThere) {
  std::set<std::string> there, named = {"index.html"};
  for (const auto& entry : std::filesystem::directory_iterator(CORBEL_SOURCE_DIR "/corbel/server/page")) {
    const std::string name = entry.path().filename();
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const Answered answered = get(name == "index.html" ? "/" : "/page/" + name);
    EXPECT_EQ(answered.text, text.str()) << name;
    there.insert(name);
    named.merge(named_files(text.str()));
  }
  EXPECT_EQ(named, there);
}

TEST_F(Endpoints, ThePageMayAskNobodyButItsServerAndRunsNothingInline) {
  const std::string policy = header(get("/"), "content-security-policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'; script-src 'self'; style-src 'self'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  for (const PageFile& file : page_files()) {
    EXPECT_THAT(file.text, Not(HasSubstr("innerHTML"))) << file.name;
    EXPECT_THAT(file.text, Not(HasSubstr("eval("))) << file.name;
  }
  const std::string page = get("/").text;
  EXPECT_FALSE(std::regex_search(page, std::regex(R"(\son\w+=|style=|<style|https?://)")));
}

TEST_F(Endpoints, AFileThatTheBrowserHasIsNotSentAgain) {
  const Answered first = get("/page/base.css");
  const std::string tag = header(first, "etag");
  ASSERT_FALSE(tag.empty());
  auto responder = std::make_shared<KeptResponder>();
  HttpRequest request{.method = "GET", .path = "/page/base.css", .headers = {{"if-none-match", tag}}};
  handle_request(state, request, responder);
  const Answered again = responder->wait();
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.text, "");
  EXPECT_NE(header(get("/page/chat.css"), "etag"), tag);
}

TEST_F(Endpoints, TheStatusCountsTokensAndPagesAndDescribesTheModel) {
  const Json before = get("/v1/status").json();
  ASSERT_EQ(before["models"][0]["id"], "parrot");
  EXPECT_EQ(before["models"][0]["engine"]["generated_tokens"], 0);
  EXPECT_EQ(before["models"][0]["engine"]["most_running"], 4);
  EXPECT_GT(before["memory"]["resident_bytes"], 0);
  EXPECT_GE(before["memory"]["limit_bytes"], before["memory"]["resident_bytes"]);
  const Json usage = chat("~hello there~").json()["usage"];
  Json engine;  // as it was after the last step, which the answer may overtake
  do engine = get("/v1/status").json()["models"][0]["engine"];
  while (engine["running"] != 0 || engine["generated_tokens"] == 0);
  EXPECT_EQ(engine["generated_tokens"], usage["completion_tokens"]);
  EXPECT_EQ(engine["waiting"], 0);
  EXPECT_EQ(before["models"][0]["card"]["context_tokens"], kTestContext);
  EXPECT_EQ(before["models"][0]["card"]["package"], "parrot");
  EXPECT_TRUE(before["models"][0]["card"]["has_template"]);
}

}  // namespace
}  // namespace corbel
