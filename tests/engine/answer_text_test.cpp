#include "corbel/engine/answer_text.h"

#include <gtest/gtest.h>

#include "tests/engine/byte_tokenizer.h"

namespace corbel {
namespace {

/// An answer made of the bytes of `text`, one token each, and then the end, as far as the limits let it go.
struct Answer {
  Answer(const AnswerLimits& limits, std::string_view bytes) : text(tokenizer, limits) {
    std::string piece;
    for (const char byte : bytes) {
      if (state != AnswerText::State::goes_on) return;
      banned.push_back(text.banned_ids().size());
      state = text.push(byte == '$' ? kEndId : byte, piece);
      shown.push_back(piece);
      whole += piece;
    }
  }
  Tokenizer tokenizer = make_byte_tokenizer();
  AnswerText text;
  AnswerText::State state = AnswerText::State::goes_on;
  std::vector<std::size_t> banned;  // number of banned ids before each token
  std::vector<std::string> shown;
  std::string whole;
};

using State = AnswerText::State;

TEST(AnswerText, AStopIdEndsTheAnswerIsNotShownAndIsReported) {
  Answer answer({.stop_ids = {kEndId}}, "ab$cd");
  EXPECT_EQ(answer.state, State::stopped);
  EXPECT_EQ(answer.whole + answer.text.finish(), "ab");
  EXPECT_EQ(answer.text.tokens(), 3);
  EXPECT_EQ(answer.text.stop_id(), kEndId);
  EXPECT_EQ(answer.text.stop_string(), nullptr);
}

TEST(AnswerText, AStopStringAcrossTokensIsHeldBackTakenOutAndReported) {
  Answer answer({.stop_ids = {kEndId}, .stop_strings = {"xyz", "END"}}, "aENbEND$");
  EXPECT_EQ(answer.shown, (std::vector<std::string>{"a", "", "", "ENb", "", "", ""}));
  EXPECT_EQ(answer.state, State::stopped);
  EXPECT_EQ(answer.whole + answer.text.finish(), "aENb");
  ASSERT_NE(answer.text.stop_string(), nullptr);
  EXPECT_EQ(*answer.text.stop_string(), "END");
  EXPECT_EQ(answer.text.stop_id(), -1);
}

TEST(AnswerText, AnIncludedStopStringEndsTheText) {
  Answer answer({.stop_strings = {"END"}, .include_stop_string = true}, "aENDb");
  EXPECT_EQ(answer.whole + answer.text.finish(), "aEND");
  EXPECT_EQ(answer.state, State::stopped);
  Answer across({.stop_strings = {" b"}, .include_stop_string = true}, "a bc");
  EXPECT_EQ(across.whole, "a b");
}

TEST(AnswerText, WhatWasHeldBackInVainComesWithTheEnd) {
  Answer answer({.max_tokens = 3, .stop_strings = {"END"}}, "aENDx");
  EXPECT_EQ(answer.state, State::full);
  EXPECT_EQ(answer.whole, "a");
  EXPECT_EQ(answer.text.finish(), "EN");
  EXPECT_EQ(answer.text.stop_string(), nullptr);
}

TEST(AnswerText, StopIdsAreBannedUntilThereAreMinTokens) {
  Answer answer({.stop_ids = {kEndId, 'q'}, .min_tokens = 3}, "abcd$");
  EXPECT_EQ(answer.banned, (std::vector<std::size_t>{2, 2, 2, 0, 0}));
  EXPECT_EQ(answer.state, State::stopped);
  EXPECT_EQ(answer.text.tokens(), 5);
}

TEST(AnswerText, AStopIdThatCouldNotBeBannedEndsTheAnswerAllTheSame) {
  Answer answer({.stop_ids = {kEndId}, .min_tokens = 3}, "a$b");
  EXPECT_EQ(answer.state, State::stopped);
  EXPECT_EQ(answer.text.stop_id(), kEndId);
}

TEST(AnswerText, StopStringsAreLookedForBehindMinTokens) {
  Answer early({.stop_strings = {"ab"}, .min_tokens = 4}, "ababxab!");
  EXPECT_EQ(early.whole, "ababx");
  EXPECT_EQ(early.state, State::stopped);
  EXPECT_EQ(early.text.tokens(), 7);
}

TEST(AnswerText, IgnoredStopIdsGoOnAndAreNotBanned) {
  Answer answer({.max_tokens = 4, .stop_ids = {kEndId, 'b'}, .min_tokens = 2, .ignore_eos = true}, "ab$cde");
  EXPECT_EQ(answer.state, State::full);
  EXPECT_EQ(answer.text.tokens(), 4);
  EXPECT_EQ(answer.banned, (std::vector<std::size_t>{0, 0, 0, 0}));
  EXPECT_EQ(answer.whole + answer.text.finish(), "abc") << "special tokens have no text";
  EXPECT_EQ(answer.text.stop_id(), -1);
}

TEST(AnswerText, StopStringsStillEndAnAnswerThatIgnoresStopIds) {
  Answer answer({.stop_ids = {kEndId}, .stop_strings = {"c"}, .ignore_eos = true}, "a$bcd");
  EXPECT_EQ(answer.state, State::stopped);
  EXPECT_EQ(answer.whole, "ab");
}

TEST(AnswerLimits, NumbersThatCannotBeAreNamed) {
  const auto refusal = [](const AnswerLimits& limits) {
    const auto checked = limits.validate();
    return checked ? "accepted" : checked.error().message;
  };
  EXPECT_EQ(refusal({}), "accepted");
  EXPECT_EQ(refusal({.max_tokens = 3, .min_tokens = 3}), "accepted");
  EXPECT_EQ(refusal({.min_tokens = 30}), "accepted");
  EXPECT_EQ(refusal({.max_tokens = -1}), "max_tokens is -1; it must be 0 or more");
  EXPECT_EQ(refusal({.min_tokens = -1}), "min_tokens is -1; it must be 0 or more");
  EXPECT_EQ(refusal({.max_tokens = 3, .min_tokens = 4}), "min_tokens is 4; it must be at most max_tokens, which is 3");
}

}  // namespace
}  // namespace corbel
