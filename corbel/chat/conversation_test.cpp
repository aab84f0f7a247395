#include "corbel/chat/conversation.h"

#include <gtest/gtest.h>

#include <fstream>

namespace corbel {
namespace {

std::filesystem::path temporary(const std::string& name) {
  return std::filesystem::path(::testing::TempDir()) / ("conversation_" + name);
}

TEST(Conversation, WhatWasSavedIsLoaded) {
  SavedConversation saved;
  saved.conversation.messages = {{"system", "be brief"}, {"user", "\xc3\xa4 \"quoted\"\n"}, {"assistant", "\\ok"}};
  saved.sampling = {.temperature = 0.7, .top_k = 40, .top_p = 0.9, .min_p = 0.05, .repetition_penalty = 1.1};
  saved.sampling.seed = 9007199254740991ULL;
  saved.max_tokens = 256;
  const auto path = temporary("round_trip.json");
  ASSERT_TRUE(save_conversation(path, saved));
  const auto loaded = load_conversation(path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->conversation.messages.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(loaded->conversation.messages[i].role, saved.conversation.messages[i].role);
    EXPECT_EQ(loaded->conversation.messages[i].content, saved.conversation.messages[i].content);
  }
  EXPECT_EQ(loaded->sampling.temperature, 0.7);
  EXPECT_EQ(loaded->sampling.top_k, 40);
  EXPECT_EQ(loaded->sampling.top_p, 0.9);
  EXPECT_EQ(loaded->sampling.min_p, 0.05);
  EXPECT_EQ(loaded->sampling.repetition_penalty, 1.1);
  EXPECT_EQ(loaded->sampling.seed, 9007199254740991ULL);
  EXPECT_EQ(loaded->max_tokens, 256);
  std::filesystem::remove(path);
}

TEST(Conversation, DamagedFilesAreRefusedNamingTheField) {
  const auto path = temporary("damaged.json");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{}", "format"},
      {R"({"format": "other"})", "corbel.conversation.v1"},
      {R"({"format": "corbel.conversation.v1"})", "messages"},
      {R"({"format": "corbel.conversation.v1", "messages": [{"role": "judge", "content": ""}]})", "messages[0].role"},
      {R"({"format": "corbel.conversation.v1", "messages": [{"role": "user"}]})", "messages[0].content"},
      {R"({"format": "corbel.conversation.v1", "messages": [3]})", "messages[0]"},
      {R"({"format": "corbel.conversation.v1", "messages": [{"role": "user", "content": ""}, {"role": "system", "content": ""}]})",
       "messages[1]"},
      {R"({"format": "corbel.conversation.v1", "settings": {"top_p": 7}, "messages": []})", "top_p is 7"},
      {"[", "damaged.json"},
  };
  for (const auto& [text, expected] : cases) {
    std::ofstream(path) << text;
    const auto refused = load_conversation(path);
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find(expected), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().message.find("damaged.json"), std::string::npos) << refused.error().message;
  }
  std::filesystem::remove(path);
}

TEST(Conversation, AFailedSaveLeavesTheOldFile) {
  const auto folder = temporary("folder.json");
  std::filesystem::create_directories(folder);
  EXPECT_FALSE(save_conversation(folder, {}));
  EXPECT_TRUE(std::filesystem::is_directory(folder));
  std::filesystem::remove_all(folder);
}

TEST(Conversation, TheSystemMessageIsTheFirstAndSurvivesAReset) {
  Conversation conversation;
  conversation.messages = {{"user", "a"}, {"assistant", "b"}};
  conversation.set_system("one");
  conversation.set_system("two");
  ASSERT_EQ(conversation.messages.size(), 3U);
  EXPECT_EQ(conversation.messages[0].content, "two");
  conversation.reset();
  ASSERT_EQ(conversation.messages.size(), 1U);
  conversation.set_system("");
  EXPECT_TRUE(conversation.messages.empty());
}

}  // namespace
}  // namespace corbel
