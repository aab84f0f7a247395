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
  const corbel::Json variables = {
      {"messages", {{{"role", "user"}, {"content", "Hi \u4e2d"}}, {{"role", "assistant"}, {"content", nullptr}}}},
      {"tools", {{{"type", "function"}, {"function", {{"name", "f"}, {"parameters", corbel::Json::object()}}}}}},
      {"add_generation_prompt", true},
      {"bos_token", "<s>"}};
  const auto text = compiled->render(variables);
  if (text && corbel::valid_utf8_prefix(*text) != text->size()) std::abort();
  return 0;
}
