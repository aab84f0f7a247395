#include "corbel/engine/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "corbel/base/mapped_file.h"
#include "tests/engine/byte_tokenizer.h"
#include "tests/engine/nan_model.h"
#include "tests/engine/tiny_model.h"

namespace corbel {
namespace {

constexpr std::int64_t kContext = 192;

class Generate : public ::testing::Test {
 protected:
  void SetUp() override {
    tiny_ = load_tiny_model({.folder = "llama/goldens/mha_f32"});
    ASSERT_NE(tiny_, nullptr);
    prompt_ = some_ids(*tiny_, 30, 8);
  }
  GenerateResult run(const GenerateOptions& options, const GenerateObserver& observer = {}) {
    TinySession open(*tiny_, {.step_rows = 16, .context_tokens = kContext});
    auto result = generate(*open.session, tokenizer_, prompt_, options, observer);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result ? *std::move(result) : GenerateResult{};
  }
  std::unique_ptr<TinyModel> tiny_;
  Tokenizer tokenizer_ = make_byte_tokenizer();
  std::vector<std::int32_t> prompt_;
  GenerateOptions sampled_{.sampling = {.temperature = 1.5, .seed = 77}, .max_tokens = 60};
};

TEST_F(Generate, ThePiecesAreTheTextAndTheTextIsTheDecodedIds) {
  std::string pieces;
  const GenerateResult result = run(sampled_, {.on_text = [&](std::string_view text) { pieces += text; }});
  EXPECT_EQ(result.ids.size(), 60U);
  EXPECT_EQ(result.finish, FinishReason::length);
  EXPECT_EQ(pieces, result.text);
  EXPECT_EQ(result.text, tokenizer_.decode(result.ids));
  EXPECT_EQ(result.figures.prompt_tokens, 30);
  EXPECT_EQ(result.figures.prefilled_tokens, 30);
  EXPECT_EQ(result.figures.generated_tokens, 60);
}

TEST_F(Generate, TheSameSeedGivesTheSameAnswerAndAnotherSeedAnother) {
  const GenerateResult first = run(sampled_);
  EXPECT_EQ(run(sampled_).ids, first.ids);
  sampled_.sampling.seed = 78;
  EXPECT_NE(run(sampled_).ids, first.ids);
}

TEST_F(Generate, AStopIdEndsTheAnswerAndIsNoText) {
  const GenerateResult whole = run(sampled_);
  const std::int32_t stop = whole.ids[20];
  GenerateOptions options = sampled_;
  options.stop_ids = {stop};
  const GenerateResult result = run(options);
  const auto end = std::find(whole.ids.begin(), whole.ids.end(), stop);
  EXPECT_EQ(result.ids, std::vector<std::int32_t>(whole.ids.begin(), end + 1));
  EXPECT_EQ(result.finish, FinishReason::stop);
  EXPECT_EQ(result.text, tokenizer_.decode(std::vector<std::int32_t>(whole.ids.begin(), end)));
}

TEST_F(Generate, AStopStringAcrossTokensEndsTheAnswerBeforeIt) {
  const GenerateResult whole = run(sampled_);
  ASSERT_GT(whole.text.size(), 20U);
  GenerateOptions options = sampled_;
  options.stop_strings = {whole.text.substr(12, 4)};
  const GenerateResult result = run(options);
  EXPECT_EQ(result.text, whole.text.substr(0, whole.text.find(options.stop_strings[0])));
  EXPECT_EQ(result.finish, FinishReason::stop);
}

TEST_F(Generate, AFullContextEndsTheAnswer) {
  GenerateOptions options = sampled_;
  options.max_tokens = 0;
  const GenerateResult result = run(options);
  // Every token but the last was fed.
  EXPECT_EQ(static_cast<std::int64_t>(result.ids.size()), kContext - 30 + 1);
  EXPECT_EQ(result.finish, FinishReason::length);
}

TEST_F(Generate, ASlidingContextGoesOnWithTheBeginningKept) {
  TinySession open(*tiny_, {.step_rows = 16, .context_tokens = kContext});
  GenerateOptions options = sampled_;
  options.max_tokens = 400;
  options.on_full = OnFull::slide;
  options.keep_tokens = 10;
  auto result = generate(*open.session, tokenizer_, prompt_, options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->ids.size(), 400U);
  EXPECT_TRUE(std::equal(prompt_.begin(), prompt_.begin() + 10, open.session->tokens().begin()));
  const auto& cached = open.session->tokens();
  EXPECT_TRUE(std::equal(cached.end() - 50, cached.end(), result->ids.end() - 51)) << "the newest tokens are there";
}

TEST_F(Generate, ACancelledAnswerKeepsWhatItHas) {
  std::atomic<bool> cancel = false;
  int pieces = 0;
  const GenerateResult result =
      run(sampled_, {.on_text = [&](std::string_view) { cancel = ++pieces == 5; }, .cancel = &cancel});
  EXPECT_EQ(result.finish, FinishReason::cancelled);
  EXPECT_EQ(result.text, tokenizer_.decode(result.ids));
  EXPECT_LT(result.ids.size(), 60U);
}

TEST_F(Generate, TheSecondTurnSaysWhatAFreshSessionSays) {
  TinySession kept(*tiny_, {.step_rows = 16, .context_tokens = kContext});
  auto first = generate(*kept.session, tokenizer_, prompt_, sampled_);
  ASSERT_TRUE(first);
  std::vector<std::int32_t> second = prompt_;
  second.insert(second.end(), first->ids.begin(), first->ids.end());
  const auto more = some_ids(*tiny_, 12, 9);
  second.insert(second.end(), more.begin(), more.end());
  auto answer = generate(*kept.session, tokenizer_, second, sampled_);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->figures.prefilled_tokens, 13);
  EXPECT_EQ(answer->figures.cached_tokens, 89);
  TinySession fresh(*tiny_, {.context_tokens = kContext});
  auto expected = generate(*fresh.session, tokenizer_, second, sampled_);
  ASSERT_TRUE(expected);
  EXPECT_EQ(answer->ids, expected->ids);
}

TEST_F(Generate, ThePenaltySeesTheAnswerSoFar) {
  prompt_.resize(1);
  GenerateOptions options;
  options.sampling.repetition_penalty = 100.0;  // a token that occurred never wins against one that did not
  options.max_tokens = 15;
  std::vector<std::int32_t> ids = run(options).ids;
  ids.push_back(prompt_[0]);
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::adjacent_find(ids.begin(), ids.end()), ids.end());
}

TEST_F(Generate, OptionsOutOfRangeAreRefused) {
  TinySession open(*tiny_, {.context_tokens = kContext});
  GenerateOptions options;
  options.sampling.top_p = 0.0;
  EXPECT_FALSE(generate(*open.session, tokenizer_, prompt_, options));
}

TEST_F(Generate, ANanWeightIsRefusedNamingTheFirstBrokenModule) {
  const auto folder = with_nan("llama/goldens/mha_f32", "model.layers.1.mlp.up_proj.weight");
  auto loaded = load_text_model(folder, *tiny_->device, linked_model_families());
  ASSERT_TRUE(loaded) << loaded.error().message;
  tiny_->loaded = *std::move(loaded);
  TinySession open(*tiny_, {.context_tokens = kContext});
  const auto result = generate(*open.session, tokenizer_, prompt_, sampled_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::device_failed);
  EXPECT_NE(result.error().message.find("model.layers.1.mlp"), std::string::npos) << result.error().message;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace corbel
