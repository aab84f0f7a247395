#include <gtest/gtest.h>

#include <fstream>

#include "corbel/chat/chat_session.h"
#include "tests/engine/byte_tokenizer.h"
#include "tests/engine/tiny_model.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

class Chat : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              (std::string("chat_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    tiny_ = load_tiny_model({.folder = "llama/goldens/mha_f32"});
    ASSERT_NE(tiny_, nullptr);
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const std::string& file, const std::string& text) const { std::ofstream(folder_ / file) << text; }
  ChatFormat format() const {
    auto format = ChatFormat::load(folder_, tokenizer_);
    EXPECT_TRUE(format) << (format ? "" : format.error().message);
    return *std::move(format);
  }

  fs::path folder_;
  std::unique_ptr<TinyModel> tiny_;
  Tokenizer tokenizer_ = make_byte_tokenizer();
  GenerateOptions options_{.sampling = {.temperature = 1.2, .seed = 5}, .max_tokens = 12};
  static constexpr const char* kTemplate =
      "{% for m in messages %}[{{ m.role }}]{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}[a]{% endif "
      "%}";
};

TEST_F(Chat, TheTemplateMakesThePromptAndItsSpecialTokensAreTokens) {
  write("chat_template.jinja", kTemplate);
  const std::vector<ChatMessage> messages = {{"system", "be"}, {"user", "hi"}};
  const auto ids = format().encode(messages);
  ASSERT_TRUE(ids) << ids.error().message;
  EXPECT_EQ(tokenizer_.decode(*ids, {.skip_special = false}), "[system]be<end>[user]hi<end>[a]");
  EXPECT_EQ(std::count(ids->begin(), ids->end(), kEndId), 2);
}

TEST_F(Chat, AFolderWithoutATemplateGetsThePlainForm) {
  const ChatFormat plain = format();
  EXPECT_FALSE(plain.has_template());
  const std::vector<ChatMessage> messages = {{"system", "S"}, {"user", "a"}, {"assistant", "b"}, {"user", "c"}};
  const auto ids = plain.encode(messages);
  ASSERT_TRUE(ids);
  EXPECT_EQ(tokenizer_.decode(*ids), "S\n\nUser: a\nAssistant: b\nUser: c\nAssistant:");
  ASSERT_EQ(plain.stop_strings().size(), 1U);
}

TEST_F(Chat, TurnsWithKeptKeysSayWhatAFreshSessionSays) {
  write("chat_template.jinja", kTemplate);
  const ChatFormat format = this->format();
  TinyEngine kept(*tiny_, tokenizer_, {.logit_rows = 4, .context_tokens = 512});
  ChatSession chat(*kept.engine, format);
  chat.conversation().set_system("short answers");
  for (int turn = 0; turn < 3; ++turn) {
    TinyEngine other(*tiny_, tokenizer_, {.logit_rows = 4, .context_tokens = 512});
    ChatSession fresh(*other.engine, format);
    fresh.conversation() = chat.conversation();
    const auto expected = fresh.answer("question", options_);
    const auto answer = chat.answer("question", options_);
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(expected);
    EXPECT_EQ(answer->ids, expected->ids) << "turn " << turn;
    EXPECT_GE(answer->figures.cached_tokens, turn * 20) << "turn " << turn;
  }
  EXPECT_EQ(chat.conversation().messages.size(), 7U);
}

TEST_F(Chat, ATemplateThatFailsSaysWhyInItsOwnWordsAndChangesNothing) {
  write("chat_template.jinja", "{{ raise_exception('roles must alternate') }}");
  const ChatFormat format = this->format();
  TinyEngine open(*tiny_, tokenizer_, {.logit_rows = 4, .context_tokens = 128});
  ChatSession chat(*open.engine, format);
  const auto refused = chat.answer("hi", options_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("roles must alternate"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(chat.conversation().messages.empty());
}

TEST_F(Chat, ATemplateThatDoesNotParseIsRefusedAtLoad) {
  write("chat_template.jinja", "{% if %}");
  const auto refused = ChatFormat::load(folder_, tokenizer_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("chat_template.jinja"), std::string::npos) << refused.error().message;
}

TEST_F(Chat, InvalidUtf8IsRefusedWithTheByteOfTheMessage) {
  write("chat_template.jinja", kTemplate);
  const ChatFormat format = this->format();
  TinyEngine open(*tiny_, tokenizer_, {.logit_rows = 4, .context_tokens = 128});
  ChatSession chat(*open.engine, format);
  const auto refused = chat.answer("abc\xff", options_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("3"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(chat.conversation().messages.empty());
}

TEST_F(Chat, AConversationLongerThanTheContextIsRefusedWithBothNumbers) {
  write("chat_template.jinja", kTemplate);
  const ChatFormat format = this->format();
  TinyEngine open(*tiny_, tokenizer_, {.logit_rows = 4, .context_tokens = 64});
  ChatSession chat(*open.engine, format);
  const auto refused = chat.answer(std::string(80, 'x'), options_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("90 tokens, the context 64"), std::string::npos) << refused.error().message;
}

TEST_F(Chat, ASlidingConversationDropsItsOldestMessagesAndKeepsTheSystemMessage) {
  write("chat_template.jinja", kTemplate);
  const ChatFormat format = this->format();
  TinyEngine open(*tiny_, tokenizer_, {.logit_rows = 4, .context_tokens = 160});
  ChatSession chat(*open.engine, format);
  chat.conversation().set_system("sys");
  options_.on_full = OnFull::slide;
  for (int turn = 0; turn < 8; ++turn) {
    const auto answer = chat.answer(cat("question number ", turn), options_);
    ASSERT_TRUE(answer) << answer.error().message;
  }
  const auto& messages = chat.conversation().messages;
  EXPECT_LT(messages.size(), 17U);
  EXPECT_EQ(messages.front().content, "sys");
  EXPECT_EQ(messages[messages.size() - 2].content, "question number 7");
}

TEST_F(Chat, ATokenizerLargerThanTheVocabularyIsRefusedNamingBoth) {
  TextModelInfo info;
  info.vocab = 128;
  const auto refused = check_tokenizer_fits(tokenizer_, info, "some/folder");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("ids up to 128"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("has 128"), std::string::npos) << refused.error().message;
  info.vocab = 129;
  EXPECT_TRUE(check_tokenizer_fits(tokenizer_, info, "some/folder"));
}

}  // namespace
}  // namespace corbel
