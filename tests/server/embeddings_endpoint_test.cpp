#include <cstring>

#include "corbel/base/base64.h"
#include "corbel/engine/embed.h"
#include "tests/engine/tiny_model.h"
#include "tests/server/endpoint_fixture.h"

namespace corbel {
namespace {

/// A tiny checkpoint behind an engine, with a runner for vectors beside it.
class OpenedTiny final : public OpenedModel {
 public:
  OpenedTiny() {
    auto made = StepRunner::make(tiny_->model(), *tiny_->device,
                                 {.step_rows = 64, .logit_rows = 12, .sequences = 4, .context_tokens = kTestContext});
    EXPECT_TRUE(made) << made.error().message;
    runner_ = std::make_unique<StepRunner>(*std::move(made));
    engine_ = std::make_unique<EngineThread>(
        *runner_, tokenizer_, EngineOptions{}, [this]() -> Result<std::unique_ptr<StepRunner>> {
          CORBEL_ASSIGN(StepRunner runner, StepRunner::make(tiny_->model(), *tiny_->device, limits()));
          return std::make_unique<StepRunner>(std::move(runner));
        });
    served = {.name = "tiny",
              .profile = "cpu",
              .context_tokens = kTestContext,
              .info = &tiny_->model().info(),
              .tokenizer = &tokenizer_,
              .chat = chat_.get(),
              .engine = engine_.get(),
              .embedding = []() -> Result<EmbeddingDefaults> { return EmbeddingDefaults(); }};
  }
  static RunnerLimits limits() {
    return {.step_rows = 64, .hidden_rows = 64, .sequences = 8, .context_tokens = kTestContext};
  }
  TinyModel& tiny() { return *tiny_; }

 private:
  std::unique_ptr<TinyModel> tiny_ = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  Tokenizer tokenizer_ = make_byte_tokenizer();
  std::unique_ptr<ChatModel> chat_ =
      *ChatModel::load(TemplateFile(std::string(kTemplate)), tokenizer_, GenerationDefaults());
  std::unique_ptr<StepRunner> runner_;
  std::unique_ptr<EngineThread> engine_;
};

struct Embeddings : testing::Test {
  Embeddings() {
    std::vector<ShelvedModel> models(1);
    models[0].name = "tiny";
    models[0].open = [this]() -> Result<std::unique_ptr<OpenedModel>> {
      auto opened = std::make_unique<OpenedTiny>();
      tiny = opened.get();
      return std::unique_ptr<OpenedModel>(std::move(opened));
    };
    shelf.emplace(std::move(models), 0);
    state.models = &*shelf;
    EXPECT_TRUE(shelf->wait_for(""));
    state.ready = true;
  }
  std::shared_ptr<KeptResponder> send(const std::string& path, const Json& body) {
    auto responder = std::make_shared<KeptResponder>();
    HttpRequest request;
    request.method = "POST";
    request.path = path;
    request.body = body.dump();
    handle_request(state, std::move(request), responder);
    return responder;
  }
  Answered embed(const Json& body) { return send("/v1/embeddings", body)->wait(); }
  /// By an embedder of its own.
  std::vector<std::vector<float>> expected(const std::vector<std::string>& texts, std::int64_t dimensions = 0) {
    auto runner = *StepRunner::make(tiny->tiny().model(), *tiny->tiny().device, OpenedTiny::limits());
    Embedder embedder = *Embedder::make(runner);
    std::vector<std::vector<std::int32_t>> ids;
    for (const std::string& text : texts) ids.emplace_back(text.begin(), text.end());
    return *embed_texts(embedder, ids, {.dimensions = dimensions});
  }
  static std::vector<float> vector_of(const Json& answered, std::size_t index) {
    return answered["data"][index]["embedding"].get<std::vector<float>>();
  }

  ServerState state;
  OpenedTiny* tiny = nullptr;
  std::optional<ModelShelf> shelf;
};

TEST_F(Embeddings, TextsAndIdsBecomeTheVectorsOfTheEmbedder) {
  const std::vector<std::string> texts = {"hello", "a", "What is a KV cache?"};
  const auto vectors = expected(texts);
  const Answered answered = embed({{"input", texts}});
  ASSERT_EQ(answered.status, 200) << answered.text;
  const Json json = answered.json();
  EXPECT_EQ(json["object"], "list");
  EXPECT_EQ(json["model"], "tiny");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 25);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(json["data"][i]["index"], i);
    EXPECT_EQ(vector_of(json, i), vectors[i]);
  }
  EXPECT_EQ(vector_of(embed({{"input", "hello"}}).json(), 0), vectors[0]);
  EXPECT_EQ(vector_of(embed({{"input", {104, 101, 108, 108, 111}}}).json(), 0), vectors[0]);
  const Json lists = embed({{"input", {{97}, {104, 101, 108, 108, 111}}}}).json();
  EXPECT_EQ(vector_of(lists, 0), vectors[1]);
  EXPECT_EQ(vector_of(lists, 1), vectors[0]);
}

TEST_F(Embeddings, Base64HasTheSameFloats) {
  const Json json = embed({{"input", "hello"}, {"encoding_format", "base64"}}).json();
  const std::vector<float> vector = expected({"hello"})[0];
  EXPECT_EQ(json["data"][0]["embedding"], base64_of(std::as_bytes(std::span(vector))));
}

TEST_F(Embeddings, FewerDimensionsAreTheFirstOnesAtLengthOne) {
  const Json json = embed({{"input", "hello"}, {"dimensions", 8}}).json();
  EXPECT_EQ(vector_of(json, 0), expected({"hello"}, 8)[0]);
  const std::int64_t hidden = tiny->tiny().model().info().hidden;
  const Answered refused = embed({{"input", "hello"}, {"dimensions", hidden + 1}});
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.error()["param"], "dimensions");
}

TEST_F(Embeddings, WhatIsWrongIsRefusedByItsPath) {
  const std::vector<std::pair<Json, const char*>> cases = {
      {Json::object(), "input"},
      {{{"input", Json::array()}}, "input"},
      {{{"input", ""}}, "input"},
      {{{"input", {"a", ""}}}, "input[1]"},
      {{{"input", {"a", 7}}}, "input[1]"},
      {{{"input", {1, 99999}}}, "input[1]"},
      {{{"input", std::string(kTestContext + 1, 'a')}}, "input"},
      {{{"input", {"a", std::string(kTestContext + 1, 'a')}}}, "input[1]"},
      {{{"input", "a"}, {"encoding_format", "hex"}}, "encoding_format"},
      {{{"input", "a"}, {"dimensions", 0}}, "dimensions"},
      {{{"input", "a"}, {"max_tokens", 3}}, "max_tokens"}};
  for (const auto& [body, path] : cases) {
    const Answered answered = embed(body);
    EXPECT_EQ(answered.status, 400) << body.dump().substr(0, 100);
    EXPECT_EQ(answered.error()["param"], path) << answered.text;
  }
}

TEST_F(Embeddings, VectorsAndAnswersAreTheSameInEachOthersCompany) {
  const Json wanted = {{"prompt", "abc"}, {"max_tokens", 60}, {"ignore_eos", true}};
  const Json alone = send("/v1/completions", wanted)->wait().json();
  std::vector<std::string> texts;
  for (int i = 0; i < 100; ++i)
    texts.push_back(std::string(static_cast<std::size_t>(1 + i * 5), static_cast<char>('a' + i % 26)));
  const auto vectors = expected(texts);
  const auto answer = send("/v1/completions", wanted);
  const auto embedded = send("/v1/embeddings", {{"input", texts}});
  const auto answer_too = send("/v1/completions", wanted);
  EXPECT_EQ(answer->wait().json()["choices"], alone["choices"]);
  EXPECT_EQ(answer_too->wait().json()["choices"], alone["choices"]);
  const Json json = embedded->wait().json();
  for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(vector_of(json, i), vectors[i]) << i;
}

TEST_F(Embeddings, TextsUnderWayHearOfTheServersEnd) {
  std::promise<void> arrived;
  tiny->served.engine->post([until = arrived.get_future().share()](Engine&) { until.wait(); });
  const auto embedded = send("/v1/embeddings", {{"input", std::vector<std::string>(50, std::string(200, 'a'))}});
  shelf->stop();
  arrived.set_value();
  const Answered answered = embedded->wait();
  EXPECT_EQ(answered.status, 503);
  EXPECT_EQ(answered.error()["message"], "the server is shutting down") << answered.text;
}

TEST_F(Embeddings, AreCountedInTheMetricsAsAnswersAre) {
  ASSERT_EQ(embed({{"input", {"hello", "a"}}}).status, 200);
  auto responder = std::make_shared<KeptResponder>();
  handle_request(state, {.method = "GET", .path = "/metrics"}, responder);
  const std::string page = responder->wait().text;
  const std::string model = R"({engine="0",model_name="tiny")";
  for (const std::string& line :
       {cat("vllm:e2e_request_latency_seconds_count", model, "} 2.0\n"),
        cat("vllm:request_prompt_tokens_sum", model, "} 6\n"), cat("vllm:prompt_tokens_total", model, "} 6.0\n"),
        cat("vllm:request_success_total", model, ",finished_reason=\"stop\"} 2.0\n"),
        cat("vllm:iteration_tokens_total_count", model, "} 0.0\n"),
        cat("vllm:spec_decode_num_drafts_total", model, "} 0.0\n")})
    EXPECT_NE(page.find(line), std::string::npos) << line << page;
}

TEST_F(Embeddings, AModelWithoutARunnerForVectorsSaysSo) {
  struct Other : Endpoints {
    void TestBody() override {}
  } other;
  const Answered answered = other.post("/v1/embeddings", {{"input", "a"}});
  EXPECT_EQ(answered.status, 400);
  EXPECT_NE(answered.error()["message"].get<std::string>().find("vectors"), std::string::npos);
}

}  // namespace
}  // namespace corbel
