#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "corbel/engine/receipt.h"
#include "tests/engine/byte_tokenizer.h"
#include "tests/engine/tiny_model.h"

namespace corbel {
namespace {

using testing::HasSubstr;

class ReplayTest : public testing::Test {
 protected:
  void open(const TinyModelChoice& choice) {
    tiny_ = load_tiny_model(choice);
    ASSERT_NE(tiny_, nullptr);
  }
  std::unique_ptr<StepRunner> runner(const RunnerLimits& limits) {
    auto made = StepRunner::make(tiny_->model(), *tiny_->device, limits);
    EXPECT_TRUE(made);
    return std::make_unique<StepRunner>(*std::move(made));
  }
  /// What the receipt's text, read back, gives on an engine of its own.
  GenerateResult replay(const Receipt& receipt) {
    const auto read = read_receipt(Json::parse(receipt_json(receipt).dump()), "receipt");
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    const auto own = runner({.step_rows = 16, .context_tokens = read->request.context_tokens});
    Engine engine(*own, tokenizer_);
    auto request = replay_request(*read, tokenizer_);
    EXPECT_TRUE(request) << (request ? "" : request.error().message);
    auto result = generate(engine, *std::move(request));
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return *std::move(result);
  }
  std::string difference(const Receipt& receipt) { return first_difference(receipt, replay(receipt), tokenizer_); }

  std::unique_ptr<TinyModel> tiny_;
  Tokenizer tokenizer_ = make_byte_tokenizer();
};

TEST_F(ReplayTest, EveryAnswerOfABusyEngineComesOutOfItsReceiptAgain) {
  open({.folder = "llama/goldens/mistral_window_bf16"});
  const auto run = runner({.step_rows = 32, .logit_rows = 64, .sequences = 4, .context_tokens = 160, .pages = 6});
  const auto identity = identify_run(*tiny_->loaded.package, *run);
  ASSERT_TRUE(identity) << identity.error().message;
  Engine engine(*run, tokenizer_);
  std::vector<Receipt> receipts;
  for (std::uint32_t i = 0; i < 12; ++i) {
    EngineRequest request;
    request.prompt = some_ids(*tiny_, 3 + i * 7, i);
    request.sampling = {.temperature = i % 3 * 0.8, .top_k = i % 2 * 20, .seed = 100 + i};
    request.limits = {.max_tokens = 4 + i * 2, .stop_ids = {kEndId}};
    request.on_end = [&, request, i](const GenerateResult& result) {
      receipts.push_back(make_receipt(*identity, receipt_request(request, result.choice, 160), result));
    };
    ASSERT_TRUE(engine.submit(request));
  }
  while (engine.step()) continue;
  ASSERT_EQ(receipts.size(), 12U);
  for (const Receipt& receipt : receipts) EXPECT_EQ(difference(receipt), "");
}

TEST_F(ReplayTest, ChoicesLimitsAndConstraintsAreInTheReceipt) {
  open({.folder = "llama/goldens/mha_f32"});
  const auto run = runner({.step_rows = 32, .logit_rows = 32, .sequences = 4, .context_tokens = 96});
  Engine engine(*run, tokenizer_);
  ConstraintSource source{
      .grammar = GrammarSource::json_schema(
          R"({"type": "object", "properties": {"a": {"enum": ["x", "yy"]}, "b": {"type": "integer"}}})"),
      .end_ids = {kEndId}};
  ConstraintCompiler compiler(tokenizer_, source.end_ids);
  const auto constraint = compiler.compile(source.grammar, source.options);
  ASSERT_TRUE(constraint) << constraint.error().message;
  std::vector<Receipt> receipts;
  for (const bool constrained : {false, true}) {
    EngineRequest request;
    request.prompt = some_ids(*tiny_, 20, 3);
    request.sampling = {.temperature = 1.5, .presence_penalty = 0.5, .logit_bias = {{65, 4.0F}}, .seed = 9};
    request.limits = {.max_tokens = 30, .stop_ids = {kEndId}, .min_tokens = 12, .ignore_eos = !constrained};
    request.choices = 3;
    if (constrained) request.constraint = *constraint;
    request.on_end = [&, request](const GenerateResult& result) {
      ReceiptRequest kept = receipt_request(request, result.choice, 96);
      if (kept.constrained) kept.constraint = source;
      receipts.push_back(make_receipt({}, std::move(kept), result));
    };
    ASSERT_TRUE(engine.submit(request));
  }
  while (engine.step()) continue;
  ASSERT_EQ(receipts.size(), 6U);
  for (Receipt& receipt : receipts) {
    EXPECT_EQ(difference(receipt), "");
    if (!receipt.request.constrained) continue;
    receipt.request.constraint.reset();
    const auto refused = replay_request(receipt, tokenizer_);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("a grammar that the receipt does not hold"));
  }
}

TEST_F(ReplayTest, AnAnswerThatSlidesComesOutAgainAndNotWithoutSliding) {
  open({.folder = "llama/goldens/mha_f32"});
  TinySession session(*tiny_, {.context_tokens = 64});
  GenerateOptions options;
  options.max_tokens = 60;
  options.on_full = OnFull::slide;
  options.keep_tokens = 5;
  Receipt receipt;
  const GenerateObserver observer{.on_begin = [&](std::span<const std::int32_t> prompt, const GenerateOptions& used) {
    receipt.request = receipt_request(prompt, used, 64);
  }};
  const auto result = generate(*session.session, tokenizer_, some_ids(*tiny_, 40, 3), options, observer);
  ASSERT_TRUE(result);
  receipt = make_receipt({}, receipt.request, *result);
  EXPECT_EQ(difference(receipt), "");
  receipt.request.on_full = OnFull::stop;
  EXPECT_NE(difference(receipt), "");
}

TEST_F(ReplayTest, WhatDiffersFirstIsNamed) {
  open({.folder = "llama/goldens/mha_f32"});
  TinySession session(*tiny_, {.context_tokens = 128});
  GenerateOptions options;
  options.sampling = {.temperature = 2.0, .seed = 5};
  options.max_tokens = 20;
  const auto prompt = some_ids(*tiny_, 20, 3);
  const auto result = generate(*session.session, tokenizer_, prompt, options);
  ASSERT_TRUE(result);
  Receipt receipt = make_receipt({}, receipt_request(prompt, options, 128), *result);
  EXPECT_EQ(difference(receipt), "");
  receipt.ids[7] = receipt.ids[7] == 65 ? 66 : 65;
  EXPECT_THAT(difference(receipt), HasSubstr(cat("token 7 is ", result->ids[7])));
  EXPECT_THAT(difference(receipt), HasSubstr(receipt.ids[7] == 65 ? "65 (\"A\")" : "66 (\"B\")"));
  receipt.ids = result->ids;
  receipt.ids.pop_back();
  EXPECT_THAT(difference(receipt), HasSubstr("has 20 tokens, the receipt 19"));
  receipt.ids = result->ids;
  receipt.text += "!";
  EXPECT_THAT(difference(receipt), HasSubstr("the text is not"));
  receipt.text = result->text;
  receipt.finish = FinishReason::stop;
  EXPECT_THAT(difference(receipt), HasSubstr("ends by length, the receipt's by stop"));
  receipt.finish = FinishReason::length;
  receipt.request.sampling.seed = 6;
  EXPECT_THAT(difference(receipt), HasSubstr("token "));
}

TEST_F(ReplayTest, AnAnswerThatWasCutOffIsComparedAsFarAsItCame) {
  open({.folder = "llama/goldens/mha_f32"});
  const auto prompt = some_ids(*tiny_, 20, 3);
  for (const std::size_t stop_at : {std::size_t{0}, std::size_t{6}}) {
    TinySession session(*tiny_, {.context_tokens = 128});
    std::atomic<bool> cancel = stop_at == 0;
    std::size_t pieces = 0;
    GenerateOptions options;
    options.max_tokens = 40;
    const GenerateObserver observer{.on_text = [&](std::string_view) { cancel = ++pieces >= stop_at; },
                                    .cancel = &cancel};
    const auto result = generate(*session.session, tokenizer_, prompt, options, observer);
    ASSERT_TRUE(result);
    ASSERT_EQ(result->finish, FinishReason::cancelled);
    EXPECT_EQ(difference(make_receipt({}, receipt_request(prompt, options, 128), *result)), "");
  }
}

}  // namespace
}  // namespace corbel
