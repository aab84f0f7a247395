#include "tests/engine/engine_fixture.h"
#include "tests/engine/nan_model.h"

namespace corbel {
namespace {

using testing::HasSubstr;

TEST_F(EngineTest, AnswersAreThoseOfASessionAloneInAnyCompany) {
  for (const std::string folder : {"llama/goldens/mha_f32", "llama/goldens/mistral_window_bf16"}) {
    open(folder);
    const std::vector<Wanted> all = some_requests(*tiny_, 24, 5);
    std::vector<Said> expected;
    for (const Wanted& wanted : all) expected.push_back(alone(wanted));
    for (const std::int64_t sequences : {1, 3, 16}) {
      for (const std::int64_t step_rows : {5, 64, 256}) {
        for (const bool prefix_cache : {false, true}) {
          const auto found = together(all, limits(sequences, step_rows), prefix_cache);
          for (std::size_t i = 0; i < all.size(); ++i)
            EXPECT_EQ(found[i], expected[i])
                << folder << " request " << i << " of " << sequences << " rows " << step_rows;
        }
      }
    }
  }
}

TEST_F(EngineTest, PreemptionLosesNothing) {
  open("llama/goldens/mha_f32", 2);
  std::vector<Wanted> all = some_requests(*tiny_, 30, 9);
  for (Wanted& wanted : all) {  // short when admitted, long in the end
    wanted.prompt.resize(std::min<std::size_t>(wanted.prompt.size(), 60));
    wanted.max_tokens += 130;
  }
  const auto expected = together(all, limits(1, 64), false);
  for (const bool prefix_cache : {false, true}) {
    // Eight sequences of up to five pages share seven.
    const auto found = together(all, limits(8, 64, 7), prefix_cache);
    EXPECT_GT(figures_.preemptions, 0);
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(found[i], expected[i]) << "request " << i;
  }
}

TEST_F(EngineTest, APromptThatBeginsAsAnotherDidIsNotRunAgain) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(2, 64));
  Engine engine(*run, tokenizer_);
  Wanted wanted{.prompt = some_ids(*tiny_, 200, 3)};
  Said first;
  Said second;
  Said third;
  ASSERT_TRUE(engine.submit(request_of(wanted, first)));
  while (engine.step()) continue;
  const std::int64_t cold = engine.figures().rows;
  ASSERT_TRUE(engine.submit(request_of(wanted, second)));
  while (engine.step()) continue;
  EXPECT_EQ(engine.figures().rows - cold, 1 + 7);  // three pages, and of the fourth all but the prompt's last token
  EXPECT_EQ(engine.figures().prefix.hit_tokens, 199);
  EXPECT_EQ(cached_tokens_, 199);
  EngineRequest salted = request_of(wanted, third);
  salted.prefix_salt = "another tenant";
  ASSERT_TRUE(engine.submit(std::move(salted)));
  while (engine.step()) continue;
  EXPECT_EQ(engine.figures().prefix.hit_tokens, 199);
  EXPECT_EQ(cached_tokens_, 0);
  EXPECT_EQ(first, second);
  EXPECT_EQ(first, third);
}

TEST_F(EngineTest, CancelledRequestsEndWithWhatTheyHaveAndTheOthersGoOn) {
  open("llama/goldens/mha_f32");
  const std::vector<Wanted> all = some_requests(*tiny_, 20, 21);
  const auto expected = together(all, limits(1, 64), false);
  const auto run = runner(limits(4, 32, 12));
  Engine engine(*run, tokenizer_);
  std::vector<Said> answers(all.size());
  std::vector<std::uint64_t> ids;
  for (std::size_t i = 0; i < all.size(); ++i) ids.push_back(*engine.submit(request_of(all[i], answers[i])));
  std::mt19937 random(4);
  ended_ = 0;
  std::vector<bool> cancelled(all.size());
  while (engine.step()) {
    if (random() % 6 != 0) continue;
    const std::size_t victim = random() % all.size();
    if (answers[victim].ids.empty()) cancelled[victim] = true;
    engine.cancel(ids[victim]);
    engine.cancel(ids[victim]);  // again: ignored
  }
  EXPECT_EQ(ended_, static_cast<int>(all.size()));
  int unharmed = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (answers[i].finish == FinishReason::cancelled) {
      ASSERT_LE(answers[i].ids.size(), expected[i].ids.size());
      EXPECT_TRUE(std::equal(answers[i].ids.begin(), answers[i].ids.end(), expected[i].ids.begin())) << i;
    } else {
      EXPECT_EQ(answers[i], expected[i]) << i;
      ++unharmed;
    }
  }
  EXPECT_GT(unharmed, 0);
  EXPECT_LT(unharmed, static_cast<int>(all.size()));
  const EngineFigures figures = engine.figures();
  EXPECT_EQ(figures.free_pages + figures.prefix.pages, figures.pages);
}

TEST_F(EngineTest, EveryRequestEndsOnceWhenAllAreCancelledAlsoThoseThatNeverRan) {
  open("llama/goldens/mha_f32");
  const std::vector<Wanted> all = some_requests(*tiny_, 9, 21);
  const auto run = runner(limits(2, 32, 12));
  Engine engine(*run, tokenizer_);
  std::vector<Said> answers(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EngineRequest request = request_of(all[i], answers[i]);
    request.limits = {.max_tokens = 40, .ignore_eos = true};
    ASSERT_TRUE(engine.submit(std::move(request)));
  }
  std::vector<Said> pair(2);
  EngineRequest request = request_of(all[0], answers[0]);
  request.choices = 2;
  request.priority = -1;  // behind all others: it never runs
  request.on_text = {};
  request.on_end = [&](const GenerateResult& result) {
    pair[result.choice].finish = result.finish;
    ++ended_;
  };
  ASSERT_TRUE(engine.submit(std::move(request)));
  for (int step = 0; step < 4; ++step) ASSERT_TRUE(engine.step());
  ASSERT_EQ(engine.figures().running, 2);
  ASSERT_EQ(engine.figures().waiting, std::ssize(all) - 1);
  ended_ = 0;
  engine.cancel_all();
  EXPECT_EQ(ended_, std::ssize(all) + 2);
  answers.insert(answers.end(), pair.begin(), pair.end());
  for (const Said& answer : answers) EXPECT_EQ(answer.finish, FinishReason::cancelled);
  const EngineFigures figures = engine.figures();
  EXPECT_EQ(figures.running + figures.waiting, 0);
  EXPECT_EQ(figures.free_pages + figures.prefix.pages, figures.pages);
  EXPECT_FALSE(engine.step());
}

TEST_F(EngineTest, ARequestMayCancelAnotherOfTheSameStep) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(2, 64));
  Engine engine(*run, tokenizer_);
  Wanted wanted{.prompt = some_ids(*tiny_, 5, 3), .max_tokens = 20};
  Said first;
  Said second;
  std::uint64_t other = 0;
  EngineRequest request = request_of(wanted, first);
  request.on_text = [&](const AnswerPiece& piece) {
    first.text += piece.text;
    engine.cancel(other);
  };
  ASSERT_TRUE(engine.submit(std::move(request)));
  other = *engine.submit(request_of(wanted, second));
  while (engine.step()) continue;
  EXPECT_EQ(first.finish, FinishReason::length);
  EXPECT_EQ(second.finish, FinishReason::cancelled);
}

TEST_F(EngineTest, WhatCanNeverRunIsRefused) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(2, 64, 3));
  Engine engine(*run, tokenizer_);
  const auto refusal = [&](const Wanted& wanted) {
    Said ignored;
    const auto id = engine.submit(request_of(wanted, ignored));
    return id ? std::string("accepted") : id.error().message;
  };
  EXPECT_THAT(refusal({.prompt = {}}), HasSubstr("no tokens"));
  EXPECT_THAT(refusal({.prompt = {5, 999999}}), HasSubstr("999999"));
  EXPECT_THAT(refusal({.prompt = some_ids(*tiny_, 320, 1), .max_tokens = 2}), HasSubstr("321 tokens"));
  EXPECT_THAT(refusal({.prompt = some_ids(*tiny_, 190, 1), .max_tokens = 10}), HasSubstr("4 cache pages"));
  EXPECT_THAT(refusal({.prompt = {1}, .sampling = {.temperature = -1.0}}), HasSubstr("temperature"));
  EXPECT_FALSE(engine.step());
}

TEST_F(EngineTest, AShortPromptDoesNotWaitForALongOne) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(2, 16));
  Engine engine(*run, tokenizer_, {.prefix_cache = false});
  Said long_answer;
  Said short_answer;
  ASSERT_TRUE(engine.submit(request_of({.prompt = some_ids(*tiny_, 300, 1)}, long_answer)));
  ASSERT_TRUE(engine.step());
  ASSERT_TRUE(engine.submit(request_of({.prompt = some_ids(*tiny_, 8, 1)}, short_answer)));
  ASSERT_TRUE(engine.step());
  int steps = 2;
  while (short_answer.ids.empty() && engine.step()) ++steps;
  EXPECT_LT(steps, 14);  // its eight tokens; the long prompt alone takes 19
  while (engine.step()) continue;
  EXPECT_EQ(long_answer.ids.size(), 8U);
}

TEST_F(EngineTest, ARowThatIsNotFiniteEndsItsOwnRequestAndLeavesNoTraceInThePages) {
  // The first number of the embedding belongs to token 0.
  const auto folder = with_nan("llama/goldens/mha_f32", "model.embed_tokens.weight");
  open(folder.string());
  std::vector<Wanted> all = some_requests(*tiny_, 16, 33);
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::ranges::replace(all[i].prompt, 0, 1);
    all[i].max_tokens = 1;  // longer answers may say token 0
    if (i % 3 == 1) all[i].prompt[all[i].prompt.size() / 2] = 0;
  }
  const auto run = runner(limits(4, 32, 12));
  Engine engine(*run, tokenizer_);
  std::vector<Said> answers(all.size());
  std::vector<std::string> errors(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EngineRequest request = request_of(all[i], answers[i]);
    request.on_error = [&errors, i](const Error& error) { errors[i] = error.message; };
    ASSERT_TRUE(engine.submit(std::move(request)));
  }
  while (engine.step()) continue;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i % 3 == 1) {
      EXPECT_THAT(errors[i], HasSubstr("is the first module whose output")) << i;
      EXPECT_TRUE(answers[i].ids.empty());
    } else {
      EXPECT_EQ(errors[i], "") << i;
      EXPECT_EQ(answers[i], alone(all[i])) << i;
    }
  }
  const EngineFigures figures = engine.figures();
  EXPECT_EQ(figures.free_pages + figures.prefix.pages, figures.pages);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace corbel
