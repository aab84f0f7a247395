#include <gtest/gtest.h>

#include "corbel/text/chat_template.h"
#include "corbel/text/test_data.h"

namespace corbel {
namespace {

/// goldens/jinja.jsonl: what Python's jinja2 prints or refuses, set up as transformers does
/// (tools/golden/fuzz_templates.py; versions and the clock in its first line).
TEST(JinjaGolden, EveryConstructPrintsOrFailsAsInPython) {
  const auto rows = test_data::read_lines(std::filesystem::path(CORBEL_SOURCE_DIR) / "corbel/text/goldens/jinja.jsonl");
  ASSERT_GT(rows.size(), 250U);
  std::tm clock{};  // 2026-01-02 03:04:05, a Friday
  clock.tm_year = 126;
  clock.tm_mday = 2;
  clock.tm_hour = 3;
  clock.tm_min = 4;
  clock.tm_sec = 5;
  clock.tm_wday = 5;
  clock.tm_yday = 1;
  ASSERT_EQ(rows.front()["now"], "2026-01-02 03:04:05");
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const auto& row = rows[i];
    const std::string source = row["source"];
    Json variables = row.contains("extra") ? row["extra"] : rows.front()["extra"];
    variables["messages"] = Json::array();
    variables["tools"] = nullptr;
    variables["documents"] = nullptr;
    variables["add_generation_prompt"] = false;
    const auto compiled = ChatTemplate::compile(source, "t");
    const auto prompt = compiled ? compiled->render(variables, {.now = clock}) : forward_failure(compiled, "compile");
    if (row.contains("prompt")) {
      ASSERT_TRUE(prompt.has_value()) << source << "\n" << prompt.error().message;
      EXPECT_EQ(*prompt, row["prompt"].get<std::string>()) << source;
    } else {
      EXPECT_FALSE(prompt.has_value()) << source << "\nprinted: " << *prompt << "\nPython: " << row["error"];
    }
  }
}

}  // namespace
}  // namespace corbel
