#include <gtest/gtest.h>

#include <map>

#include "corbel/text/chat_template.h"
#include "corbel/text/test_data.h"

namespace corbel {
namespace {

/// 2026-01-02 03:04:05, the clock of the recorded prompts.
RenderOptions recorded_clock() {
  std::tm now{};
  now.tm_year = 126;
  now.tm_mon = 0;
  now.tm_mday = 2;
  now.tm_hour = 3;
  now.tm_min = 4;
  now.tm_sec = 5;
  now.tm_wday = 5;
  return {now};
}

struct Count {
  int right = 0;
  int all = 0;
};

/// Prompts recorded from Python's Jinja, set up as transformers does.
TEST(ChatTemplateGolden, RendersEveryRecordedConversationAsPythonDoes) {
  const auto folder = test_data::folder() / "chat_templates";
  if (!std::filesystem::exists(folder / "golden_chat.jsonl")) {
    GTEST_SKIP() << "no " << (folder / "golden_chat.jsonl").string() << " (set CORBEL_TEST_DATA)";
  }
  std::map<std::string, ChatTemplate> templates;
  std::map<std::string, Count> counts;
  for (const auto& row : test_data::read_lines(folder / "golden_chat.jsonl")) {
    const std::string name = row["template"];
    if (!templates.contains(name)) {
      auto compiled = ChatTemplate::compile(test_data::read(folder / (name + ".jinja")), name);
      ASSERT_TRUE(compiled.has_value()) << compiled.error().message;
      templates.emplace(name, *std::move(compiled));
    }
    Json variables = row["extra"];
    variables["messages"] = row["messages"];
    variables["tools"] = row["tools"];
    variables["add_generation_prompt"] = row["add_generation_prompt"];
    if (!variables.contains("documents")) variables["documents"] = nullptr;
    const auto rendered = templates.at(name).render(variables, recorded_clock());
    const std::string agree = row["agree"];
    const bool expects_text = row.contains("expected");
    Count& count = counts[agree];
    ++count.all;
    const bool right =
        expects_text ? rendered.has_value() && *rendered == row["expected"].get<std::string>() : !rendered.has_value();
    if (right) {
      ++count.right;
      continue;
    }
    // Where Python stops by accident and another renderer goes on, neither answer is demanded.
    if (agree == "js_renders") continue;
    ADD_FAILURE() << name << ' ' << row["case"] << " (" << agree << ")\n"
                  << (rendered.has_value() ? *rendered : rendered.error().message) << "\n--- expected\n"
                  << (expects_text ? row["expected"].get<std::string>() : row["error"].get<std::string>());
  }
  for (const auto& [agree, count] : counts) {
    RecordProperty(agree, std::to_string(count.right) + "/" + std::to_string(count.all));
    std::cout << agree << ' ' << count.right << '/' << count.all << '\n';
  }
}

}  // namespace
}  // namespace corbel
