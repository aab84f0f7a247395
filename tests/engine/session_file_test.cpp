#include "corbel/engine/session_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/engine/tiny_model.h"

namespace corbel {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

const std::vector<std::string> kFolders = {"llama/goldens/mha_f32", "llama/goldens/mistral_window_bf16",
                                           "llama/goldens/rope_dynamic_long_f32", "qwen/goldens/qwen3_layer_types_f32"};
constexpr std::int64_t kContext = 320;

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

class SessionFileTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  static RunIdentity identity(const TinyModel& tiny, const TinySession& open) {
    auto identity = identify_run(*tiny.loaded.package, *open.runner);
    EXPECT_TRUE(identity) << (identity ? "" : identity.error().message);
    return *std::move(identity);
  }
  static std::unique_ptr<TinyModel> load(const TinyModelChoice& choice) {
    auto tiny = load_tiny_model(choice);
    EXPECT_NE(tiny, nullptr);
    return tiny;
  }
  /// A file of `tokens` tokens of the model, and the session that wrote it.
  std::unique_ptr<TinySession> save(TinyModel& tiny, std::int64_t tokens) {
    auto open = std::make_unique<TinySession>(tiny, RunnerLimits{.context_tokens = kContext});
    EXPECT_TRUE(open->session->prefill(some_ids(tiny, tokens, 1)));
    const auto saved = save_session(file_, identity(tiny, *open), *open->session);
    EXPECT_TRUE(saved) << (saved ? "" : saved.error().message);
    return open;
  }
  std::string refusal(TinySession& open, const RunIdentity& identity) {
    const auto loaded = load_session(file_, identity, *open.session);
    return loaded ? std::string("taken") : loaded.error().message;
  }

  fs::path folder_ = fs::path(testing::TempDir()) / "session_file";
  fs::path file_ = folder_ / "conversation.state";
};

TEST_F(SessionFileTest, GoingOnAfterARestoreEqualsGoingOnWithoutTheBreakBitForBit) {
  std::vector<TinyModelChoice> choices;
  for (const std::string& folder : kFolders) {
    for (const DType cache : {DType::f32, DType::bf16, DType::i8}) {
      for (TinyModelChoice choice : every_level(folder, 2)) {
        choice.options.kv_cache = cache;
        choices.push_back(choice);
      }
    }
  }
  for (const TinyModelChoice& choice : choices) {
    auto tiny = load(choice);
    std::vector<std::int32_t> conversation = some_ids(*tiny, 130, 1);
    TinySession whole(*tiny, {.step_rows = 64, .context_tokens = kContext});
    ASSERT_TRUE(whole.session->prefill(conversation));
    for (const std::int32_t id : some_ids(*tiny, 7, 2)) {
      ASSERT_TRUE(whole.session->decode(id));
      conversation.push_back(id);
    }
    ASSERT_TRUE(save_session(file_, identity(*tiny, whole), *whole.session));

    // Pages that somebody else used, in another order.
    TinySession resumed(*tiny, {.step_rows = 16, .context_tokens = kContext});
    ASSERT_TRUE(resumed.session->prefill(some_ids(*tiny, 300, 9)));
    resumed.session->rewind(70);
    const auto tokens = load_session(file_, identity(*tiny, resumed), *resumed.session);
    ASSERT_TRUE(tokens) << tokens.error().message;
    EXPECT_EQ(*tokens, 137);
    EXPECT_THAT(std::vector(resumed.session->tokens().begin(), resumed.session->tokens().end()), conversation);
    const auto question = some_ids(*tiny, 40, 3);
    conversation.insert(conversation.end(), question.begin(), question.end());
    const auto expected = whole.session->prefill(conversation);
    const auto actual = resumed.session->prefill(conversation);
    ASSERT_TRUE(expected && actual);
    EXPECT_EQ(resumed.session->prefilled(), 40);
    EXPECT_TRUE(same_bits(numbers(*expected), numbers(*actual))) << choice.folder << ' ' << choice.level;
    for (const std::int32_t id : some_ids(*tiny, 5, 4)) {
      const auto next = whole.session->decode(id);
      const auto same = resumed.session->decode(id);
      ASSERT_TRUE(next && same);
      EXPECT_TRUE(same_bits(numbers(*next), numbers(*same))) << choice.folder << ' ' << choice.level;
    }
  }
}

TEST_F(SessionFileTest, TheSameConversationGivesTheSameFileWhateverThePagesHeldBefore) {
  auto tiny = load({.folder = "llama/goldens/mistral_window_bf16"});
  save(*tiny, 75);
  const std::string expected = contents(file_);
  TinySession used(*tiny, {.step_rows = 7, .context_tokens = kContext});
  ASSERT_TRUE(used.session->prefill(some_ids(*tiny, 300, 9)));
  ASSERT_TRUE(used.session->prefill(some_ids(*tiny, 75, 1)));
  ASSERT_TRUE(save_session(file_, identity(*tiny, used), *used.session));
  EXPECT_EQ(contents(file_), expected);
}

TEST_F(SessionFileTest, AnotherModelStrategyCacheContextOrLevelIsRefusedByName) {
  const std::string folder = "llama/goldens/rope_dynamic_long_f32";
  auto tiny = load({.folder = folder});
  save(*tiny, 75);
  const auto refusal_of = [&](TinyModelChoice choice, std::int64_t context = kContext) {
    auto other = load(choice);
    TinySession open(*other, {.context_tokens = context});
    return refusal(open, identity(*other, open));
  };
  EXPECT_EQ(refusal_of({.folder = folder}), "taken");
  EXPECT_THAT(refusal_of({.folder = "llama/goldens/mha_f32"}), HasSubstr("the model's hash is"));
  EXPECT_THAT(refusal_of({.folder = folder, .options = {.strategy = Strategy::accuracy}}),
              HasSubstr("the strategy is balanced, here it is accuracy"));
  EXPECT_THAT(refusal_of({.folder = folder, .options = {.kv_cache = DType::i8}}), HasSubstr("here it is int8"));
  EXPECT_THAT(refusal_of({.folder = folder}, 128), HasSubstr("the context is 320 tokens, here it is 128"));
  EXPECT_THAT(refusal_of({.folder = folder, .device = "reference"}), HasSubstr("here it is reference"));
}

TEST_F(SessionFileTest, AContextTooShortForTheTokensIsRefusedWithTheNumbersAndChangesNothing) {
  auto tiny = load({.folder = "llama/goldens/mha_f32"});
  save(*tiny, 75);
  TinySession open(*tiny, {.context_tokens = 64});
  ASSERT_TRUE(open.session->prefill(some_ids(*tiny, 10, 5)));
  EXPECT_THAT(refusal(open, identity(*tiny, open)), HasSubstr("75 tokens, the context 64"));
  EXPECT_EQ(open.session->tokens().size(), 10U);
}

TEST_F(SessionFileTest, AFileCutShortOrAlteredAnywhereIsRefusedAndTheSessionCanGoOn) {
  auto tiny = load({.folder = "llama/goldens/mha_f32"});
  const auto written = save(*tiny, 75);
  const std::string good = contents(file_);
  TinySession open(*tiny, {.context_tokens = kContext});
  const RunIdentity here = identity(*tiny, open);
  for (std::size_t size = 0; size < good.size(); size += size < 1200 ? 1 : 997) {
    put(file_, good.substr(0, size));
    EXPECT_NE(refusal(open, here), "taken") << size;
  }
  put(file_, good + "x");
  EXPECT_THAT(refusal(open, here), HasSubstr("bytes, not"));
  for (std::size_t at = 0; at < good.size(); at += at < 1200 ? 1 : 997) {
    std::string altered = good;
    altered[at] = static_cast<char>(altered[at] ^ 0x10);
    put(file_, altered);
    EXPECT_NE(refusal(open, here), "taken") << at;
    EXPECT_TRUE(open.session->tokens().empty());
  }
  put(file_, good);
  EXPECT_EQ(refusal(open, here), "taken");
  const auto ids = some_ids(*tiny, 80, 1);
  const auto expected = written->session->prefill(ids);
  const auto actual = open.session->prefill(ids);
  ASSERT_TRUE(expected && actual);
  EXPECT_EQ(numbers(*expected), numbers(*actual));
}

TEST_F(SessionFileTest, AnotherVersionIsNamed) {
  auto tiny = load({.folder = "llama/goldens/mha_f32"});
  save(*tiny, 3);
  std::string file = contents(file_);
  file[16] = 2;
  put(file_, file);
  TinySession open(*tiny, {.context_tokens = kContext});
  EXPECT_THAT(refusal(open, identity(*tiny, open)), HasSubstr("it has version 2, this program reads version 1"));
}

TEST_F(SessionFileTest, WhatCannotBeWrittenLeavesTheOldFileAndNothingElse) {
  auto tiny = load({.folder = "llama/goldens/mha_f32"});
  const auto open = save(*tiny, 75);
  TinySession empty(*tiny, {.context_tokens = kContext});
  EXPECT_FALSE(save_session(file_, identity(*tiny, empty), *empty.session));
  EXPECT_FALSE(save_session(folder_, identity(*tiny, *open), *open->session));
  EXPECT_FALSE(save_session(folder_ / "no/where", identity(*tiny, *open), *open->session));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
  TinySession again(*tiny, {.context_tokens = kContext});
  EXPECT_EQ(refusal(again, identity(*tiny, again)), "taken");
}

TEST(ModelHash, TellsContentsApartAndNotPlaces) {
  const fs::path models = fs::path(CORBEL_SOURCE_DIR) / "models/llama/goldens";
  const fs::path copy = fs::path(testing::TempDir()) / "model_hash_copy";
  fs::remove_all(copy);
  fs::copy(models / "mha_f32", copy);
  const auto hash = [](const fs::path& path) {
    const auto package = open_model_package(path);
    EXPECT_TRUE(package);
    const auto found = model_hash(**package);
    EXPECT_TRUE(found);
    return *found;
  };
  EXPECT_EQ(hash(copy), hash(models / "mha_f32"));
  EXPECT_NE(hash(models / "mha_f32"), hash(models / "mqa_head_dim_f16"));
  put(copy / "generation_config.json", R"({"eos_token_id": 7})");
  EXPECT_NE(hash(copy), hash(models / "mha_f32"));
}

}  // namespace
}  // namespace corbel
