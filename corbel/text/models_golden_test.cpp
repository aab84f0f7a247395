#include <gtest/gtest.h>

#include "corbel/text/test_data.h"
#include "corbel/text/tokenizer.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;

TEST(ModelsGolden, UnigramWordPieceAndWordLevelGiveTheIdsThatHuggingFaceRecorded) {
  // goldens/models.jsonl, made by tools/golden/text_models.py; its first line names the version.
  const auto rows =
      test_data::read_lines(std::filesystem::path(CORBEL_SOURCE_DIR) / "corbel" / "text" / "goldens" / "models.jsonl");
  ASSERT_GT(rows.size(), 50U);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const std::string name = rows[i]["name"];
    const auto made = Tokenizer::from_json(rows[i]["file"].dump(), name);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    for (const auto& row : rows[i]["cases"]) {
      const auto ids = made->encode(row[0].get<std::string>());
      ASSERT_EQ(ids.has_value(), !row[1].is_null()) << name << ": " << row[0].dump();
      if (!ids.has_value()) continue;
      EXPECT_EQ(*ids, row[1].get<Ids>()) << name << ": " << row[0].dump();
    }
  }
}

}  // namespace
}  // namespace corbel
