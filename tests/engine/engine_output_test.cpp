// What an answer carries beside its text: logprobs and constraints.
#include <cmath>
#include <regex>

#include "tests/engine/engine_fixture.h"

namespace corbel {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::SizeIs;

class EngineOutput : public EngineTest {
 protected:
  /// ln softmax in double, by the definition.
  static std::vector<double> log_softmax(const std::vector<float>& logits) {
    const double highest = *std::ranges::max_element(logits);
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(logit - highest);
    std::vector<double> all;
    for (const float logit : logits) all.push_back(logit - highest - std::log(sum));
    return all;
  }
  static void expect_logprobs(const AnswerLogprobs& found, std::int32_t chosen, const std::vector<float>& logits) {
    const std::vector<double> expected = log_softmax(logits);
    EXPECT_EQ(found.chosen.id, chosen);
    EXPECT_NEAR(found.chosen.logprob, expected[chosen], 2e-5);
    EXPECT_EQ(found.rank, 1 + std::ranges::count_if(logits, [&](float logit) { return logit > logits[chosen]; }));
    for (std::size_t i = 0; i < found.top.size(); ++i) {
      EXPECT_NEAR(found.top[i].logprob, expected[found.top[i].id], 2e-5);
      EXPECT_LE(found.top[i].logprob, found.top[i > 0 ? i - 1 : 0].logprob);
    }
    EXPECT_NEAR(found.top.front().logprob, *std::ranges::max_element(expected), 2e-5);
  }
  static bool same_bits(const std::vector<AnswerLogprobs>& a, const std::vector<AnswerLogprobs>& b) {
    const auto equal = [](const TokenLogprob& x, const TokenLogprob& y) {
      return x.id == y.id && x.logprob == y.logprob;
    };
    return std::ranges::equal(a, b, [&](const AnswerLogprobs& x, const AnswerLogprobs& y) {
      return equal(x.chosen, y.chosen) && x.rank == y.rank && std::ranges::equal(x.top, y.top, equal);
    });
  }
  GenerateResult run(Engine& engine, EngineRequest request) {
    GenerateResult result;
    request.on_end = [&](GenerateResult ended) { result = std::move(ended); };
    request.on_error = [](const Error& error) { ADD_FAILURE() << error.message; };
    EXPECT_TRUE(engine.submit(std::move(request)));
    while (engine.step()) continue;
    return result;
  }
};

TEST_F(EngineOutput, LogprobsOfAnswerAndPromptAreThoseOfTheModelInAnyChunks) {
  open("llama/goldens/mha_f32");
  EngineRequest request;
  request.prompt = some_ids(*tiny_, 90, 3);
  request.sampling = {.temperature = 1.5, .top_k = 20, .repetition_penalty = 1.3, .seed = 3};
  request.limits.max_tokens = 25;
  request.logprobs = 4;
  request.prompt_logprobs = 2;
  GenerateResult first;
  for (const std::int64_t step_rows : {7, 64}) {
    for (const std::int64_t spare : {0, 5, 100}) {
      RunnerLimits with = limits(2, step_rows);
      with.logit_rows += spare;
      const auto runner = this->runner(with);
      Engine engine(*runner, tokenizer_, {.drafts = Drafts::always});
      for (const bool again : {false, true}) {  // the second time the prefix is known
        const GenerateResult result = run(engine, request);
        ASSERT_THAT(result.logprobs, SizeIs(25));
        ASSERT_THAT(result.prompt_logprobs, SizeIs(89));
        if (first.ids.empty()) first = result;
        EXPECT_EQ(result.ids, first.ids);
        EXPECT_TRUE(same_bits(result.logprobs, first.logprobs)) << step_rows << " rows, " << spare << again;
        EXPECT_TRUE(same_bits(result.prompt_logprobs, first.prompt_logprobs))
            << step_rows << " rows, " << spare << again;
      }
    }
  }
  TinySession session(*tiny_, {.step_rows = 64, .context_tokens = kContext});
  std::vector<std::int32_t> all = request.prompt;
  all.insert(all.end(), first.ids.begin(), first.ids.end());
  for (std::size_t at = 0; at + 1 < all.size(); ++at) {
    const std::vector<float> logits = numbers(*session.session->prefill(std::span(all).first(at + 1)));
    const bool of_prompt = at + 1 < request.prompt.size();
    const AnswerLogprobs& found =
        of_prompt ? first.prompt_logprobs[at] : first.logprobs[at + 1 - request.prompt.size()];
    EXPECT_THAT(found.top, SizeIs(of_prompt ? 2 : 4));
    expect_logprobs(found, all[at + 1], logits);
  }
}

TEST_F(EngineOutput, EveryPieceCarriesTheLogprobsOfItsToken) {
  open("llama/goldens/mha_f32");
  const auto runner = this->runner(limits(2, 64));
  Engine engine(*runner, tokenizer_);
  std::vector<AnswerLogprobs> pieces;
  EngineRequest request;
  request.prompt = some_ids(*tiny_, 9, 3);
  request.limits.max_tokens = 12;
  request.logprobs = 0;
  request.on_text = [&](const AnswerPiece& piece) {
    if (piece.logprobs != nullptr) pieces.push_back(*piece.logprobs);
  };
  const GenerateResult result = run(engine, request);
  EXPECT_THAT(pieces, SizeIs(12));
  EXPECT_TRUE(same_bits(pieces, result.logprobs));
  request.logprobs = 21;
  const auto refused = engine.submit(request);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("logprobs is 21"));
}

TEST_F(EngineOutput, AConstraintHoldsAloneInCompanyWithChoicesAndWithDrafts) {
  open("llama/goldens/mha_f32");
  ConstraintCompiler compiler(tokenizer_, {kEndId});
  const std::string pattern = "(ab|cd){3,9}[0-9]{2}!";
  const auto constraint = compiler.compile(GrammarSource::regex(pattern));
  ASSERT_TRUE(constraint) << constraint.error().message;
  const auto texts = [&](std::int64_t sequences, std::int64_t pages, Drafts drafts) {
    RunnerLimits with = limits(sequences, 64, pages);
    with.logit_rows += 16;
    const auto runner = this->runner(with);
    Engine engine(*runner, tokenizer_, {.drafts = drafts});
    std::vector<std::string> said(12);
    for (std::uint32_t i = 0; i < 6; ++i) {
      EngineRequest request;
      request.prompt = some_ids(*tiny_, 40 + 10 * i, i);
      request.sampling = {.temperature = i == 0 ? 0.0 : 1.2, .seed = i};
      request.limits.max_tokens = 60;
      request.limits.stop_ids = {kEndId};
      request.choices = 2;
      request.constraint = *constraint;
      request.on_end = [&said, i](const GenerateResult& result) {
        said[2 * i + result.choice] = result.text;
        EXPECT_EQ(result.finish, FinishReason::stop);
      };
      request.on_error = [](const Error& error) { ADD_FAILURE() << error.message; };
      EXPECT_TRUE(engine.submit(std::move(request)));
    }
    while (engine.step()) continue;
    return said;
  };
  const std::vector<std::string> alone = texts(1, 0, Drafts::none);
  for (const std::string& text : alone) EXPECT_TRUE(std::regex_match(text, std::regex(pattern))) << text;
  EXPECT_EQ(texts(6, 0, Drafts::none), alone);
  EXPECT_EQ(texts(6, 7, Drafts::none), alone);
  EXPECT_EQ(texts(6, 0, Drafts::always), alone);
}

TEST_F(EngineOutput, AnAnswerThatMustEndEndsWithoutAnEndId) {
  open("llama/goldens/mha_f32");
  ConstraintCompiler compiler(tokenizer_, {});
  const auto constraint = compiler.compile(GrammarSource::choice({"yes", "no"}));
  ASSERT_TRUE(constraint);
  const auto runner = this->runner(limits(1, 64));
  Engine engine(*runner, tokenizer_);
  EngineRequest request;
  request.prompt = {5, 6};
  request.constraint = *constraint;
  request.limits.max_tokens = 50;
  const GenerateResult result = run(engine, request);
  EXPECT_THAT(result.text, AnyOf("yes", "no"));
  EXPECT_EQ(result.finish, FinishReason::stop);
}

TEST_F(EngineOutput, WhatStoppedAnAnswerIsTold) {
  open("llama/goldens/mha_f32");
  const auto runner = this->runner(limits(1, 64));
  Engine engine(*runner, tokenizer_);
  EngineRequest request;
  request.prompt = {5, 6};
  request.limits.max_tokens = 30;
  const GenerateResult whole = run(engine, request);
  EXPECT_EQ(whole.stop_id, -1);
  EXPECT_EQ(whole.stop_string, "");
  request.limits.stop_ids = {whole.ids[4]};
  EXPECT_EQ(run(engine, request).stop_id, whole.ids[4]);
  request.limits.stop_ids.clear();
  request.limits.stop_strings = {"never said", whole.text.substr(3, 2)};
  EXPECT_EQ(run(engine, request).stop_string, whole.text.substr(3, 2));
}

}  // namespace
}  // namespace corbel
