#include "corbel/engine/session.h"

#include <gtest/gtest.h>

#include <cstring>

#include "corbel/base/test_resident.h"
#include "corbel/engine/direct_model.h"
#include "corbel/verify/golden.h"
#include "tests/engine/tiny_model.h"

namespace corbel {
namespace {

// Checkpoints whose attention, rotary scaling and formats differ most: whole history, window, length-dependent
// rotation, one key head, bf16 and f16.
const std::vector<std::string> kFolders = {
    "llama/goldens/mha_f32",          "llama/goldens/mistral_window_bf16",      "llama/goldens/rope_dynamic_long_f32",
    "llama/goldens/mqa_head_dim_f16", "llama/goldens/rope_longrope_short_bf16",
};
constexpr std::int64_t kContext = 320;  // five pages, three key blocks

/// Equal to the last bit, NaN and signed zeros included.
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Logits after each of `answer` when it is decoded after one prefill of `prompt`.
std::vector<std::vector<float>> logits_along(TinyModel& tiny, std::int64_t step_rows,
                                             const std::vector<std::int32_t>& prompt,
                                             const std::vector<std::int32_t>& answer) {
  TinySession open(tiny, {.step_rows = step_rows, .context_tokens = kContext});
  std::vector<std::vector<float>> all;
  auto logits = open.session->prefill(prompt);
  EXPECT_TRUE(logits) << (logits ? "" : logits.error().message);
  if (!logits) return all;
  all.push_back(numbers(*logits));
  for (const std::int32_t id : answer) {
    logits = open.session->decode(id);
    EXPECT_TRUE(logits);
    if (!logits) return all;
    all.push_back(numbers(*logits));
  }
  return all;
}

TEST(Session, AnySplitIntoChunksEqualsOnePrefillAndTokenByTokenDecodeBitForBit) {
  for (const std::string& folder : kFolders) {
    for (const int threads : {1, 2}) {
      for (const TinyModelChoice& choice : every_level(folder, threads)) {
        auto tiny = load_tiny_model(choice);
        ASSERT_NE(tiny, nullptr);
        const auto prompt = some_ids(*tiny, 150, 1);
        const auto answer = some_ids(*tiny, 4, 2);
        const auto whole = logits_along(*tiny, 256, prompt, answer);
        ASSERT_EQ(whole.size(), 5U);
        for (const std::int64_t step_rows : {1, 7, 64, 149}) {
          const auto parts = logits_along(*tiny, step_rows, prompt, answer);
          ASSERT_EQ(parts.size(), whole.size());
          for (std::size_t i = 0; i < whole.size(); ++i) {
            EXPECT_TRUE(same_bits(whole[i], parts[i])) << folder << " level " << choice.level << " threads " << threads
                                                       << " chunks of " << step_rows << " row " << i;
          }
        }
      }
    }
  }
}

TEST(Session, SeveralTurnsWithKeptKeysEqualPrefillingEverythingBitForBit) {
  for (const std::string& folder : kFolders) {
    auto tiny = load_tiny_model({.folder = folder});
    ASSERT_NE(tiny, nullptr);
    TinySession kept(*tiny, {.step_rows = 16, .context_tokens = kContext});
    std::vector<std::int32_t> conversation;
    for (std::uint32_t turn = 0; turn < 4; ++turn) {
      const auto question = some_ids(*tiny, 20 + turn * 7, 10 + turn);
      conversation.insert(conversation.end(), question.begin(), question.end());
      auto logits = kept.session->prefill(conversation);
      ASSERT_TRUE(logits) << logits.error().message;
      // The last token of the previous answer was sampled and never fed: it runs now, with the question.
      EXPECT_EQ(kept.session->prefilled(), static_cast<std::int64_t>(question.size()) + (turn > 0 ? 1 : 0));
      for (int i = 0; i < 9; ++i) {
        TinySession fresh(*tiny, {.step_rows = 64, .context_tokens = kContext});
        auto expected = fresh.session->prefill(conversation);
        ASSERT_TRUE(expected);
        ASSERT_TRUE(same_bits(numbers(*logits), numbers(*expected))) << folder << " turn " << turn << " token " << i;
        const std::vector<float> row = numbers(*logits);
        conversation.push_back(argmax(row));
        if (i == 8) break;  // sampled, not fed
        logits = kept.session->decode(conversation.back());
        ASSERT_TRUE(logits);
      }
      ASSERT_EQ(kept.session->tokens().size() + 1, conversation.size());
    }
  }
}

TEST(Session, AChangedMiddleKeepsThePrefixAndEqualsAFreshSession) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/mistral_window_bf16"});
  ASSERT_NE(tiny, nullptr);
  TinySession open(*tiny, {.step_rows = 32, .context_tokens = kContext});
  auto ids = some_ids(*tiny, 200, 3);
  ASSERT_TRUE(open.session->prefill(ids));
  ids[130] = (ids[130] + 1) % static_cast<std::int32_t>(tiny->model().info().vocab);
  ids.resize(180);
  auto logits = open.session->prefill(ids);
  ASSERT_TRUE(logits);
  EXPECT_EQ(open.session->prefilled(), 50);
  const std::vector<float> kept = numbers(*logits);
  TinySession fresh(*tiny, {.step_rows = 512, .context_tokens = kContext});
  auto expected = fresh.session->prefill(ids);
  ASSERT_TRUE(expected);
  EXPECT_TRUE(same_bits(kept, numbers(*expected)));
}

TEST(Session, TheSamePromptAgainRunsOnlyItsLastToken) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  ASSERT_NE(tiny, nullptr);
  TinySession open(*tiny, {.context_tokens = kContext});
  const auto ids = some_ids(*tiny, 70, 4);
  auto first = open.session->prefill(ids);
  ASSERT_TRUE(first);
  const std::vector<float> before = numbers(*first);
  auto second = open.session->prefill(ids);
  ASSERT_TRUE(second);
  EXPECT_EQ(open.session->prefilled(), 1);
  EXPECT_TRUE(same_bits(before, numbers(*second)));
}

TEST(Session, RefusalsNameTheNumbersAndLeaveTheConversationAsItWas) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  ASSERT_NE(tiny, nullptr);
  TinySession open(*tiny, {.context_tokens = 64});
  ASSERT_TRUE(open.session->prefill(some_ids(*tiny, 10, 5)));
  const auto too_long = open.session->prefill(some_ids(*tiny, 65, 5));
  ASSERT_FALSE(too_long);
  EXPECT_NE(too_long.error().message.find("65 tokens, the context 64"), std::string::npos) << too_long.error().message;
  const std::vector<std::int32_t> outside = {1, 2, 131};
  const auto unknown = open.session->prefill(outside);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("token 2 has id 131"), std::string::npos) << unknown.error().message;
  EXPECT_FALSE(open.session->prefill({}));
  EXPECT_EQ(open.session->tokens().size(), 10U);
}

TEST(Session, ACancelledPrefillKeepsTheStepsDoneAndGoesOnFromThere) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  ASSERT_NE(tiny, nullptr);
  TinySession open(*tiny, {.step_rows = 16, .context_tokens = kContext});
  const std::atomic<bool> cancel = true;
  const auto ids = some_ids(*tiny, 100, 6);
  const auto cancelled = open.session->prefill(ids, &cancel);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, Code::cancelled);
  EXPECT_TRUE(open.session->tokens().empty());
  auto logits = open.session->prefill(ids);
  ASSERT_TRUE(logits);
  const std::vector<float> after = numbers(*logits);
  TinySession fresh(*tiny, {.context_tokens = kContext});
  auto expected = fresh.session->prefill(ids);
  ASSERT_TRUE(expected);
  EXPECT_TRUE(same_bits(after, numbers(*expected)));
}

TEST(DirectModel, SaysWhatTransformersSaysAndTheSecondQueryRunsOnlyWhatIsNew) {
  const std::string folder = "llama/goldens/mha_f32";
  auto tiny = load_tiny_model({.folder = folder});
  ASSERT_NE(tiny, nullptr);
  auto golden = Golden::open(std::filesystem::path(CORBEL_SOURCE_DIR) / "models" / folder);
  ASSERT_TRUE(golden) << golden.error().message;
  auto direct = DirectModel::make(tiny->model(), *tiny->device, kContext);
  ASSERT_TRUE(direct);
  for (int query = 0; query < 2; ++query) {
    std::vector<std::int32_t> answer;
    auto next = direct->forward_first(golden->prompt());
    while (next && answer.size() < golden->greedy().size()) {
      answer.push_back(*next);
      next = direct->forward_next();
    }
    ASSERT_TRUE(next);
    EXPECT_EQ(answer, golden->greedy()) << "query " << query;
  }
}

TEST(DirectModel, NextWithoutFirstIsRefused) {
  auto tiny = load_tiny_model({.folder = "llama/goldens/mha_f32"});
  ASSERT_NE(tiny, nullptr);
  auto direct = DirectModel::make(tiny->model(), *tiny->device, 64);
  ASSERT_TRUE(direct);
  EXPECT_FALSE(direct->forward_next());
}

TEST(StepRunner, CommitsTheCachePagesThatAreHandedOutFirst) {
  if (!system_commits_memory()) GTEST_SKIP() << "this system cannot commit memory (before Linux 5.14)";
  const auto tiny = load_tiny_model({.folder = kFolders[0], .threads = 2});
  ASSERT_TRUE(tiny);
  const std::int64_t page_bytes = tiny->model().info().cache.bytes_per_page();
  const std::int64_t pages = (std::int64_t{320} << 20) / page_bytes;  // more than are committed
  auto runner = StepRunner::make(tiny->model(), *tiny->device, {.context_tokens = kContext, .pages = pages});
  ASSERT_TRUE(runner);
  const auto is_there = [&](std::int64_t page) {
    return is_resident(runner->page(0, static_cast<std::int32_t>(page)).data());
  };
  runner->commit_memory(std::chrono::steady_clock::now());
  EXPECT_FALSE(is_there(0)) << "no time, no memory";
  runner->commit_memory(std::chrono::steady_clock::now() + std::chrono::minutes(1));
  EXPECT_TRUE(is_there(0));
  EXPECT_TRUE(is_there((std::int64_t{200} << 20) / page_bytes));
  EXPECT_FALSE(is_there(pages - 1)) << "a large pool is left for later";
}

}  // namespace
}  // namespace corbel
