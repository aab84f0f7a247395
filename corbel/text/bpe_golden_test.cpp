#include <gtest/gtest.h>

#include "corbel/text/test_data.h"
#include "corbel/text/tokenizer.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;

TEST(BpeGolden, EveryKindOfModelGivesTheIdsThatHuggingFaceRecorded) {
  // goldens/bpe.jsonl, made by tools/golden/text_bpe.py; its first line names the version.
  const auto rows =
      test_data::read_lines(std::filesystem::path(CORBEL_SOURCE_DIR) / "corbel" / "text" / "goldens" / "bpe.jsonl");
  ASSERT_GT(rows.size(), 30U);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const auto made = Tokenizer::from_json(rows[i]["tokenizer"].dump(), "golden " + std::to_string(i));
    ASSERT_TRUE(made.has_value()) << made.error().message;
    auto options = rows[i]["tokenizer"]["model"];
    options.erase("vocab");
    for (int twice = 0; twice < 2; ++twice) {  // the second time from what the model has remembered
      for (const auto& row : rows[i]["cases"]) {
        const auto ids = made->encode(row[0].get<std::string>());
        ASSERT_TRUE(ids.has_value()) << ids.error().message;
        EXPECT_EQ(*ids, row[1].get<Ids>()) << "line " << i + 1 << ": " << row[0].dump() << ' ' << options.dump();
      }
    }
  }
}

}  // namespace
}  // namespace corbel
