#include "corbel/ops/case_shapes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

fs::path configs_folder() {
  const char* given = std::getenv("CORBEL_TEST_DATA");
  const fs::path data = given != nullptr ? fs::path(given) : fs::path(CORBEL_SOURCE_DIR) / ".." / "shared" / "data";
  return data / "configs";
}

/// The first of `keys` that the file has; 0 when it has none.
std::int64_t first_of(const JsonFields& fields, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (!fields.has(key)) continue;
    if (const Result<std::int64_t> value = fields.get_int(key, 0, 0, std::int64_t{1} << 40); value) return *value;
  }
  return 0;
}

/// Sizes as a config file states them; 0 where it leaves one to the family's defaults.
CaseShape read_shape(const JsonFields& text) {
  CaseShape shape{};
  shape.hidden = first_of(text, {"hidden_size", "n_embd", "dim"});
  shape.ffn = first_of(text, {"ffn_hidden_size", "intermediate_size", "n_inner", "ffn_dim"});
  shape.q_heads = first_of(text, {"num_attention_heads", "n_head", "n_heads"});
  shape.kv_heads = first_of(text, {"multi_query_group_num", "num_key_value_heads", "n_kv_heads"});
  shape.head_dim = first_of(text, {"head_dim", "kv_channels"});
  if (shape.head_dim == 0 && shape.q_heads > 0) shape.head_dim = shape.hidden / shape.q_heads;
  shape.vocab = first_of(text, {"padded_vocab_size", "vocab_size"});
  return shape;
}

bool agrees(std::int64_t stated, std::int64_t ours) { return stated == 0 || stated == ours; }

bool covers(const CaseShape& ours, const CaseShape& stated) {
  return ours.hidden == stated.hidden && ours.ffn == stated.ffn && agrees(stated.q_heads, ours.q_heads) &&
         agrees(stated.kv_heads, ours.kv_heads) && agrees(stated.head_dim, ours.head_dim) &&
         agrees(stated.vocab, ours.vocab);
}

Result<CaseShape> read_file(const fs::path& path) {
  CORBEL_ASSIGN(const Json json, read_json_file(path));
  const JsonFields fields(json, path.string());
  for (const std::string_view section : {"text_config", "llm_config"}) {
    if (!fields.has(section)) continue;
    CORBEL_ASSIGN(const JsonFields text, fields.object(section));
    return read_shape(text);
  }
  return read_shape(fields);
}

TEST(CaseShapes, CoverTheSizesOfAtLeastTwelveRealConfigs) {
  const fs::path folder = configs_folder();
  if (!fs::is_directory(folder)) GTEST_SKIP() << folder << " is not here; set CORBEL_TEST_DATA to the test data";
  int covered = 0;
  std::string missing;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    const Result<CaseShape> stated = read_file(file.path());
    ASSERT_TRUE(stated) << stated.error().message;
    if (stated->hidden == 0 || stated->ffn == 0) continue;  // a preprocessor's or generation's settings
    const auto shapes = case_shapes();
    const bool found =
        std::any_of(shapes.begin(), shapes.end(), [&](const CaseShape& ours) { return covers(ours, *stated); });
    covered += found ? 1 : 0;
    if (!found) missing += " " + file.path().filename().string();
  }
  EXPECT_GE(covered, 12);
  EXPECT_EQ(missing, "") << "configs whose sizes no case has";
}

TEST(CaseShapes, EveryShapeIsOneThatTheOpsDefine) {
  for (const CaseShape& shape : case_shapes()) {
    EXPECT_EQ(shape.q_heads % shape.kv_heads, 0) << shape.hidden;
    EXPECT_LE(shape.rotary_dim, shape.head_dim) << shape.hidden;
  }
}

}  // namespace
}  // namespace corbel
