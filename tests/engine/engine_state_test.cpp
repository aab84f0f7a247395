// Sequences of an engine saved and restored: an answer that is interrupted goes on with the same bytes in another one.
#include <filesystem>
#include <fstream>

#include "corbel/engine/session_file.h"
#include "tests/engine/engine_fixture.h"

namespace corbel {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class EngineState : public EngineTest {
 protected:
  void SetUp() override { fs::create_directories(file_.parent_path()); }

  RunIdentity identity(const StepRunner& run) const { return *identify_run(*tiny_->loaded.package, run); }
  static Wanted wanted(const TinyModel& tiny, std::uint32_t seed) {
    Wanted one{.prompt = some_ids(tiny, 70 + seed % 90, seed), .max_tokens = 90, .stops = {"zq~"}};
    one.sampling = {.temperature = 1.2,
                    .repetition_penalty = 1.1,
                    .presence_penalty = 0.4,
                    .frequency_penalty = 0.2,
                    .dry_multiplier = 0.5,
                    .seed = seed};
    return one;
  }
  /// The whole answer and, after so many tokens, its state in file_.
  struct Interrupted {
    Said whole;
    std::vector<std::int32_t> said;
    std::int64_t saved = 0;
  };
  Interrupted interrupt(const Wanted& one, std::int64_t tokens) {
    const auto run = runner(limits(4, 64));
    Engine engine(*run, tokenizer_);
    Interrupted state;
    std::vector<Said> others(3);
    for (std::uint32_t i = 0; i < 3; ++i) EXPECT_TRUE(engine.submit(request_of(wanted(*tiny_, 50 + i), others[i])));
    EngineRequest request = request_of(one, state.whole);
    std::vector<std::int32_t> ids;
    request.on_text = [&](const AnswerPiece& piece) {
      state.whole.text += piece.text;
      if (piece.id >= 0) ids.push_back(piece.id);
    };
    const std::uint64_t id = *engine.submit(std::move(request));
    while (std::ssize(ids) < tokens) engine.step();
    const auto saved = engine.save_state(id, file_, identity(*run));
    EXPECT_TRUE(saved) << (saved ? "" : saved.error().message);
    state.saved = saved ? *saved : 0;
    state.said = ids;
    while (engine.step()) continue;
    return state;
  }

  fs::path file_ = fs::path(testing::TempDir()) / "engine_state" / "answer.state";
};

TEST_F(EngineState, AnAnswerGoesOnInAnotherEngineAsIfItHadNeverStopped) {
  for (const std::string folder : {"llama/goldens/mha_f32", "llama/goldens/mistral_window_bf16",
                                   "llama/goldens/rope_dynamic_long_f32", "qwen/goldens/qwen3_layer_types_f32"}) {
    for (const DType cache : {DType::f32, DType::bf16, DType::i8}) {
      TinyModelChoice choice{.folder = folder};
      choice.options.kv_cache = cache;
      tiny_ = load_tiny_model(choice);
      ASSERT_NE(tiny_, nullptr);
      for (const std::int64_t tokens : {1, 30, 65}) {
        SCOPED_TRACE(testing::Message() << folder << ", " << dtype_name(cache) << " after " << tokens << " tokens");
        const Wanted one = wanted(*tiny_, static_cast<std::uint32_t>(tokens));
        const Interrupted state = interrupt(one, tokens);
        ASSERT_EQ(state.whole, alone(one));
        if (std::ssize(state.whole.ids) <= std::ssize(state.said)) continue;  // it had ended by then
        EXPECT_EQ(state.saved, std::ssize(one.prompt) + std::ssize(state.said) - 1) << "all but the newest token";

        const auto run = runner(limits(2, 64));
        Engine engine(*run, tokenizer_);
        const auto loaded = engine.load_state(file_, identity(*run));
        ASSERT_TRUE(loaded) << loaded.error().message;
        EXPECT_EQ(*loaded, state.saved);
        Said again;
        Said other;
        ASSERT_TRUE(engine.submit(request_of(wanted(*tiny_, 60), other)));
        EngineRequest request = request_of(one, again);
        request.said = state.said;
        std::string told;
        request.on_text = [&told](const AnswerPiece& piece) { told += piece.text; };
        std::int64_t cached = 0;
        request.on_end = [&](const GenerateResult& result) {
          again = {result.ids, result.text, result.finish};
          cached = result.figures.cached_tokens;
        };
        ASSERT_TRUE(engine.submit(std::move(request)));
        while (engine.step()) continue;
        EXPECT_EQ(again, state.whole);
        EXPECT_TRUE(state.whole.text.ends_with(told)) << told;
        EXPECT_EQ(cached, state.saved) << "nothing that was saved is run again";
        EXPECT_EQ(engine.figures().free_pages + engine.figures().prefix.pages, engine.figures().pages);
      }
    }
  }
}

TEST_F(EngineState, AConversationThatHasEndedIsSavedFromThePrefixCacheAndGoesOnElsewhere) {
  open("llama/goldens/mha_f32");
  const Wanted first = wanted(*tiny_, 5);
  Said answer;
  std::vector<std::int32_t> conversation = first.prompt;
  {
    const auto run = runner(limits(2, 64));
    Engine engine(*run, tokenizer_);
    ASSERT_TRUE(engine.submit(request_of(first, answer)));
    while (engine.step()) continue;
    conversation.insert(conversation.end(), answer.ids.begin(), answer.ids.end());
    const auto saved = engine.save_state(conversation, file_, identity(*run));
    ASSERT_TRUE(saved) << saved.error().message;
    EXPECT_EQ(*saved, std::ssize(conversation) - 1);
    EXPECT_FALSE(engine.save_state(conversation, file_, identity(*run), "another tenant"));
  }
  Wanted second{.prompt = conversation, .max_tokens = 20};
  second.prompt.push_back(7);
  const auto run = runner(limits(2, 64));
  Engine engine(*run, tokenizer_);
  ASSERT_TRUE(engine.load_state(file_, identity(*run), "tenant"));
  for (const std::string salt : {"", "tenant"}) {
    Said said;
    EngineRequest request = request_of(second, said);
    request.prefix_salt = salt;
    ASSERT_TRUE(engine.submit(std::move(request)));
    while (engine.step()) continue;
    EXPECT_EQ(said, alone(second));
    EXPECT_EQ(cached_tokens_, salt.empty() ? 0 : std::ssize(conversation) - 1);
  }
}

TEST_F(EngineState, WhatDoesNotFitIsRefusedAndChangesNothing) {
  open("llama/goldens/mha_f32");
  const Interrupted state = interrupt(wanted(*tiny_, 5), 40);
  const auto run = runner(limits(2, 64));
  const auto refusal = [&](Engine& engine, const RunIdentity& who) {
    const auto loaded = engine.load_state(file_, who);
    EXPECT_EQ(engine.figures().prefix.pages, 0);
    EXPECT_EQ(engine.figures().free_pages, engine.figures().pages);
    return loaded ? std::string("taken") : loaded.error().message;
  };
  Engine engine(*run, tokenizer_);
  RunIdentity other = identity(*run);
  other.model_hash = "0123";
  EXPECT_THAT(refusal(engine, other), HasSubstr("the model's hash is"));
  Engine without(*run, tokenizer_, {.prefix_cache = false});
  EXPECT_THAT(refusal(without, identity(*run)), HasSubstr("keeps no prefixes"));
  const auto small = runner(limits(1, 64, 1));
  Engine tight(*small, tokenizer_);
  EXPECT_THAT(refusal(tight, identity(*small)), HasSubstr("cache pages"));
  std::fstream file(file_, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(-100, std::ios::end);
  file.put('x');
  file.put('y');
  file.close();
  EXPECT_THAT(refusal(engine, identity(*run)), HasSubstr("damaged"));

  Said waits;
  const Wanted one = wanted(*tiny_, 9);
  const std::uint64_t id = *engine.submit(request_of(one, waits));
  const auto early = engine.save_state(id, file_, identity(*run));
  ASSERT_FALSE(early);
  EXPECT_THAT(early.error().message, HasSubstr("it waits"));
  EXPECT_FALSE(engine.save_state(id + 100, file_, identity(*run)));
  while (engine.step()) continue;
  EXPECT_EQ(waits, alone(one));
}

TEST_F(EngineState, AnAnswerThatHasEndedOrIsNotOneDoesNotGoOn) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(1, 64));
  Engine engine(*run, tokenizer_);
  const auto refusal = [&](const std::function<void(EngineRequest&)>& change) {
    EngineRequest request{.prompt = {1, 2, 3}, .limits = {.max_tokens = 5, .stop_strings = {"ab"}}};
    change(request);
    const auto submitted = engine.submit(std::move(request));
    return submitted ? std::string("taken") : submitted.error().message;
  };
  EXPECT_EQ(refusal([](EngineRequest& request) { request.said = {'x', 'y'}; }), "taken");
  EXPECT_THAT(refusal([](EngineRequest& request) { request.said = {'a', 'b'}; }), HasSubstr("has ended"));
  EXPECT_THAT(refusal([](EngineRequest& request) { request.said = {1, 2, 3, 4, 5}; }), HasSubstr("max_tokens is 5"));
  EXPECT_THAT(refusal([](EngineRequest& request) { request.said = {100'000}; }), HasSubstr("vocabulary"));
  EXPECT_THAT(refusal([](EngineRequest& request) {
                request.said = {1};
                request.choices = 2;
              }),
              HasSubstr("one choice"));
  while (engine.step()) continue;
  EXPECT_EQ(engine.figures().free_pages + engine.figures().prefix.pages, engine.figures().pages);
}

}  // namespace
}  // namespace corbel
