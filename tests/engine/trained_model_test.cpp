// Drafts on a model that was trained: the built-in one. It says a text of its prompt again when it is asked the same
// question again, which is what drafts are for. Other models of the tests have nothing to say.
#include <gtest/gtest.h>

#include <array>

#include "corbel/chat/chat_session.h"
#include "corbel/engine/engine.h"
#include "tests/engine/tiny_model.h"

namespace corbel {
namespace {

constexpr std::array<const char*, 7> kQuestions = {
    "What is a KV cache?",      "What does corbel compile do?", "What is prefill?", "What is quantization?",
    "What is tensor parallel?", "How do I load a model?",       "What is PCC?"};

class TrainedModel : public testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path folder = std::filesystem::path(CORBEL_SOURCE_DIR) / "share/pico";
    if (!std::filesystem::exists(folder / "model.safetensors")) GTEST_SKIP() << "no built-in model in this tree";
    model_ = load_tiny_model({.folder = folder.string()});
    ASSERT_NE(model_, nullptr);
    auto tokenizer = Tokenizer::load(folder);
    ASSERT_TRUE(tokenizer);
    tokenizer_ = std::make_unique<Tokenizer>(*std::move(tokenizer));
    auto format = ChatFormat::load(folder, *tokenizer_);
    ASSERT_TRUE(format);
    format_ = std::make_unique<ChatFormat>(*std::move(format));
  }

  struct Run {
    std::vector<std::string> texts;
    std::int64_t tokens = 0;  // behind the first of each answer
    std::int64_t steps = 0;   // that gave them
    EngineFigures figures;
    double tokens_a_step() const { return static_cast<double>(tokens) / static_cast<double>(steps); }
  };
  /// Greedy answers to conversations, one after another.
  Run run(const std::vector<std::vector<ChatMessage>>& conversations, Drafts drafts) {
    auto runner =
        StepRunner::make(model_->model(), *model_->device,
                         {.step_rows = 256, .logit_rows = 1 + kDraftLogitRows, .sequences = 1, .context_tokens = 1024});
    EXPECT_TRUE(runner);
    Engine engine(*runner, *tokenizer_, {.prefix_cache = false, .drafts = drafts});
    Run all;
    for (const std::vector<ChatMessage>& conversation : conversations) {
      EngineRequest request;
      request.prompt = *format_->encode(conversation);
      GenerateOptions options = chat_options(*format_, conversation, request.prompt, {});
      for (const std::int64_t id : model_->loaded.defaults.eos_ids)
        options.stop_ids.push_back(static_cast<std::int32_t>(id));
      request.limits = {.max_tokens = 150, .stop_ids = options.stop_ids, .stop_strings = options.stop_strings};
      request.on_end = [&all](const GenerateResult& result) {
        all.texts.push_back(result.text);
        all.tokens += result.figures.generated_tokens - 1;
        all.steps += result.figures.steps - 1;  // one gave the first
      };
      EXPECT_TRUE(engine.submit(std::move(request)));
      while (engine.step()) continue;
    }
    all.figures = engine.figures();
    return all;
  }
  void tell(const char* what, const Run& run) const {
    std::printf("%s: %.2f tokens a step, %.0f%% of %d drafted tokens were right\n", what, run.tokens_a_step(),
                100.0 * static_cast<double>(run.figures.accepted_tokens) /
                    static_cast<double>(std::max<std::int64_t>(run.figures.drafted_tokens, 1)),
                static_cast<int>(run.figures.drafted_tokens));
  }

  std::unique_ptr<TinyModel> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatFormat> format_;
};

TEST_F(TrainedModel, SayingAnAnswerAgainTakesAFifthOfTheStepsAndTheSameTokens) {
  std::vector<std::vector<ChatMessage>> asked;
  for (const char* question : kQuestions) asked.push_back({{"user", question}});
  const Run first = run(asked, Drafts::always);
  EXPECT_EQ(first.texts, run(asked, Drafts::none).texts);
  tell("asked for the first time", first);

  for (std::size_t i = 0; i < asked.size(); ++i) {
    asked[i].push_back({"assistant", first.texts[i]});
    asked[i].push_back({"user", kQuestions[i]});
  }
  const Run without = run(asked, Drafts::none);
  const Run again = run(asked, Drafts::always);
  EXPECT_EQ(again.texts, without.texts);
  tell("asked again", again);
  EXPECT_DOUBLE_EQ(without.tokens_a_step(), 1.0);
  EXPECT_GT(again.tokens_a_step(), 5.0);
  EXPECT_GT(again.tokens, 200);
}

}  // namespace
}  // namespace corbel
