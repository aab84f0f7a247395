#pragma once
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "corbel/chat/chat_completion_fixture.h"
#include "corbel/server/endpoints.h"
#include "corbel/verify/faulty_device.h"
#include "tests/server/parrot_model.h"

namespace corbel {

/// What came back for one request.
struct Answered {
  int status = 0;
  std::string text;
  std::vector<std::pair<std::string, std::string>> headers;
  bool streamed = false;

  Json json() const { return Json::parse(text, nullptr, false); }
  /// The objects of an event stream; `done`: it ended with [DONE].
  std::vector<Json> events(bool& done) const {
    std::vector<Json> objects;
    done = false;
    constexpr std::string_view kData = "data: ";
    for (std::size_t at = 0; (at = text.find(kData, at)) != std::string::npos;) {
      at += kData.size();
      const std::string one = text.substr(at, text.find("\n\n", at) - at);
      done = one == "[DONE]";
      if (!done) objects.push_back(Json::parse(one));
    }
    return objects;
  }
  Json error() const { return json()["error"]; }
};

/// Keeps an answer; a client that may go away.
class KeptResponder final : public Responder {
 public:
  void respond(HttpResponse response) override {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    take_head(std::move(response));
    ended_ = true;
    changed_.notify_all();
  }
  void begin(HttpResponse head) override {
    const std::lock_guard lock(mutex_);
    take_head(std::move(head));
    answer_.streamed = true;
    changed_.notify_all();
  }
  void write(std::string piece) override {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    answer_.text += piece;
    changed_.notify_all();
  }
  void end() override {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  void on_gone(std::function<void()> gone) override {
    const std::lock_guard lock(mutex_);
    gone_ = std::move(gone);
    changed_.notify_all();
  }

  /// The client goes away, once the answer is under way.
  void leave() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kLongest, [this] { return gone_ != nullptr; }));
    const std::function<void()> gone = gone_;
    lock.unlock();
    gone();
  }
  Answered wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kLongest, [this] { return ended_; })) << "no answer";
    return answer_;
  }
  bool has_ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }

 private:
  static constexpr std::chrono::seconds kLongest{60};
  void take_head(HttpResponse response) {
    answer_.status = response.status;
    answer_.text = std::move(response.body);
    answer_.headers = std::move(response.headers);
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  Answered answer_;
  std::function<void()> gone_;
  bool ended_ = false;
};

inline constexpr std::int64_t kTestContext = 640;

/// A parrot behind an engine of its own. Its device can be told to fail.
class OpenedParrot : public OpenedModel {
 public:
  explicit OpenedParrot(const std::string& name, std::int64_t sequences = 4, std::int64_t memory_bytes = 1000) {
    auto made = StepRunner::make(
        model_, device,
        {.step_rows = 64, .logit_rows = sequences + 8, .sequences = sequences, .context_tokens = kTestContext});
    EXPECT_TRUE(made) << made.error().message;
    runner_ = std::make_unique<StepRunner>(*std::move(made));
    engine_ = std::make_unique<EngineThread>(*runner_, tokenizer_, EngineOptions{});
    served = {.name = name,
              .profile = "reference",
              .kind = "parrot",
              .context_tokens = kTestContext,
              .created_unix = 1,
              .memory_bytes = memory_bytes,
              .info = &model_.info(),
              .tokenizer = &tokenizer_,
              .chat = chat_.get(),
              .engine = engine_.get(),
              .identify = [name]() -> Result<RunIdentity> {
                return RunIdentity{
                    .model_hash = "hash of " + name, .profile = "reference", .strategy = "balanced", .kv_cache = "f32"};
              },
              .embedding = []() -> Result<EmbeddingDefaults> { return EmbeddingDefaults(); }};
  }

 private:
  std::unique_ptr<Device> inner_ = make_reference_device();

 public:
  FaultyDevice device{*inner_};

 private:
  ParrotModel model_;
  Tokenizer tokenizer_ = make_byte_tokenizer();
  GenerationDefaults defaults_ = [] {
    GenerationDefaults made;
    made.eos_ids = {kEndId};
    return made;
  }();
  std::unique_ptr<ChatModel> chat_ = *ChatModel::load(TemplateFile(std::string(kTemplate)), tokenizer_, defaults_);
  std::unique_ptr<StepRunner> runner_;
  std::unique_ptr<EngineThread> engine_;
};

/// A server without a socket: one parrot, "parrot", also called "bird".
struct Endpoints : testing::Test {
  Endpoints() {
    ShelvedModel model{.name = "parrot", .aliases = {"bird"}};
    model.open = [this]() -> Result<std::unique_ptr<OpenedModel>> {
      auto opened = std::make_unique<OpenedParrot>("parrot");
      parrot = opened.get();
      return std::unique_ptr<OpenedModel>(std::move(opened));
    };
    std::vector<ShelvedModel> models;
    models.push_back(std::move(model));
    shelf.emplace(std::move(models), 0);
    state.version = "test";
    state.models = &*shelf;
    EXPECT_TRUE(shelf->wait_for(""));
    state.ready = true;
  }
  ~Endpoints() override {
    if (shelf) shelf->stop();
    state.deadlines.stop();
  }

  std::shared_ptr<KeptResponder> send(const std::string& method, const std::string& path, const std::string& body) {
    auto responder = std::make_shared<KeptResponder>();
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = body;
    handle_request(state, std::move(request), responder);
    return responder;
  }
  Answered get(const std::string& path) { return send("GET", path, "")->wait(); }
  Answered post(const std::string& path, const Json& body) { return send("POST", path, body.dump())->wait(); }
  static Json chat_body(const std::string& says, const Json& more = Json::object()) {
    Json body = {{"messages", Json::array({{{"role", "user"}, {"content", says}}})}, {"max_tokens", 100}};
    body.update(more);
    return body;
  }
  Answered chat(const std::string& says, const Json& more = Json::object()) {
    return post("/v1/chat/completions", chat_body(says, more));
  }
  /// By the engine itself, between two of its steps.
  bool is_idle() {
    std::promise<EngineFigures> told;
    const ModelLease model = *shelf->wait_for("");
    model->engine->post([&told](Engine& engine) { told.set_value(engine.figures()); });
    const EngineFigures figures = told.get_future().get();
    return figures.running == 0 && figures.waiting == 0;
  }

  ServerState state;
  OpenedParrot* parrot = nullptr;
  std::optional<ModelShelf> shelf;
};

}  // namespace corbel
