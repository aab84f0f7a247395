#include "corbel/engine/constraint.h"

#include <gtest/gtest.h>

#include <thread>

#include "corbel/engine/answer_text.h"

namespace corbel {
namespace {

/// Bytes as tokens, some words, <think> and [CALL] as special tokens, an end.
Tokenizer byte_tokenizer() {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    static const char* kHex = "0123456789ABCDEF";
    vocab += cat(byte > 0 ? "," : "", "\"<0x", kHex[byte >> 4], kHex[byte & 15], ">\":", byte);
  }
  vocab += R"(,"Hello":256,"\u2581Hello":257,"\u2581":258,"{\"":259,"</th":260,"ink>x":261)";
  const std::string json = cat(
      R"({"version":"1.0","added_tokens":[)",
      R"({"id":262,"content":"[CALL]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},)",
      R"({"id":263,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],)",
      R"("normalizer":null,"pre_tokenizer":null,"post_processor":null,)",
      R"("decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},)",
      R"({"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},)",
      R"("model":{"type":"BPE","byte_fallback":true,"unk_token":null,"fuse_unk":false,"vocab":{)", vocab,
      R"(},"merges":[]}})");
  return *Tokenizer::from_json(json, "test");
}

constexpr std::int32_t kCall = 262;
constexpr std::int32_t kEnd = 263;

bool allowed(ConstraintCursor& cursor, std::int32_t token) {
  std::vector<std::uint64_t> mask(8);  // more words than the vocabulary takes
  cursor.fill_mask(mask);
  return ((mask[static_cast<std::size_t>(token) / 64] >> (token % 64)) & 1) != 0;
}

bool accept_text(ConstraintCursor& cursor, std::string_view text) {
  for (const char c : text) {
    if (!cursor.accept(static_cast<std::uint8_t>(c))) return false;
  }
  return true;
}

TEST(Constraint, AnAnswerThatIsCompleteMustEnd) {
  const Tokenizer tokenizer = byte_tokenizer();
  ConstraintCompiler compiler(tokenizer, {kEnd});
  ConstraintCursor cursor = (*compiler.compile(GrammarSource::choice({"a", "ab"})))->start();
  EXPECT_FALSE(cursor.may_end());
  EXPECT_FALSE(allowed(cursor, kEnd));
  ASSERT_TRUE(accept_text(cursor, "a"));
  EXPECT_TRUE(cursor.may_end());
  EXPECT_FALSE(cursor.must_end());
  EXPECT_TRUE(allowed(cursor, 'b'));
  EXPECT_TRUE(allowed(cursor, kEnd));
  ASSERT_TRUE(accept_text(cursor, "b"));
  EXPECT_TRUE(cursor.must_end());
  EXPECT_TRUE(cursor.accept(kEnd));
  cursor.rollback(2);
  EXPECT_FALSE(cursor.must_end());
  EXPECT_FALSE(cursor.accept('a'));
  EXPECT_EQ(cursor.tokens(), 1U);
}

TEST(Constraint, SpecialTokensComeOnlyWhereTheyAreAskedFor) {
  const Tokenizer tokenizer = byte_tokenizer();
  ConstraintCompiler compiler(tokenizer, {kEnd});
  ConstraintCursor json = (*compiler.compile(GrammarSource::json_value()))->start();
  ASSERT_TRUE(accept_text(json, "\"[CA"));
  EXPECT_FALSE(allowed(json, kCall));
  ConstraintCursor call =
      (*compiler.compile(GrammarSource::sequence({GrammarSource::marked("[CALL] "), GrammarSource::json_value()})))
          ->start();
  EXPECT_TRUE(allowed(call, kCall));
  EXPECT_FALSE(allowed(call, '['));
  EXPECT_FALSE(allowed(call, 0xFF));
  ASSERT_TRUE(call.accept(kCall));
  EXPECT_TRUE(accept_text(call, " {}"));
  EXPECT_TRUE(call.must_end());
}

TEST(Constraint, WhatFollowsAMarkIsBoundFromItsFirstByteOn) {
  const Tokenizer tokenizer = byte_tokenizer();
  ConstraintCompiler compiler(tokenizer, {kEnd});
  const GrammarSource source =
      GrammarSource::sequence({GrammarSource::until("</think>"), GrammarSource::choice({"x", "y"})});
  ConstraintCursor cursor = (*compiler.compile(source))->start();
  ASSERT_TRUE(accept_text(cursor, "</th </"));
  cursor.rollback(2);
  EXPECT_FALSE(cursor.may_end());
  ASSERT_TRUE(cursor.accept(260));
  EXPECT_TRUE(allowed(cursor, 261));  // "ink>x" goes over the border
  ConstraintCursor other = cursor;
  ASSERT_TRUE(other.accept(261));
  EXPECT_TRUE(other.must_end());
  ASSERT_TRUE(accept_text(cursor, "ink>"));
  EXPECT_FALSE(allowed(cursor, 'a'));
  EXPECT_TRUE(accept_text(cursor, "y"));
}

TEST(Constraint, AMarkThatIsASpecialTokenIsNotItsSpelling) {
  const Tokenizer tokenizer = byte_tokenizer();
  ConstraintCompiler compiler(tokenizer, {kEnd});
  ConstraintCursor cursor =
      (*compiler.compile(GrammarSource::sequence({GrammarSource::until("[CALL]"), GrammarSource::literal("z")})))
          ->start();
  ASSERT_TRUE(accept_text(cursor, "so [CALL]"));
  EXPECT_FALSE(cursor.may_end());
  ASSERT_TRUE(cursor.accept(kCall));
  EXPECT_FALSE(allowed(cursor, 'a'));
  EXPECT_TRUE(accept_text(cursor, "z"));
  EXPECT_TRUE(cursor.must_end());
}

TEST(Constraint, ATextWithoutAMarkMayEndAnywhereButHasNoneInIt) {
  const Tokenizer tokenizer = byte_tokenizer();
  ConstraintCompiler compiler(tokenizer, {kEnd});
  ConstraintCursor cursor = (*compiler.compile(GrammarSource::until_end("<c>")))->start();
  EXPECT_TRUE(cursor.may_end());
  ASSERT_TRUE(accept_text(cursor, "a <c"));
  EXPECT_TRUE(cursor.may_end());
  EXPECT_FALSE(allowed(cursor, '>'));
}

TEST(AnswerText, ShowsTheSpecialTokensThatItIsToldToShowAndNoOthers) {
  const Tokenizer tokenizer = byte_tokenizer();
  const auto said = [&](std::vector<std::int32_t> shown) {
    AnswerText answer(tokenizer, {.shown_ids = std::move(shown)});
    std::string text;
    std::string piece;
    for (const std::int32_t id : {256, kCall, 257, kEnd}) {
      answer.push(id, piece);
      text += piece;
    }
    return text + answer.finish();
  };
  EXPECT_EQ(said({}), "Hello Hello");
  EXPECT_EQ(said({kCall}), "Hello[CALL] Hello");
}

TEST(Constraint, TheFirstTokenIsWhatTheDecoderMakesOfIt) {
  const Tokenizer tokenizer = byte_tokenizer();
  ConstraintCompiler compiler(tokenizer, {kEnd});
  ConstraintCursor cursor = (*compiler.compile(GrammarSource::literal("Hello Hello")))->start();
  EXPECT_TRUE(allowed(cursor, 256));
  EXPECT_TRUE(allowed(cursor, 257));  // its space is no part of the text here
  ASSERT_TRUE(cursor.accept(257));
  EXPECT_FALSE(allowed(cursor, 256));
  ASSERT_TRUE(cursor.accept(257));
  EXPECT_TRUE(cursor.must_end());
  EXPECT_EQ(tokenizer.decode(std::vector<std::int32_t>{257, 257}), "Hello Hello");
  ConstraintCursor spaced = (*compiler.compile(GrammarSource::literal(" Hello")))->start();
  EXPECT_FALSE(allowed(spaced, 257));
}

TEST(ConstraintCompiler, EqualSourcesShareOneConstraintAndRefusalsNameTheirPlace) {
  const Tokenizer tokenizer = byte_tokenizer();
  ConstraintCompiler compiler(tokenizer, {kEnd, kEnd, 99999});
  const GrammarSource source = GrammarSource::json_schema(R"({"type":"integer"})");
  const auto first = *compiler.compile(source);
  EXPECT_EQ(*compiler.compile(source), first);
  EXPECT_NE(*compiler.compile(source, {.whitespace = Whitespace::compact}), first);
  for (std::size_t i = 0; i <= ConstraintCompiler::kKept; ++i) {
    ASSERT_TRUE(compiler.compile(GrammarSource::literal(std::to_string(i))));
  }
  EXPECT_NE(*compiler.compile(source), first);
  const auto refused = compiler.compile(GrammarSource::json_schema(R"({"properties":{"a":{"not":{}}}})"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("#/properties/a"), std::string::npos);
  EXPECT_FALSE(compiler.compile(GrammarSource::literal(std::string(ConstraintCompiler::kMaxSourceBytes + 1, 'a'))));
}

TEST(ConstraintCompiler, ManyThreadsMayCompileAtOnce) {
  const Tokenizer tokenizer = byte_tokenizer();
  ConstraintCompiler compiler(tokenizer, {kEnd});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 60; ++i) EXPECT_TRUE(compiler.compile(GrammarSource::literal(std::to_string(i % 40))));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace corbel
