#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "corbel/text/chat_template.h"
#include "corbel/text/unicode.h"

// A template of any bytes is refused, fails, or prints valid UTF-8 within its budget.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto compiled = corbel::ChatTemplate::compile(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!compiled) return 0;
  static const corbel::Json variables = corbel::Json::parse(R"({
    "messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": [{"type": "text", "text": "Hi \u4e2d"}, {"type": "image"}]},
      {"role": "assistant", "content": null, "reasoning_content": "hm\n", "tool_calls": [
        {"type": "function", "id": "c1", "function": {"name": "f", "arguments": {"x": [1, 2.5, null, true], "y": "<&>"}}}]},
      {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "42"}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {
      "type": "object", "properties": {"x": {"type": "array"}}, "required": ["x"]}}}],
    "documents": null, "add_generation_prompt": true, "bos_token": "<s>"})");
  const auto text = compiled->render(variables);
  if (text && corbel::valid_utf8_prefix(*text) != text->size()) std::abort();
  return 0;
}
