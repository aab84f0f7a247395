// What the engine makes of the times of its steps: on a clock that a model moves by what its rows are said to cost.
#include <gtest/gtest.h>

#include "corbel/engine/engine.h"
#include "tests/engine/byte_tokenizer.h"
#include "tests/engine/echo_model.h"

namespace corbel {
namespace {

using Clock = std::chrono::steady_clock;

/// Says the same few tokens again and again. A step moves the clock by what the machine takes for its rows.
class TimedModel : public EchoModel {
 public:
  using Cost = std::function<double(std::int64_t decode_rows, std::int64_t prompt_rows, double position)>;
  /// Spans of at most so many rows are drafts, longer ones of prompts.
  explicit TimedModel(Cost cost, std::int64_t draft_rows = DraftPolicy::kMostTokens + 1)
      : cost_(std::move(cost)), draft_rows_(draft_rows) {}

  Clock::time_point now() const { return now_; }

  void embed(const StepInputs& step, const TensorView&, RunContext& context) const noexcept override {
    if (context.scratch->measuring()) return;
    std::int64_t prompt_rows = 0;
    double positions = 0.0;
    for (std::int64_t span = 0; span < step.prefill_spans; ++span) {
      const std::int32_t* const one = static_cast<const std::int32_t*>(step.spans.data) + span * 3;
      if (one[2] <= draft_rows_) continue;
      prompt_rows += one[2];
      positions += one[2] * (static_cast<const std::int32_t*>(step.slots.data)[one[1]] + one[2] / 2.0);
    }
    const double seconds =
        cost_(step.rows - prompt_rows, prompt_rows, prompt_rows > 0 ? positions / static_cast<double>(prompt_rows) : 0);
    now_ += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

 protected:
  void answer(std::span<const std::int32_t> tokens, std::span<float> logits) const noexcept override {
    std::ranges::fill(logits, 0.0F);
    logits[static_cast<std::size_t>(tokens.back() % 5 + 1)] = 1.0F;
  }

 private:
  Cost cost_;
  std::int64_t draft_rows_;
  mutable Clock::time_point now_;
};

/// One that says something else now and then, so that guesses are wrong.
class SurprisingModel final : public TimedModel {
 public:
  using TimedModel::TimedModel;

 protected:
  void answer(std::span<const std::int32_t> tokens, std::span<float> logits) const noexcept override {
    TimedModel::answer(tokens, logits);
    const std::uint32_t number = static_cast<std::uint32_t>(tokens.size()) * 2654435761U >> 16;
    if (number % 9 == 0) logits[10 + number % 80] = 2.0F;
  }
};

/// An engine on that clock, with what it reports of its steps.
class Paced {
 public:
  Paced(const TimedModel& model, std::int64_t sequences, Drafts drafts)
      : runner_(*StepRunner::make(model, *device_,
                                  {.step_rows = 512,
                                   .logit_rows = sequences + kDraftLogitRows,
                                   .sequences = sequences,
                                   .context_tokens = 40000,
                                   .pages = 1000})),
        engine_(runner_, tokenizer_,
                {.prefix_cache = false,
                 .drafts = drafts,
                 .on_step = [this](const StepReport& report) { steps.push_back(report); },
                 .now = [&model] { return model.now(); }}) {}

  void submit(std::int64_t prompt, std::int64_t tokens) {
    EngineRequest request;
    for (std::int64_t i = 0; i < prompt; ++i) request.prompt.push_back(static_cast<std::int32_t>((i * i + 3 * i) % 97));
    request.limits.max_tokens = tokens;
    ASSERT_TRUE(engine_.submit(std::move(request)));
  }
  const StepReport& step() {
    EXPECT_TRUE(engine_.step());
    return steps.back();
  }

  Engine& engine() { return engine_; }

  std::vector<StepReport> steps;

 private:
  std::unique_ptr<Device> device_ = make_reference_device();
  StepRunner runner_;
  Tokenizer tokenizer_ = make_byte_tokenizer();
  Engine engine_;
};

TEST(EnginePace, NothingIsDraftedBeforeAStepOfJustTheStreamsWasMeasured) {
  // Rows cost nothing beside the weights: a draft always pays.
  const TimedModel model([](std::int64_t, std::int64_t, double) { return 0.020; });
  Paced paced(model, 3, Drafts::where_they_pay);
  paced.submit(100, 400);
  paced.step();                               // the prompt
  for (int i = 0; i < 20; ++i) paced.step();  // the answer has begun to repeat itself
  EXPECT_GT(paced.steps.back().shape.decode_rows, 4);
  for (const std::int64_t streams : {2, 3}) {
    SCOPED_TRACE(streams);
    paced.submit(100, 400);
    while (paced.step().running < streams || paced.steps.back().shape.prompt_rows > 0) continue;
    EXPECT_EQ(paced.steps.back().shape.decode_rows, streams) << "nobody knows yet what so many streams take";
    for (int i = 0; i < 3; ++i) paced.step();
    EXPECT_GT(paced.steps.back().shape.decode_rows, streams) << "now drafts are weighed against it";
  }
}

TEST(EnginePace, DraftsOfRowsThatCostAsMuchAsStepsAreGivenUp) {
  // Arithmetic alone: a row more is a step more. Nothing can be gained, however often guesses are right.
  const TimedModel model(
      [](std::int64_t rows, std::int64_t prompts, double) { return 0.001 * static_cast<double>(rows + prompts); });
  Paced paced(model, 1, Drafts::where_they_pay);
  paced.submit(100, 600);
  std::int64_t drafted = 0;
  for (int i = 0; i < 300; ++i)
    drafted += paced.step().shape.prompt_rows == 0 ? paced.steps.back().shape.decode_rows - 1 : 0;
  EXPECT_LT(drafted, 20) << "more than a few tries to learn what rows cost";
}

TEST(EnginePace, RowsThatAlwaysCostAsMuchAsStepsAreTriedAgainSoSeldomThatNothingIsLost) {
  double seconds = 0.0;
  const SurprisingModel model([&seconds](std::int64_t rows, std::int64_t prompts, double) {
    seconds += prompts == 0 ? 0.001 * static_cast<double>(rows) : 0.0;
    return 0.001 * static_cast<double>(rows + prompts);
  });
  Paced paced(model, 1, Drafts::where_they_pay);
  paced.submit(100, 6000);
  while (paced.step().running > 0) continue;
  EXPECT_LT(seconds, 6.0 / 0.99);
}

TEST(EnginePace, AStepThatTheMachineStoppedInDoesNotEndDraftsForGood) {
  // Rows cost nothing; but the first step with a draft comes in a bad moment.
  bool stopped = false;
  const TimedModel model([&stopped](std::int64_t rows, std::int64_t, double) {
    const bool now = rows > 1 && !stopped;
    stopped = stopped || now;
    return now ? 0.5 : 0.020;
  });
  Paced paced(model, 1, Drafts::where_they_pay);
  paced.submit(100, 20000);
  while (!stopped) paced.step();
  int without = 0;
  while (paced.step().shape.decode_rows < 5) ASSERT_LT(++without, 3000);
  EXPECT_GT(without, 100) << "a single step was forgotten at once";
}

/// A machine whose rows are cheap by the hundred and dear by the dozen, as kernels are.
double machine(std::int64_t decode_rows, std::int64_t prompt_rows, double position) {
  const double row = (0.27e-3 + 0.18e-3 / (1.0 + static_cast<double>(prompt_rows) / 64.0)) * (1.0 + position / 8192.0);
  return 0.015 + 0.2e-3 * static_cast<double>(decode_rows) + row * static_cast<double>(prompt_rows);
}

TEST(EnginePace, StreamsSlowDownByLessThanTwiceFromTheFirstStepOfALongPromptOn) {
  for (const auto& [knows_prompts, tokens] : {std::pair{true, 8192}, {false, 8192}, {true, 32768}, {false, 32768}}) {
    SCOPED_TRACE(knows_prompts ? "a long prompt ran before, alone" : "nothing ran before");
    SCOPED_TRACE(tokens);
    const TimedModel model(machine, 0);
    Paced paced(model, 9, Drafts::none);
    if (knows_prompts) {
      paced.submit(tokens, 1);
      while (paced.step().running > 0) continue;
    }
    for (int i = 0; i < 8; ++i) paced.submit(20, 7000);
    while (paced.step().shape.decode_rows < 8) continue;
    for (int i = 0; i < 20; ++i) paced.step();
    const double alone = paced.steps.back().run_seconds;
    paced.submit(tokens, 1);
    std::int64_t rows = 0;
    std::int64_t steps = 0;
    std::int64_t slow = 0;
    while (rows < tokens) {
      const StepReport& report = paced.step();
      rows += report.shape.prompt_rows;
      ++steps;
      slow += report.run_seconds > (tokens == 8192 ? 2.0 : 3.0) * alone ? 1 : 0;
      EXPECT_LT(report.run_seconds, 2.6 * alone) << "at " << rows;
    }
    EXPECT_LE(slow, steps / 100) << "of " << steps << " steps";
    EXPECT_LT(steps, tokens == 8192 ? 500 : 6000) << "the prompt gets what the streams can spare";
  }
}

TEST(EnginePace, FarBehindInALongPromptWhereARowTakesLongStepsHaveFewerOfThem) {
  const TimedModel model(
      [](std::int64_t, std::int64_t prompt_rows, double position) {
        return 0.006 + static_cast<double>(prompt_rows) * (0.1e-3 + 1.6e-3 * position / 32768.0);
      },
      0);
  Paced paced(model, 9, Drafts::none);
  for (int i = 0; i < 2; ++i) paced.submit(20, 30000);
  while (paced.step().shape.decode_rows < 2) continue;
  for (int i = 0; i < 20; ++i) paced.step();
  paced.submit(32768, 1);
  std::int64_t rows = 0;
  while (rows < 32700) {  // the last of them, too: what is left of a long prompt is no short one
    const StepReport& report = paced.step();
    rows += report.shape.prompt_rows;
    ASSERT_GT(report.shape.prompt_rows, 0) << "it goes on at " << rows;
    ASSERT_LT(report.run_seconds, 2.8 * 0.006) << "at " << rows;
  }
}

TEST(EnginePace, TheShortRestOfAPromptSharesItsStepWithManyStreams) {
  const TimedModel model(
      [](std::int64_t rows, std::int64_t prompts, double) { return 0.001 * static_cast<double>(rows + prompts); }, 0);
  Paced paced(model, 17, Drafts::none);
  for (int i = 0; i < 16; ++i) paced.submit(20, 7000);
  while (paced.step().shape.decode_rows < 16) continue;
  for (int i = 0; i < 20; ++i) paced.step();
  paced.submit(100, 1);
  for (std::int64_t rows = 0; rows < 100; rows += paced.steps.back().shape.prompt_rows)
    ASSERT_EQ(paced.step().shape.decode_rows, 16) << "after " << rows << " rows of the prompt";
}

TEST(EnginePace, DeadlinesGoByTheEnginesClock) {
  const TimedModel model([](std::int64_t, std::int64_t, double) { return 10.0; });
  Paced paced(model, 1, Drafts::none);
  std::optional<FinishReason> finish;
  EngineRequest request{.prompt = {1, 2, 3}, .limits = {.max_tokens = 100}};
  request.deadline = model.now() + std::chrono::seconds(35);
  request.on_end = [&finish](const GenerateResult& result) { finish = result.finish; };
  ASSERT_TRUE(paced.engine().submit(std::move(request)));
  while (!finish) paced.engine().step();
  EXPECT_EQ(finish, FinishReason::timeout);
  EXPECT_EQ(paced.steps.size(), 4U);
}

}  // namespace
}  // namespace corbel
