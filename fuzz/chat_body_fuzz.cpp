#include <cstdint>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "corbel/chat/completion_json.h"
#include "corbel/chat/message_events.h"
#include "corbel/chat/response_events.h"

namespace {

using namespace corbel;

class TemplateFile final : public NamedFiles {
 public:
  Result<std::optional<FileBytes>> find(std::string_view name, std::int64_t) const override {
    return has(name)
               ? std::optional(FileBytes(std::string(
                     "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<{{ m.role }}>{{ m.content }}"
                     "{% for c in m.tool_calls or [] %}<tool_call>\n{\"name\": \"{{ c.function.name }}\", "
                     "\"arguments\": "
                     "{{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}</think>{% endfor %}")))
               : std::nullopt;
  }
  bool has(std::string_view name) const override { return name == "chat_template.jinja"; }
  std::vector<std::string> names() const override { return {"chat_template.jinja"}; }
  std::string description() const override { return "fuzz"; }
  std::string where(std::string_view name) const override { return std::string(name); }
};

struct Model {
  Tokenizer tokenizer = [] {
    std::string vocab;
    for (int byte = 0; byte < 256; ++byte) {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      vocab += cat(byte > 0 ? "," : "", "\"<0x", kHex[byte >> 4], kHex[byte & 15], ">\":", byte);
    }
    return *Tokenizer::from_json(
        cat(R"({"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":null,)",
            R"("post_processor":null,"decoder":{"type":"Sequence","decoders":[)",
            R"({"type":"ByteFallback"},{"type":"Fuse"}]},"model":{"type":"BPE",)",
            R"("byte_fallback":true,"unk_token":null,"fuse_unk":false,"vocab":{)", vocab, R"(},"merges":[]}})"),
        "fuzz");
  }();
  std::unique_ptr<ChatModel> chat = *ChatModel::load(TemplateFile(), tokenizer, GenerationDefaults());
};

/// The same body as a request for a response and for a message: told without a crash, and whole as in events.
void read_as_others(const Json& body, const ChatModel& chat, const GenerateResult& result) {
  const AnswerPiece piece{.text = result.text, .id = 1};
  if (const auto request = read_response_request(body, chat, 1)) {
    ResponseStream stream(*request, chat, {.id = "resp_x"});
    stream.begin();
    stream.push(piece);
    if (stream.end(result, 1).back()["response"] != stream.response()) std::abort();
  } else if (request.error().message.empty()) {
    std::abort();
  }
  if (const auto request = read_message_request(body, chat, 1)) {
    MessageStream stream(*request, {.id = "msg_x"});
    stream.begin();
    stream.push(piece);
    if (stream.end(result).empty() || stream.message()["stop_reason"].is_null()) std::abort();
  } else if (message_error_json(request.error())["error"]["message"] == "") {
    std::abort();
  }
}

}  // namespace

// The body of a chat completion. It is read or refused with a message; a refusal's field is no longer than its message;
// what is read tells any text as an answer.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Model kModel;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto body = parse_json(text, "body");
  if (!body) return 0;
  GenerateResult result;
  result.text = std::string(text.substr(0, 200));
  read_as_others(*body, *kModel.chat, result);
  const auto completion = read_chat_completion(*body, *kModel.chat, 1);
  if (!completion) {
    if (completion.error().message.empty()) std::abort();
    if (chat_error_json(completion.error()).dump(-1, ' ', true, Json::error_handler_t::replace).empty()) std::abort();
    return 0;
  }
  const std::vector<GenerateResult> results(static_cast<std::size_t>(completion->request.choices), result);
  const Json whole = chat_completion_json(*completion, *kModel.chat, results, {.id = "x"});
  CompletionStream stream(*completion, *kModel.chat, {.id = "x"});
  stream.push(0, result.text);
  stream.end(result);
  if (whole["choices"].size() != results.size()) std::abort();
  return 0;
}
