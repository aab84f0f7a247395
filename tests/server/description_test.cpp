#include "corbel/chat/request_fields.h"
#include "corbel/server/openapi.h"
#include "tests/server/endpoint_fixture.h"

namespace corbel {
namespace {

TEST_F(Endpoints, ModelsAreListedWithTheirAliasesAndCards) {
  const Json list = get("/v1/models").json();
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 1U);
  EXPECT_EQ(list["data"][0]["id"], "parrot");
  EXPECT_EQ(list["data"][0]["aliases"], Json::parse(R"(["bird"])"));
  EXPECT_EQ(list["data"][0]["max_model_len"], kTestContext);
  EXPECT_EQ(get("/v1/models/parrot").json(), list["data"][0]);
  EXPECT_EQ(get("/v1/models/bi%72d").json(), list["data"][0]);
  const Answered none = get("/v1/models/nobody");
  EXPECT_EQ(none.status, 404);
  EXPECT_EQ(none.error()["code"], "model_not_found");
}

TEST_F(Endpoints, AnUnknownModelIsA404OnEveryPathThatTakesOne) {
  for (const ApiEntry& entry : all_apis()) {
    if (entry.api == Api::replay) continue;  // reads its receipt first
    const Answered answered = post(std::string(entry.path), {{"model", "gpt-4"}});
    EXPECT_EQ(answered.status, 404) << entry.path;
    EXPECT_EQ(answered.error()["code"], "model_not_found");
    EXPECT_EQ(answered.error()["param"], "model");
    EXPECT_EQ(post(std::string(entry.path), {{"model", 7}}).error()["param"], "model");
  }
}

TEST_F(Endpoints, AFieldThatIsNotInTheTableIsRefusedOnEveryPath) {
  for (const ApiEntry& entry : all_apis()) {
    const Answered answered = post(std::string(entry.path), {{"no_such_field", 1}});
    EXPECT_EQ(answered.status, 400) << entry.path;
    EXPECT_EQ(answered.error()["param"], "no_such_field") << answered.text;
  }
}

TEST_F(Endpoints, EveryPathHasAnEntryInTheDocumentAndEveryFieldItsRange) {
  const Json document = get("/openapi.json").json();
  EXPECT_EQ(document["openapi"], "3.1.0");
  for (const Route& route : server_routes()) {
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(std::tolower(c));
    ASSERT_TRUE(document["paths"].contains(route.path)) << route.path;
    EXPECT_TRUE(document["paths"][std::string(route.path)].contains(method));
    EXPECT_FALSE(route.meaning.empty()) << route.path;
  }
  for (const ApiEntry& entry : all_apis()) {
    const Json& schema =
        document["paths"][std::string(entry.path)]["post"]["requestBody"]["content"]["application/json"]["schema"];
    EXPECT_EQ(schema["properties"].size(), request_fields(entry.api).size()) << entry.path;
    for (const RequestField& field : request_fields(entry.api)) {
      const Json& told = schema["properties"][std::string(field.name)];
      EXPECT_EQ(told.contains("maximum"), field.is_ranged()) << field.name;
      if (!field.is_ranged() || field.high > 1e15) continue;
      EXPECT_EQ(told["maximum"].get<double>(), field.high);
    }
  }
  EXPECT_EQ(
      document["paths"]["/v1/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]["required"],
      Json::parse(R"(["prompt"])"));
}

TEST_F(Endpoints, CapabilitiesSayWhatIsHonoured) {
  const Json told = get("/v1/capabilities").json();
  EXPECT_EQ(told["models"][0]["id"], "parrot");
  EXPECT_FALSE(told["models"][0]["chat"]["tool_calls"].empty());
  const Json& chat = told["fields"]["/v1/chat/completions"];
  EXPECT_NE(std::ranges::find(chat["honoured"], "logprobs"), chat["honoured"].end());
  EXPECT_NE(std::ranges::find(chat["warned"], "store"), chat["warned"].end());
}

TEST_F(Endpoints, TheProbeMakesAToken) {
  const Answered answered = get("/health/generate");
  EXPECT_EQ(answered.status, 200) << answered.text;
  EXPECT_EQ(answered.json()["status"], "ok");
}

TEST_F(Endpoints, TheProbeTellsAnEngineThatFails) {
  parrot->device.set_on_finish([]() -> Result<void> { return fail(Code::device_failed, "the device is on fire"); });
  const Answered answered = get("/health/generate");
  EXPECT_EQ(answered.status, 503);
  EXPECT_EQ(answered.json()["status"], "failed");
}

TEST_F(Endpoints, TheProbeDoesNotWaitForAnEngineThatIsStuck) {
  state.probe_limit = std::chrono::milliseconds(20);
  std::promise<void> released;
  const auto go_on = released.get_future().share();
  const ModelLease model = *shelf->wait_for("");
  model->engine->post([go_on](Engine&) { go_on.wait(); });
  const Answered answered = get("/health/generate");
  released.set_value();
  EXPECT_EQ(answered.status, 503);
  EXPECT_EQ(answered.json()["status"], "stuck");
}

TEST_F(Endpoints, HealthSaysLoadingOkAndDraining) {
  EXPECT_EQ(get("/health").json()["status"], "ok");
  state.draining = true;
  EXPECT_EQ(get("/health").status, 503);
  EXPECT_EQ(get("/health").json()["status"], "draining");
  EXPECT_EQ(chat("~x~").status, 503);
  state.draining = false;
  state.ready = false;
  EXPECT_EQ(get("/health").json()["status"], "loading");
  const Answered early = chat("~x~");
  EXPECT_EQ(early.status, 503);
  state.ready = true;
}

}  // namespace
}  // namespace corbel
