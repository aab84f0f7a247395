#include "corbel/corbel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace {

using testing::HasSubstr;

const std::string kPico = CORBEL_SOURCE_DIR "/share/pico";

/// The text of an error, which is freed; empty for none.
std::string text_of(corbel_error* error) {
  if (error == nullptr) return "";
  const std::string text = std::string(corbel_error_code(error)) + ": " + corbel_error_message(error);
  corbel_error_free(error);
  return text;
}

int append(const char* text, size_t bytes, void* user) {
  static_cast<std::string*>(user)->append(text, bytes);
  return 0;
}

int stop_at_once(const char*, size_t, void* user) {
  ++*static_cast<int*>(user);
  return 1;
}

class CInterface : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kPico + "/model.safetensors")) GTEST_SKIP() << "no built-in model in " << kPico;
    corbel_model_options options{};
    options.size = sizeof options;
    options.threads = 1;
    ASSERT_EQ(text_of(corbel_model_open(kPico.c_str(), &options, &model_)), "");
    ASSERT_EQ(text_of(corbel_chat_open(model_, nullptr, 512, &chat_)), "");
  }
  void TearDown() override {
    corbel_chat_free(chat_);
    corbel_model_free(model_);
  }
  corbel_model* model_ = nullptr;
  corbel_chat* chat_ = nullptr;
};

TEST_F(CInterface, AnswersStreamAndTheSecondTurnKeepsTheFirstOnesCache) {
  std::string answer;
  corbel_answer figures{};
  figures.size = sizeof figures;
  corbel_ask_options options{};
  options.size = sizeof options;
  options.max_tokens = 24;
  ASSERT_EQ(text_of(corbel_chat_ask(chat_, "What is prefill?", &options, append, &answer, &figures)), "");
  EXPECT_FALSE(answer.empty());
  EXPECT_EQ(figures.cached_tokens, 0);
  EXPECT_GT(figures.generated_tokens, 0);
  const int64_t first_prompt = figures.prompt_tokens;
  ASSERT_EQ(text_of(corbel_chat_ask(chat_, "And decode?", &options, append, &answer, &figures)), "");
  EXPECT_GE(figures.cached_tokens, first_prompt);
}

TEST_F(CInterface, ACallbackThatSaysNoEndsTheAnswer) {
  int calls = 0;
  corbel_answer figures{};
  figures.size = sizeof figures;
  ASSERT_EQ(text_of(corbel_chat_ask(chat_, "Tell me a story.", nullptr, stop_at_once, &calls, &figures)), "");
  EXPECT_EQ(calls, 1);
  EXPECT_STREQ(figures.finish_reason, "cancelled");
}

TEST_F(CInterface, WrongOptionsAreRefusedByName) {
  corbel_ask_options options{};
  options.size = sizeof options;
  options.temperature = -1.0;
  EXPECT_THAT(text_of(corbel_chat_ask(chat_, "hi", &options, nullptr, nullptr, nullptr)), HasSubstr("temperature"));
  options.size = 1;
  EXPECT_THAT(text_of(corbel_chat_ask(chat_, "hi", &options, nullptr, nullptr, nullptr)),
              HasSubstr("options.size is 1"));
  corbel_chat* longer = nullptr;
  EXPECT_THAT(text_of(corbel_chat_open(model_, nullptr, int64_t{1} << 40, &longer)), HasSubstr("context_tokens"));
  EXPECT_EQ(longer, nullptr);
}

TEST(CInterfaceErrors, AMissingFolderIsABadFileAndNullPointersAreBadRequests) {
  corbel_model* model = nullptr;
  EXPECT_THAT(text_of(corbel_model_open("no/such/folder", nullptr, &model)), HasSubstr("bad_file: "));
  EXPECT_EQ(model, nullptr);
  EXPECT_THAT(text_of(corbel_model_open(nullptr, nullptr, &model)), HasSubstr("bad_request: "));
  EXPECT_THAT(text_of(corbel_model_open("x", nullptr, nullptr)), HasSubstr("bad_request: "));
  EXPECT_THAT(text_of(corbel_chat_ask(nullptr, "hi", nullptr, nullptr, nullptr, nullptr)), HasSubstr("bad_request: "));
  corbel_model_free(nullptr);
  corbel_chat_free(nullptr);
  corbel_error_free(nullptr);
}

TEST(CInterfaceErrors, TheVersionHasThreeNumbers) {
  EXPECT_THAT(corbel_version(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
}

}  // namespace
