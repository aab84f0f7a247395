#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/chat/answer_parser.h"

namespace {

using corbel::AnswerFormat;
using corbel::ParsedAnswer;

void require(bool condition) {
  if (!condition) std::abort();
}

const std::vector<AnswerFormat>& formats() {
  static const std::vector<AnswerFormat> kFormats = [] {
    std::vector<AnswerFormat> made;
    for (const std::string_view name : AnswerFormat::names()) made.push_back(*AnswerFormat::by_name(name));
    return made;
  }();
  return kFormats;
}

/// Random bytes rarely spell a marker: a byte of 128 and more stands for one of the format's own texts.
std::string spelled_out(std::string_view bytes, const AnswerFormat& format) {
  std::vector<std::string> words = {"<think>",
                                    "</think>",
                                    "{\"name\": \"f\", \"arguments\": {\"a\": 1}}",
                                    "{\"a\": [1, {}]}",
                                    "f",
                                    "\n",
                                    "f(a='x')",
                                    "<|start|>",
                                    "<|call|>",
                                    "<|channel|>commentary to=functions.f<|message|>",
                                    "<|end|>",
                                    "<|channel|>analysis<|message|>",
                                    "functions.f:0",
                                    "\\\"",
                                    "\xe4\xb8\xad",
                                    "<|\"|>",
                                    "all\n"};
  for (const corbel::ToolCallSyntax& syntax : format.parts().calls) {
    for (const std::string* word :
         {&syntax.section_open, &syntax.open, &syntax.id_open, &syntax.name_end, &syntax.key_open, &syntax.key_end,
          &syntax.value_end, &syntax.close, &syntax.section_close}) {
      if (!word->empty()) words.push_back(*word);
    }
  }
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    if (value < 128) {
      text += byte;
    } else {
      text += words[(value - 128U) % words.size()];
    }
  }
  return text;
}

ParsedAnswer in_pieces(std::string_view text, const AnswerFormat& format, const corbel::AnswerParserOptions& options,
                       std::uint32_t seed) {
  ParsedAnswer sum;
  corbel::AnswerParser parser(format, options);
  const auto add = [&](const std::vector<corbel::AnswerDelta>& deltas) {
    for (const corbel::AnswerDelta& delta : deltas) {
      if (delta.kind == corbel::AnswerDelta::Kind::content) sum.content += delta.text;
      if (delta.kind == corbel::AnswerDelta::Kind::reasoning) sum.reasoning += delta.text;
      if (delta.kind == corbel::AnswerDelta::Kind::tool_call) sum.tool_calls.push_back(delta.call);
    }
  };
  while (!text.empty()) {
    seed = seed * 1664525U + 1013904223U;
    const std::string_view piece = text.substr(0, 1 + (seed >> 24) % 7);
    add(parser.push(piece));
    text.remove_prefix(piece.size());
  }
  add(parser.finish());
  sum.notes = parser.answer().notes;
  require(sum == parser.answer());
  return sum;
}

/// True when `part` can be had from `text` by leaving bytes out.
bool in_order(std::string_view part, std::string_view text) {
  std::size_t at = 0;
  for (const char byte : text) {
    if (at < part.size() && part[at] == byte) ++at;
  }
  return at == part.size();
}

}  // namespace

// Any text in any format: no crash, the same for every split, arguments that are JSON, nothing invented, and nothing
// lost where no call was found.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 5) return 0;
  const AnswerFormat& format = formats()[data[0] % formats().size()];
  const std::uint32_t seed = data[1] | (data[2] << 8U) | (data[3] << 16U);
  static const corbel::Json kTools =
      corbel::Json::array({{{"name", "f"}, {"parameters", {{"properties", {{"a", {{"type", "string"}}}}}}}}});
  corbel::AnswerParserOptions options;
  if ((data[4] & 1U) != 0) options.prompt = "<think>\n";
  if ((data[4] & 2U) != 0) options.tools = &kTools;
  const std::string text = spelled_out({reinterpret_cast<const char*>(data) + 5, size - 5}, format);
  const ParsedAnswer whole = corbel::parse_answer(text, format, options);
  require(in_pieces(text, format, options, seed) == whole);
  for (const corbel::ToolCall& call : whole.tool_calls) {
    require(!call.name.empty());
    require(nlohmann::json::parse(call.arguments, nullptr, false).is_object());
  }
  require(in_order(whole.content, text) && in_order(whole.reasoning, text));
  if (whole.tool_calls.empty() && !format.parts().channels && text.find("think>") == std::string::npos &&
      text.find("all") == std::string::npos && options.prompt.empty()) {
    require(whole.content == text);
  }
  return 0;
}
