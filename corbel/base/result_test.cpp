#include "corbel/base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace corbel {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Code::bad_request, cat(value, " is odd"));
  return value / 2;
}

Result<int> quarter(int value) {
  CORBEL_ASSIGN(const int once, half(value));
  CORBEL_TRY(half(once));
  return once / 2;
}

TEST(Result, HoldsAValueOrTheErrorOfWhoFailed) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(7).error().message, "7 is odd");
  EXPECT_EQ(quarter(6).error().message, "3 is odd");
  EXPECT_EQ(quarter(6).error().code, Code::bad_request);
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> made = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = *std::move(made);
  EXPECT_EQ(*taken, 7);
}

TEST(Result, OfVoidIsGoodUnlessItFails) {
  EXPECT_TRUE(Result<void>());
  const Result<void> failed = fail(Code::no_memory, "too large");
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "too large");
}

TEST(Result, AForwardedFailureKeepsItsCodeAndGetsItsContextInFront) {
  const Result<int> failed = half(3);
  EXPECT_EQ(forward_failure(failed, "cannot load x").error.message, "cannot load x: 3 is odd");
  EXPECT_EQ(forward_failure(failed).error.code, Code::bad_request);
}

TEST(ResultDeathTest, AskingAFailedResultForItsValueStopsTheProgram) { EXPECT_DEATH(half(3).value(), ""); }

TEST(Code, HasAStableSpelling) {
  EXPECT_EQ(code_name(Code::bad_file), "bad_file");
  EXPECT_EQ(code_name(Code::device_failed), "device_failed");
}

TEST(Cat, WritesNumbersInTheirShortestExactForm) {
  EXPECT_EQ(cat("a", 'b', 1, -2L, 0.1, 0.1f, true, std::string("x")), "ab1-20.10.1truex");
}

}  // namespace
}  // namespace corbel
