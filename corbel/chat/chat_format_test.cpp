#include "corbel/chat/chat_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace corbel {
namespace {

using testing::HasSubstr;

/// A model folder with templates and the smallest tokenizer: render() needs no ids.
class ChatFormatTest : public testing::Test {
 protected:
  ChatFormatTest() : folder_(std::filesystem::path(testing::TempDir()) / "corbel_chat_format") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~ChatFormatTest() override { std::filesystem::remove_all(folder_); }

  std::string continued(const Json& config, const Json& messages) {
    return rendered(config, messages, nullptr, {}, {.generation_prompt = false, .continue_final = true});
  }
  std::string rendered(const Json& config, const Json& messages, const Json& tools = nullptr,
                       const std::string& name = {}, ChatRequest request = {}) {
    std::ofstream(folder_ / "tokenizer_config.json") << config.dump();
    auto tokenizer =
        Tokenizer::from_json(R"({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}})", "t");
    if (!tokenizer) return "TOKENIZER " + tokenizer.error().message;
    const auto format = ChatFormat::load(folder_, *tokenizer);
    if (!format) return "LOAD " + format.error().message;
    request.messages = &messages;
    request.tools = &tools;
    request.template_name = name;
    const auto prompt = format->render(request);
    return prompt ? *prompt : "ERROR " + prompt.error().message;
  }

  std::filesystem::path folder_;
};

Json message(const char* role, const Json& content) { return {{"role", role}, {"content", content}}; }
Json config(const std::string& source) { return {{"bos_token", "<s>"}, {"chat_template", source}}; }

const std::string kRoles = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}";
const std::string kNoSystem =
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}[{{ m.role "
    "}}] "
    "{{ m.content }}\n{% endfor %}";

TEST_F(ChatFormatTest, ATemplateWithASystemRoleGetsTheMessagesAsTheyAre) {
  EXPECT_EQ(rendered(config(kRoles), {message("system", "be brief"), message("user", "hi")}),
            "[system] be brief\n[user] hi\n");
}

TEST_F(ChatFormatTest, ASystemMessageIsFoldedIntoTheFirstUserMessageWhereTheTemplateRefusesIt) {
  EXPECT_EQ(rendered(config(kNoSystem), {message("system", "be brief"), message("user", "hi")}),
            "[user] be brief\n\nhi\n");
}

TEST_F(ChatFormatTest, ASystemMessageIsFoldedWhereTheTemplateLeavesItOut) {
  const std::string source =
      "{% for m in messages if m.role != 'system' %}[{{ m.role }}] {{ m.content }}\n{% endfor %}";
  EXPECT_EQ(rendered(config(source), {message("system", " be brief\n"), message("user", "hi")}),
            "[user]  be brief\n\n\nhi\n");
}

TEST_F(ChatFormatTest, ARefusalThatFoldingDoesNotCureIsTheTemplatesOwn) {
  EXPECT_THAT(rendered(config("{{ raise_exception('never') }}"), {message("system", "x"), message("user", "hi")}),
              HasSubstr("never"));
}

TEST_F(ChatFormatTest, ContentOfNullIsAnEmptyTextWhereATemplateCannotTakeIt) {
  const std::string adds = "{% for m in messages %}{{ '[' + m.content + ']' }}{% endfor %}";
  EXPECT_EQ(rendered(config(adds), {message("user", "hi"), message("assistant", nullptr)}), "[hi][]");
  EXPECT_EQ(rendered(config("{{ messages[0].content is none }}"), {message("user", nullptr), message("user", "x")}),
            "True");
}

TEST_F(ChatFormatTest, ToolsChooseTheTemplateMadeForThem) {
  const Json both = {{"chat_template",
                      {{{"name", "default"}, {"template", "plain {{ tools is none }}"}},
                       {{"name", "tool_use"}, {"template", "tools {{ tools|length }}"}}}}};
  const Json tools = {{{"type", "function"}, {"function", {{"name", "f"}}}}};
  const Json messages = Json::array({message("user", "hi")});
  EXPECT_EQ(rendered(both, messages), "plain True");
  EXPECT_EQ(rendered(both, messages, Json::array()), "plain True");
  EXPECT_EQ(rendered(both, messages, tools), "tools 1");
  EXPECT_EQ(rendered(both, messages, tools, "default"), "plain False");
  EXPECT_THAT(rendered(both, messages, nullptr, "rag"), HasSubstr("\"rag\"; it has \"default\", \"tool_use\""));
}

TEST_F(ChatFormatTest, ArgumentsAreObjectsAndTextOnlyForTemplatesThatFailWithThem) {
  Json call = message("assistant", nullptr);
  call["tool_calls"] = {{{"type", "function"}, {"function", {{"name", "f"}, {"arguments", "{\"x\": \"\u00e9\"}"}}}}};
  const Json messages = {message("user", "hi"), call};
  const std::string loop = "{% for m in messages %}{% for c in m.tool_calls %}";
  const std::string end = "{% endfor %}{% endfor %}";
  EXPECT_EQ(rendered(config(loop + "{{ c.function.arguments|tojson }}" + end), messages), "{\"x\": \"\u00e9\"}");
  EXPECT_EQ(rendered(config(loop + "{{ 'args: ' + c.function.arguments }}" + end), messages),
            "args: {\"x\":\"\u00e9\"}");
}

TEST_F(ChatFormatTest, PartsOfTextBecomeAStringAndAStringBecomesPartsAsTheTemplateTakesThem) {
  const Json parts = {{{"type", "text"}, {"text", "one"}}, {{"type", "text"}, {"text", "two"}}};
  EXPECT_EQ(rendered(config(kRoles), Json::array({message("user", parts)})), "[user] one\ntwo\n");
  const std::string only_parts =
      "{% for m in messages %}{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endfor %}";
  EXPECT_EQ(rendered(config(only_parts), Json::array({message("user", "one")})), "<one>");
  EXPECT_EQ(rendered(config(only_parts), Json::array({message("user", parts)})), "<one><two>");
}

TEST_F(ChatFormatTest, APartThatATextTemplateCannotTakeIsRefusedByName) {
  const Json image = {{{"type", "image_url"}, {"image_url", {{"url", "x"}}}}};
  const std::string answer = rendered(config(kRoles), {message("user", "hi"), message("user", image)});
  EXPECT_THAT(answer, HasSubstr("messages[1].content"));
  EXPECT_THAT(answer, HasSubstr("image_url"));
}

TEST_F(ChatFormatTest, ReasoningIsFoundUnderEachOfItsNames) {
  Json thought = message("assistant", "4");
  thought["reasoning"] = "2+2";
  const std::string source = "{% for m in messages %}{{ m.reasoning_content }}|{{ m.thinking }}{% endfor %}";
  EXPECT_EQ(rendered(config(source), Json::array({thought})), "2+2|2+2");
}

TEST_F(ChatFormatTest, AFolderWithoutATemplateTalksInLinesAndRefusesTools) {
  const Json messages = {message("system", "be brief"), message("user", "hi")};
  EXPECT_EQ(rendered(Json::object(), messages), "be brief\n\nUser: hi\nAssistant:");
  const Json tools = {{{"type", "function"}, {"function", {{"name", "f"}}}}};
  EXPECT_THAT(rendered(Json::object(), messages, tools), HasSubstr("no chat template"));
}

TEST_F(ChatFormatTest, MessagesOfAWrongShapeAreRefusedNamingThem) {
  EXPECT_THAT(rendered(config(kRoles), Json::array()), HasSubstr("at least one message"));
  EXPECT_THAT(rendered(config(kRoles), Json::array({3})), HasSubstr("messages[0]"));
  EXPECT_THAT(rendered(config(kRoles), Json::array({message("user", 3)})), HasSubstr("messages[0].content"));
  EXPECT_THAT(rendered(config(kRoles), Json::array({message("user", Json::array({"x"}))})),
              HasSubstr("messages[0].content[0]"));
}

// As transformers' apply_chat_template(continue_final_message=True) ends them.
TEST_F(ChatFormatTest, APromptMayEndBehindTheTextOfTheLastMessage) {
  const auto talk = [](const Json& last) { return Json{message("user", "end ["), message("assistant", last)}; };
  EXPECT_EQ(continued(config(kRoles), talk("The [")), "[user] end [\n[assistant] The [");
  EXPECT_EQ(continued(config(kRoles), talk("a blank \n")), "[user] end [\n[assistant] a blank \n");
  const Json parts = {{{"type", "text"}, {"text", "one"}}, {{"type", "text"}, {"text", "two"}}};
  EXPECT_EQ(continued(config(kRoles), talk(parts)), "[user] end [\n[assistant] one\ntwo");
  const std::string trims = "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}<end>{% endfor %}";
  EXPECT_EQ(continued(config(trims), talk(" a blank \n")), "[user]end [<end>[assistant]a blank");
  EXPECT_EQ(continued(Json::object(), talk("yes")), "User: end [\nAssistant: yes");
}

TEST_F(ChatFormatTest, WhatCannotBeGoneOnWithIsRefusedByItsPlace) {
  EXPECT_THAT(continued(config(kRoles), Json::array({message("user", "hi")})), HasSubstr("\"messages[0].role\" is \"user\""));
  EXPECT_THAT(continued(config(kRoles), {message("user", "hi"), message("assistant", "")}),
              HasSubstr("\"messages[1].content\" is empty"));
  EXPECT_THAT(continued(config(kRoles), {message("user", "hi"), message("assistant", nullptr)}),
              HasSubstr("\"messages[1].content\" is empty"));
  EXPECT_THAT(continued(config("{{ messages[0].content }}"), {message("user", "hi"), message("assistant", "yes")}),
              HasSubstr("\"messages[1].content\" is left out"));
  Json call = message("assistant", "yes");
  call["tool_calls"] = Json::array({{{"function", {{"name", "f"}, {"arguments", "{}"}}}}});
  EXPECT_THAT(continued(config(kRoles), {message("user", "hi"), call}), HasSubstr("\"messages[1].tool_calls\""));
}

TEST_F(ChatFormatTest, ADeveloperIsTheSystemWhereTheTemplateKnowsNoOther) {
  EXPECT_EQ(rendered(config(kRoles), {message("developer", "be brief"), message("user", "hi")}),
            "[system] be brief\n[user] hi\n");
  const std::string knows = "{# developer #}" + kRoles;
  EXPECT_EQ(rendered(config(knows), Json::array({message("developer", "be brief")})), "[developer] be brief\n");
}

TEST_F(ChatFormatTest, WhatGoesWrongInATemplateNamesNoFolder) {
  const std::string answer = rendered(config("\n{{ raise_exception('never') }}"), Json::array({message("user", "hi")}));
  EXPECT_THAT(answer, HasSubstr("the model's chat template: tokenizer_config.json"));
  EXPECT_EQ(answer.find(folder_.string()), std::string::npos) << answer;
  EXPECT_THAT(rendered(config("{% if"), Json::array({message("user", "hi")})), HasSubstr(folder_.string())) << "whoever loads it";
}

TEST_F(ChatFormatTest, TheTokenizersSpecialTokensAreVariables) {
  EXPECT_EQ(rendered(config("{{ bos_token }}{{ messages[0].content }}"), Json::array({message("user", "hi")})),
            "<s>hi");
}

}  // namespace
}  // namespace corbel
