#include "corbel/engine/step_pacer.h"

#include <gtest/gtest.h>

#include <cmath>

namespace corbel {
namespace {

/// A machine: reading the weights takes 20 ms, a row 2 ms and 1 ms more for each 4k tokens before it.
double machine(std::int64_t decode_rows, std::int64_t prompt_rows, double position) {
  const double row = 2e-3 + 1e-3 * position / 4096.0;
  return 20e-3 + 2e-4 * static_cast<double>(decode_rows) + row * static_cast<double>(prompt_rows);
}

TEST(StepPacer, KnowsNothingAtFirst) {
  const StepPacer pacer(2.0);
  EXPECT_EQ(pacer.decode_seconds(3), 0.0);
  EXPECT_EQ(pacer.prompt_row_seconds(100), 0.0);
  EXPECT_TRUE(std::isinf(pacer.seconds_for_prompts(4, 1)));
  EXPECT_TRUE(std::isinf(pacer.seconds_for_prompts(0, 1)));
}

TEST(StepPacer, StepsWithPromptsStayWithinTheStretchAtEveryPosition) {
  StepPacer pacer(2.0);
  for (int i = 0; i < 10; ++i) pacer.measured({.decode_rows = 8}, machine(8, 0, 0));
  double position = 0.0;
  int steps = 0;
  int slow = 0;
  while (position < 32768.0) {
    const double seconds = pacer.seconds_for_prompts(8, 1);
    const double row = pacer.prompt_row_seconds(static_cast<std::int64_t>(position));
    const std::int64_t rows = std::max<std::int64_t>(1, static_cast<std::int64_t>(seconds / row));
    const double took = machine(8, rows, position);
    slow += took > 2.1 * machine(8, 0, 0) ? 1 : 0;
    ++steps;
    pacer.measured({.decode_rows = 8, .prompt_rows = rows, .prompt_position = position}, took);
    position += static_cast<double>(rows);
  }
  EXPECT_LT(slow, steps / 50);
  // Nor does the prompt wait without need: at the allowed pace it takes about so many steps.
  double needed = 0.0;
  for (double at = 0.0; at < 32768.0; at += 64.0) needed += 64.0 * (2e-3 + 1e-3 * at / 4096.0) / machine(8, 0, 0);
  EXPECT_LT(steps, 1.3 * needed);
}

TEST(StepPacer, ACrowdOfPromptsMayDelayAFewStreamsAndOnePromptNotMany) {
  StepPacer pacer(2.0);
  pacer.measured({.decode_rows = 4}, 0.010);
  pacer.measured({.decode_rows = 16}, 0.010);
  EXPECT_DOUBLE_EQ(pacer.seconds_for_prompts(16, StepPacer::streams_for_prompt(128)), 0.010);
  EXPECT_DOUBLE_EQ(pacer.seconds_for_prompts(4, StepPacer::streams_for_prompt(8192)), 0.010);
  EXPECT_DOUBLE_EQ(pacer.seconds_for_prompts(4, 3 * StepPacer::streams_for_prompt(128)), 0.230);  // 48 / 4 x stretch 2
}

TEST(StepPacer, UnmeasuredNumbersOfRowsAreBetweenTheirNeighbours) {
  StepPacer pacer(2.0);
  pacer.measured({.decode_rows = 2}, 0.010);
  EXPECT_DOUBLE_EQ(pacer.decode_seconds(1), 0.010);
  EXPECT_DOUBLE_EQ(pacer.decode_seconds(9), 0.010);
  pacer.measured({.decode_rows = 6}, 0.018);
  EXPECT_DOUBLE_EQ(pacer.decode_seconds(4), 0.014);
  EXPECT_TRUE(pacer.knows(6));
  EXPECT_FALSE(pacer.knows(4));
  EXPECT_DOUBLE_EQ(pacer.decode_seconds(500), 0.018);
}

// A crowd of prompts beside the first streams: no step of so many streams alone is run before the last prompt is done.
TEST(StepPacer, RowsAboveAllThatWereMeasuredCostWhatOnesOfPromptsAloneDo) {
  StepPacer pacer(2.0);
  pacer.measured({.decode_rows = 1}, 0.010);
  pacer.measured({.prompt_rows = 500, .prompt_position = 50.0}, 0.5);  // 1 ms a row
  EXPECT_DOUBLE_EQ(pacer.decode_seconds(1), 0.010);
  EXPECT_DOUBLE_EQ(pacer.decode_seconds(15), 0.024);
  pacer.measured({.decode_rows = 15, .prompt_rows = 10, .prompt_position = 50.0}, 0.036);
  EXPECT_NEAR(pacer.prompt_row_seconds(50), 1.2e-3, 1e-9) << "not what the streams' own rows take";
  pacer.measured({.decode_rows = 16}, 0.017);
  EXPECT_LT(pacer.decode_seconds(15), 0.017) << "measured now, a guess no more";
}

TEST(StepPacer, AFewRowsAloneTeachNothingAboutRowsBesideOthers) {
  StepPacer pacer(2.0);
  pacer.measured({.prompt_rows = 4, .prompt_position = 2.0}, machine(0, 4, 2.0));
  EXPECT_EQ(pacer.prompt_row_seconds(0), 0.0);
  pacer.measured({.prompt_rows = 512, .prompt_position = 256.0}, machine(0, 512, 256.0));
  EXPECT_NEAR(pacer.prompt_row_seconds(0), 1.4 * 2.1e-3, 1e-4) << "a row of few is dearer than one of 512";
}

TEST(StepPacer, AStepThatTheMachineStoppedInMovesTheMeansLittle) {
  StepPacer pacer(2.0);
  pacer.measured({.decode_rows = 8}, 0.020);
  pacer.measured({.decode_rows = 8, .prompt_rows = 10, .prompt_position = 100.0}, 0.040);
  pacer.measured({.decode_rows = 8}, 1.0);
  EXPECT_NEAR(pacer.decode_seconds(8), 0.024, 1e-9);
  pacer.measured({.decode_rows = 8, .prompt_rows = 10, .prompt_position = 100.0}, 1.0);
  EXPECT_NEAR(pacer.prompt_row_seconds(100), 2.7e-3, 1e-9);
}

TEST(StepPacer, WhatNobodyRunsAnyMoreIsBelievedLessUntilItIsMeasuredAnew) {
  StepPacer pacer(2.0);
  pacer.measured({.decode_rows = 2}, 0.010);
  pacer.measured({.decode_rows = 6}, 0.012);
  pacer.measured({.decode_rows = 9}, 1.0);  // the machine stopped in it
  double before = pacer.decode_seconds(9);
  for (int i = 0; i < 4000; ++i) {
    pacer.doubt_more_rows_than(2);
    EXPECT_LE(pacer.decode_seconds(9), before);
    before = pacer.decode_seconds(9);
  }
  EXPECT_LT(pacer.decode_seconds(9), 0.011);
  EXPECT_GE(pacer.decode_seconds(9), 0.010) << "more rows never take less";
  EXPECT_DOUBLE_EQ(pacer.decode_seconds(2), 0.010);
  pacer.measured({.decode_rows = 9}, 0.014);
  EXPECT_DOUBLE_EQ(pacer.decode_seconds(9), 0.014);
}

TEST(StepPacer, WhatWasMeasuredBesideStreamsCountsMoreThanStepsOfPromptsAlone) {
  StepPacer pacer(2.0);
  pacer.measured({.decode_rows = 4}, 0.010);
  pacer.measured({.prompt_rows = 500, .prompt_position = 500.0}, 0.5);   // 1 ms a row
  pacer.measured({.prompt_rows = 500, .prompt_position = 6000.0}, 1.0);  // and 2 ms further on
  pacer.measured({.decode_rows = 4, .prompt_rows = 10, .prompt_position = 100.0}, 0.040);
  EXPECT_NEAR(pacer.prompt_row_seconds(0), 3e-3, 1e-9);
  EXPECT_NEAR(pacer.prompt_row_seconds(7000), 6e-3, 1e-9) << "dearer by as much as it is alone";
  pacer.measured({.decode_rows = 4, .prompt_rows = 10, .prompt_position = 7000.0}, 0.050);
  EXPECT_NEAR(pacer.prompt_row_seconds(7000), 4e-3, 1e-9);
}

TEST(StepPacer, RowsFarIntoAPromptHaveACostOfTheirOwn) {
  StepPacer pacer(2.0);
  for (int i = 0; i < 30; ++i) {
    for (const double position : {100.0, 30'000.0})
      pacer.measured({.prompt_rows = 100, .prompt_position = position}, position * 1e-3);
  }
  EXPECT_NEAR(pacer.prompt_row_seconds(30'000) / pacer.prompt_row_seconds(100), 300.0, 0.1);
}

TEST(StepPacer, RowsOfPromptsCostSomethingEvenIfAStepWithThemWasTheFasterOne) {
  StepPacer pacer(2.0);
  pacer.measured({.decode_rows = 8}, 0.020);
  pacer.measured({.decode_rows = 8, .prompt_rows = 10, .prompt_position = 5.0}, 0.019);
  EXPECT_DOUBLE_EQ(pacer.prompt_row_seconds(0), 0.02 * 0.019 / 10.0);
}

}  // namespace
}  // namespace corbel
