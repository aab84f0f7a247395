// What the engine offers beyond running requests side by side: choices, drafts, sliding, deadlines, ranks.
#include "tests/engine/engine_fixture.h"

namespace corbel {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class EngineFeatures : public EngineTest {
 protected:
  std::vector<Said> choices_alone(const Wanted& wanted, std::uint32_t count) {
    std::vector<Said> expected;
    for (std::uint32_t choice = 0; choice < count; ++choice) {
      Wanted one = wanted;
      one.sampling.choice = choice;
      expected.push_back(alone(one));
    }
    return expected;
  }
  static EngineRequest request_for(const Wanted& wanted, std::vector<Said>& to) {
    EngineRequest request;
    request.prompt = wanted.prompt;
    request.sampling = wanted.sampling;
    request.limits = {.max_tokens = wanted.max_tokens, .stop_strings = wanted.stops};
    request.choices = static_cast<std::int32_t>(to.size());
    request.on_text = [&to](const AnswerPiece& piece) { to[piece.choice].text += piece.text; };
    request.on_end = [&to](const GenerateResult& result) {
      Said& said = to[result.choice];
      EXPECT_EQ(said.text, result.text);
      said.ids = result.ids;
      said.finish = result.finish;
    };
    request.on_error = [](const Error& error) { ADD_FAILURE() << error.message; };
    return request;
  }
  /// A prompt that repeats itself, so that there is something to look up.
  std::vector<std::int32_t> repeating(std::int64_t period, std::int64_t tokens) const {
    const std::vector<std::int32_t> part = some_ids(*tiny_, period, 77);
    std::vector<std::int32_t> ids;
    while (std::ssize(ids) < tokens) ids.insert(ids.end(), part.begin(), part.end());
    return ids;
  }
};

TEST_F(EngineFeatures, ChoicesAreWhatEachWouldSayAlone) {
  open("llama/goldens/mha_f32");
  for (const std::int64_t prompt : {5, 64, 130}) {
    const Wanted wanted{.prompt = some_ids(*tiny_, prompt, 3),
                        .sampling = {.temperature = 1.4, .seed = 11},
                        .max_tokens = 90,
                        .stops = {"qz"}};
    const std::vector<Said> expected = choices_alone(wanted, 6);
    EXPECT_NE(expected[0].ids, expected[1].ids);
    // Slots for all; for three at a time; pages so scarce that some are preempted.
    for (const RunnerLimits& with : {limits(6, 64), limits(3, 64), limits(6, 64, 8)}) {
      const auto run = runner(with);
      Engine engine(*run, tokenizer_);
      std::vector<Said> found(6);
      ASSERT_TRUE(engine.submit(request_for(wanted, found)));
      while (engine.step()) continue;
      EXPECT_EQ(found, expected) << prompt << " tokens, " << with.sequences << " slots, " << with.pages << " pages";
      EXPECT_EQ(engine.figures().free_pages + engine.figures().prefix.pages, engine.figures().pages);
    }
  }
}

TEST_F(EngineFeatures, ThePromptOfSeveralChoicesIsRunOnce) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(8, 64));
  Engine engine(*run, tokenizer_, {.prefix_cache = false, .drafts = Drafts::none});
  std::vector<Said> found(8);
  ASSERT_TRUE(engine.submit(request_for({.prompt = some_ids(*tiny_, 150, 3), .max_tokens = 4}, found)));
  while (engine.step()) continue;
  EXPECT_EQ(engine.figures().rows, 150 + 8 * 3);
}

TEST_F(EngineFeatures, DraftsSaveStepsAndChangeNothing) {
  for (const std::string folder : {"llama/goldens/mha_f32", "llama/goldens/mistral_window_bf16"}) {
    open(folder);
    std::vector<Wanted> all = some_requests(*tiny_, 16, 7);
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i].prompt = repeating(5 + static_cast<std::int64_t>(i), 120);
      all[i].max_tokens = 50 + 8 * static_cast<std::int64_t>(i);
      if (i % 2 == 0) all[i].sampling.temperature = 0.0;
      if (i % 3 != 0) all[i].sampling.repetition_penalty = 0.05;  // below one: it says again what it has said
    }
    std::vector<Said> expected;
    for (const Wanted& wanted : all) expected.push_back(alone(wanted));
    std::int64_t without = 0;
    for (const Drafts drafts : {Drafts::none, Drafts::where_they_pay, Drafts::always}) {
      for (const std::int64_t sequences : {1, 5}) {
        for (const std::int64_t pages : {0, 9}) {
          RunnerLimits with = limits(sequences, 64, pages);
          with.logit_rows += 20;
          const std::vector<Said> found = together(all, with, true, drafts);
          for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(found[i], expected[i]) << folder << " request " << i;
          if (drafts == Drafts::none && sequences == 1) without = figures_.steps;
          if (drafts == Drafts::always) {
            EXPECT_GT(figures_.accepted_tokens, 100);
            EXPECT_GT(figures_.drafted_tokens, figures_.accepted_tokens);
          }
          if (drafts == Drafts::always && sequences == 1) {
            EXPECT_LT(figures_.steps, without - 100);
          }
        }
      }
    }
  }
}

TEST_F(EngineFeatures, ADraftModelSavesStepsAndChangesNothing) {
  open("llama/goldens/mha_f32");
  const auto other = load_tiny_model({.folder = "llama/goldens/act_gelu_f32"});
  ASSERT_EQ(other->model().info().vocab, tiny_->model().info().vocab);
  const std::vector<Wanted> all = some_requests(*tiny_, 12, 3);
  std::vector<Said> expected;
  for (const Wanted& wanted : all) expected.push_back(alone(wanted));
  // The model itself guesses right wherever it is greedy; another one hardly ever.
  for (const TinyModel* const guesser : {tiny_.get(), other.get()}) {
    for (const std::int64_t sequences : {1, 4}) {
      RunnerLimits with = limits(sequences, 64, 9);
      with.logit_rows += 20;
      const auto run = runner(with);
      auto draft = DraftModel::make(guesser->model(), *guesser->device, sequences, kContext);
      ASSERT_TRUE(draft);
      Engine engine(*run, tokenizer_, {.drafts = Drafts::always, .draft_model = &*draft});
      std::vector<Said> found(all.size());
      for (std::size_t i = 0; i < all.size(); ++i) ASSERT_TRUE(engine.submit(request_of(all[i], found[i])));
      while (engine.step()) continue;
      EXPECT_EQ(found, expected);
      const EngineFigures figures = engine.figures();
      EXPECT_GT(figures.drafted_tokens, 500);
      if (guesser == tiny_.get()) {
        EXPECT_GT(figures.accepted_tokens, 60);
      }
    }
  }
}

TEST_F(EngineFeatures, AFullContextSlidesAsASessionsDoes) {
  open("llama/goldens/mha_f32");
  TinySession session(*tiny_, {.step_rows = 64, .context_tokens = 96});
  GenerateOptions options{.sampling = {.temperature = 1.2, .repetition_penalty = 1.1, .seed = 4},
                          .max_tokens = 200,
                          .on_full = OnFull::slide,
                          .keep_tokens = 10};
  const std::vector<std::int32_t> prompt = some_ids(*tiny_, 50, 8);
  const auto expected = generate(*session.session, tokenizer_, prompt, options);
  ASSERT_TRUE(expected);
  RunnerLimits small = limits(2, 64);
  small.context_tokens = 96;
  const auto run = runner(small);
  Engine engine(*run, tokenizer_);
  Said said;
  EngineRequest request = request_of({.prompt = prompt, .sampling = options.sampling, .max_tokens = 200}, said);
  request.on_full = OnFull::slide;
  request.keep_tokens = 10;
  ASSERT_TRUE(engine.submit(std::move(request)));
  while (engine.step()) continue;
  EXPECT_EQ(said.ids, expected->ids);
  EXPECT_THAT(said.ids, SizeIs(200));
}

TEST_F(EngineFeatures, ADeadlineEndsARequestWithWhatItHas) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(1, 64));
  Engine engine(*run, tokenizer_);
  Said runs;
  Said waits;
  const Wanted wanted{.prompt = some_ids(*tiny_, 5, 3), .max_tokens = 100};
  const auto past = std::chrono::steady_clock::now();
  EngineRequest request = request_of(wanted, waits);
  request.deadline = past;
  ASSERT_TRUE(engine.submit(request_of(wanted, runs)));
  ASSERT_TRUE(engine.submit(std::move(request)));
  while (engine.step()) continue;
  EXPECT_EQ(runs.finish, FinishReason::length);
  EXPECT_EQ(waits.finish, FinishReason::timeout);
  EXPECT_TRUE(waits.ids.empty());
}

TEST_F(EngineFeatures, ACallbackMayCancelItsOwnRequestAndSubmitAnother) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(2, 64));
  Engine engine(*run, tokenizer_);
  Said first;
  Said second;
  const Wanted wanted{.prompt = some_ids(*tiny_, 5, 3), .max_tokens = 20};
  std::uint64_t own = 0;
  int tokens = 0;
  EngineRequest request = request_of(wanted, first);
  request.on_text = [&](const AnswerPiece& piece) {
    first.text += piece.text;
    if (++tokens != 3) return;
    engine.cancel(own);
    EXPECT_TRUE(engine.submit(request_of(wanted, second)));
  };
  own = *engine.submit(std::move(request));
  while (engine.step()) continue;
  EXPECT_EQ(first.finish, FinishReason::cancelled);
  EXPECT_THAT(first.ids, SizeIs(3));
  EXPECT_EQ(second, alone(wanted));
}

TEST_F(EngineFeatures, WhoWaitsRisesAboveLaterOnesOfHigherPriority) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(1, 64));
  Engine engine(*run, tokenizer_, {.prefix_cache = false});
  std::vector<Said> others(600);
  Said low;
  // One step each: there is always one of higher priority waiting.
  const Wanted wanted{.prompt = {5, 6}, .max_tokens = 1, .priority = 1};
  Wanted humble = wanted;
  humble.priority = 0;
  ASSERT_TRUE(engine.submit(request_of(wanted, others[0])));
  ASSERT_TRUE(engine.submit(request_of(humble, low)));
  std::size_t steps = 1;
  for (; steps < others.size() && low.ids.empty(); ++steps) {
    ASSERT_TRUE(engine.submit(request_of(wanted, others[steps])));
    ASSERT_TRUE(engine.step());
  }
  EXPECT_GT(steps, 200U);
  EXPECT_LT(steps, 300U);
  while (engine.step()) continue;
}

TEST_F(EngineFeatures, WhoIsCancelledHasEndedBeforeTheNextStepWhetherItWaitsIsInItsPromptOrAnswers) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(2, 16));
  Engine engine(*run, tokenizer_, {.prefix_cache = false});
  Said answers;
  Said reads;
  Said waits;
  const std::uint64_t first =
      *engine.submit(request_of({.prompt = some_ids(*tiny_, 5, 3), .max_tokens = 100}, answers));
  while (answers.text.empty()) ASSERT_TRUE(engine.step());
  const std::uint64_t second = *engine.submit(request_of({.prompt = some_ids(*tiny_, 200, 4)}, reads));
  const std::uint64_t third = *engine.submit(request_of({.prompt = some_ids(*tiny_, 5, 5)}, waits));
  ASSERT_TRUE(engine.step());
  ASSERT_TRUE(engine.step());
  ASSERT_EQ(engine.figures().running, 2);
  ASSERT_EQ(engine.figures().waiting, 1);
  ended_ = 0;
  for (const auto& [id, said] : {std::pair{third, &waits}, {second, &reads}, {first, &answers}}) {
    said->finish = FinishReason::stop;
    engine.cancel(id);
    EXPECT_EQ(said->finish, FinishReason::cancelled);
  }
  EXPECT_EQ(ended_, 3);
  EXPECT_FALSE(answers.ids.empty());
  EXPECT_TRUE(reads.ids.empty());
  EXPECT_EQ(engine.figures().free_pages, engine.figures().pages);
  EXPECT_FALSE(engine.step());
}

TEST_F(EngineFeatures, WhenPagesRunOutTheOneOfLowestPriorityGivesWay) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(3, 64, 7));  // each needs three pages in the end
  for (const std::size_t humble : {0, 1, 2}) {
    Engine engine(*run, tokenizer_, {.prefix_cache = false});
    std::vector<std::int64_t> restarts(3);
    for (std::size_t i = 0; i < 3; ++i) {
      EngineRequest request;
      request.prompt = some_ids(*tiny_, 50, static_cast<std::uint32_t>(i));
      request.limits = {.max_tokens = 130, .ignore_eos = true};
      request.priority = i == humble ? 0 : 2;
      request.on_end = [&restarts, i](const GenerateResult& result) { restarts[i] = result.figures.restarts; };
      ASSERT_TRUE(engine.submit(std::move(request)));
    }
    while (engine.step()) continue;
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(restarts[i] > 0, i == humble) << i;
  }
}

TEST_F(EngineFeatures, ATokenThatRepeatsWithoutEndIsToldOnce) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(1, 64));
  Engine engine(*run, tokenizer_);
  std::vector<std::string> warnings;
  for (const bool stuck : {false, true}) {
    Said said;
    EngineRequest request = request_of({.prompt = {5, 6}, .max_tokens = 200}, said);
    // A penalty far below one makes what was said ever likelier.
    request.sampling.repetition_penalty = stuck ? 0.01 : 1.5;
    request.on_end = [&](const GenerateResult& result) { warnings = result.warnings; };
    ASSERT_TRUE(engine.submit(std::move(request)));
    while (engine.step()) continue;
    EXPECT_EQ(warnings.empty(), !stuck);
  }
  ASSERT_THAT(warnings, SizeIs(1));
  EXPECT_THAT(warnings[0], HasSubstr("64 times in a row"));
}

TEST_F(EngineFeatures, AnInterruptedStepHasNotHappened) {
  open("llama/goldens/mha_f32");
  const Wanted wanted{.prompt = some_ids(*tiny_, 100, 3), .max_tokens = 20};
  const Said expected = alone(wanted);
  const auto run = runner(limits(1, 32));
  Engine engine(*run, tokenizer_);
  Said said;
  ASSERT_TRUE(engine.submit(request_of(wanted, said)));
  std::atomic<bool> interrupt = false;
  for (int step = 0;; ++step) {
    interrupt = step % 3 == 1;
    if (!engine.step(&interrupt)) break;
  }
  EXPECT_EQ(said, expected);
}

TEST_F(EngineFeatures, BesideManyStreamsAShortPromptHasAStepOfItsOwnAndALongerOneShares) {
  open("llama/goldens/mha_f32");
  const auto run = runner(limits(13, 64));
  for (const std::int64_t tokens : {16, 60}) {
    std::vector<StepReport> steps;
    EngineOptions options;
    options.drafts = Drafts::none;
    options.prefix_cache = false;
    options.on_step = [&steps](const StepReport& report) { steps.push_back(report); };
    Engine engine(*run, tokenizer_, options);
    const auto submit = [&](std::int64_t prompt, std::uint32_t seed) {
      EngineRequest request;
      request.prompt = some_ids(*tiny_, prompt, seed);
      request.limits.max_tokens = 40;
      ASSERT_TRUE(engine.submit(std::move(request)));
    };
    for (std::uint32_t stream = 0; stream < 12; ++stream) submit(5, 100 + stream);
    while (steps.empty() || steps.back().shape.decode_rows < 12) ASSERT_TRUE(engine.step());
    submit(tokens, 200);
    ASSERT_TRUE(engine.step());
    const StepPacer::Shape with_prompt = steps.back().shape;
    ASSERT_TRUE(engine.step());
    if (tokens == 16) {
      EXPECT_EQ(with_prompt.prompt_rows, 16);
      EXPECT_EQ(with_prompt.decode_rows, 0);
      EXPECT_EQ(steps.back().shape.decode_rows, 13);  // the streams go on at once
    } else {
      EXPECT_GT(with_prompt.prompt_rows, 0);
      EXPECT_EQ(with_prompt.decode_rows, 12);
    }
  }
}

}  // namespace
}  // namespace corbel
