#pragma once
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "corbel/chat/chat_completion.h"

namespace corbel {

/// The template of a model that writes calls in <tool_call>.
class TemplateFile final : public NamedFiles {
 public:
  explicit TemplateFile(std::string text) : text_(std::move(text)) {}
  Result<std::optional<FileBytes>> find(std::string_view name, std::int64_t) const override {
    return has(name) ? std::optional(FileBytes(text_)) : std::nullopt;
  }
  bool has(std::string_view name) const override { return name == "chat_template.jinja"; }
  std::vector<std::string> names() const override { return {"chat_template.jinja"}; }
  std::string description() const override { return "test"; }
  std::string where(std::string_view name) const override { return std::string(name); }

 private:
  std::string text_;
};

inline constexpr std::string_view kTemplate = R"({%- if tools %}{{ tools | tojson }}
{% endif %}{%- for message in messages %}<{{ message.role }}>
{%- if message.reasoning_content %}<think>
{{ message.reasoning_content }}
</think>

{% endif %}{{ message.content or '' }}{% for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<end>
{% endfor %}{% if add_generation_prompt %}<assistant>{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% endif %}{% endif %})";

inline Tokenizer byte_tokenizer() {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    static const char* kHex = "0123456789ABCDEF";
    vocab += cat(byte > 0 ? "," : "", "\"<0x", kHex[byte >> 4], kHex[byte & 15], ">\":", byte);
  }
  const std::string json = cat(
      R"({"version":"1.0","added_tokens":[{"id":256,"content":"<end>","single_word":false,"lstrip":false,)",
      R"("rstrip":false,"normalized":false,"special":true}],"normalizer":null,"pre_tokenizer":null,"post_processor":null,)",
      R"("decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"}]},)",
      R"("model":{"type":"BPE","byte_fallback":true,"unk_token":null,"fuse_unk":false,"vocab":{)", vocab,
      R"(},"merges":[]}})");
  return *Tokenizer::from_json(json, "test");
}

struct ChatCompletions : testing::Test {
  Tokenizer tokenizer = byte_tokenizer();
  GenerationDefaults defaults = [] {
    GenerationDefaults made;
    made.eos_ids = {256};
    return made;
  }();
  std::unique_ptr<ChatModel> model = *ChatModel::load(TemplateFile(std::string(kTemplate)), tokenizer, defaults);

  static Json body(std::string_view more) {
    Json made = {{"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})}};
    made.update(Json::parse(more));
    return made;
  }
  Result<ChatCompletion> read(std::string_view more) const { return read_chat_completion(body(more), *model, 5); }
  std::string refusal(std::string_view more) const {
    const auto completion = read(more);
    return completion ? "" : completion.error().message;
  }
  static std::string param(const std::string& message) {
    return chat_error_json({Code::bad_request, message})["error"]["param"].dump();
  }
  /// Does the request's constraint let the text through, and may it end there?
  bool takes(std::string_view more, std::string_view text) const {
    const auto completion = read(more);
    EXPECT_TRUE(completion) << completion.error().message;
    ConstraintCursor cursor = completion->request.constraint->start();
    for (const char c : text) {
      if (!cursor.accept(static_cast<std::uint8_t>(c))) return false;
    }
    return cursor.may_end();
  }
};

inline constexpr std::string_view kTool =
    R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"integer"}},)"
    R"("required":["a"],"additionalProperties":false}}},{"type":"function","function":{"name":"g"}}])";

}  // namespace corbel
