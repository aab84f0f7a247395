#include "corbel/verify/golden.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "corbel/verify/golden_report.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

/// A golden of two tokens, to be spoiled: what a test does not change is right.
struct GoldenFile {
  std::vector<std::int64_t> prompt = {1, 2}, greedy = {3, 4};
  std::vector<std::int64_t> positions, rows, frozen;
  std::string format = "corbel.golden.v1";
  std::string rope_length;
  std::vector<float> logits = {0.5F, 1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F, 7.0F, 8.0F, 9.0F};

  fs::path write() const {
    const fs::path path = fs::path(testing::TempDir()) / cat("golden_test_", getpid(), ".safetensors");
    std::vector<TensorToWrite> tensors;
    const auto add = [&](const char* name, const std::vector<std::int64_t>& ids) {
      if (ids.empty()) return;
      tensors.push_back({name, "I64", {static_cast<std::int64_t>(ids.size())}, std::as_bytes(std::span(ids))});
    };
    add("prompt_ids", prompt);
    add("greedy_ids", greedy);
    add("positions", positions);
    add("rows", rows);
    add("greedy_ids_frozen_rope", frozen);
    if (!logits.empty()) tensors.push_back({"logits", "F32", {2, 5}, std::as_bytes(std::span(logits))});
    std::map<std::string, std::string, std::less<>> metadata = {{"format", format}};
    if (!rope_length.empty()) metadata["rope_seq_len"] = rope_length;
    const auto written = write_safetensors(path, tensors, metadata);
    EXPECT_TRUE(written) << written.error().message;
    return path;
  }
  /// The refusal of the file; "accepted" if there is none.
  std::string refusal() const {
    const auto golden = Golden::open(write());
    return golden ? "accepted" : golden.error().message;
  }
};

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(Golden, AFileWithPromptAndOutputsIsReadAndPositionsDefaultToTheRows) {
  const auto golden = Golden::open(GoldenFile{}.write());
  ASSERT_TRUE(golden) << golden.error().message;
  EXPECT_EQ(golden->prompt(), (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(golden->positions(), (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(golden->greedy(), (std::vector<std::int32_t>{3, 4}));
  ASSERT_TRUE(golden->find("logits"));
  EXPECT_EQ(golden->find("logits")->columns, 5);
  EXPECT_EQ(golden->find("logits")->numbers[9], 9.0F);
  EXPECT_TRUE(golden->holds("lm_head"));
  EXPECT_FALSE(golden->holds("model.norm"));
}

TEST(Golden, AFileOfAnotherFormatIsRefused) {
  EXPECT_CONTAINS(GoldenFile{.format = "corbel.golden.v9"}.refusal(), "corbel.golden.v9");
  EXPECT_CONTAINS(GoldenFile{.format = ""}.refusal(), "expected \"corbel.golden.v1\"");
}

TEST(Golden, InputsThatAreMissingOrMakeNoSenseAreRefusedByName) {
  EXPECT_CONTAINS(GoldenFile{.prompt = {}}.refusal(), "\"prompt_ids\"");
  EXPECT_CONTAINS(GoldenFile{.greedy = {}}.refusal(), "\"greedy_ids\"");
  EXPECT_CONTAINS((GoldenFile{.prompt = {1, -2}}.refusal()), "\"prompt_ids\"[1] is -2");
  EXPECT_CONTAINS((GoldenFile{.prompt = {1, std::int64_t{1} << 40}}.refusal()), "\"prompt_ids\"[1] is 1099511627776");
  EXPECT_CONTAINS(GoldenFile{.positions = {7}}.refusal(), "\"positions\" has 1 entries");
  EXPECT_CONTAINS(GoldenFile{.rows = {2}}.refusal(), "\"rows\" names row 2 of a prompt of 2");
  EXPECT_CONTAINS((GoldenFile{.prompt = std::vector<std::int64_t>(65537, 1)}.refusal()), "expected 1 to 65536");
}

TEST(Golden, FrozenGreedyIdsNeedTheirLength) {
  EXPECT_CONTAINS((GoldenFile{.frozen = {3, 4}}.refusal()), "rope_seq_len");
  EXPECT_CONTAINS((GoldenFile{.frozen = {3, 4}, .rope_length = "12x"}.refusal()), "12x");
  EXPECT_CONTAINS((GoldenFile{.frozen = {3}, .rope_length = "12"}.refusal()), "greedy_ids_frozen_rope");
  EXPECT_EQ((GoldenFile{.frozen = {3, 4}, .rope_length = "12"}.refusal()), "accepted");
}

TEST(Golden, AFileWithoutOutputsIsRefused) {
  EXPECT_CONTAINS(GoldenFile{.logits = {}}.refusal(), "nothing to compare with");
}

TEST(Golden, AFileCutShortAtAnyPlaceIsRefused) {
  const fs::path path = GoldenFile{}.write();
  std::ifstream whole(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(whole)), {});
  for (std::size_t length = 0; length < bytes.size(); length += 7) {
    const fs::path cut = fs::path(testing::TempDir()) / cat("golden_cut_", getpid(), ".safetensors");
    std::ofstream(cut, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(length));
    EXPECT_FALSE(Golden::open(cut)) << "the first " << length << " bytes were accepted";
  }
}

TEST(Golden, AFileThatIsNotThereIsNamed) {
  const auto golden = Golden::open("/nowhere/golden.safetensors");
  ASSERT_FALSE(golden);
  EXPECT_CONTAINS(golden.error().message, "/nowhere/golden.safetensors");
}

TEST(GoldenBound, IsHundredThousandthWhereNothingIsRounded) {
  EXPECT_EQ(golden_bound(0, 32), 1e-5);
  EXPECT_EQ(golden_bound(0, 8192), 1e-5);
}

TEST(GoldenBound, GrowsWithTheRootOfRoundingsAndShrinksWithTheWidth) {
  EXPECT_DOUBLE_EQ(golden_bound(12, 1024), 2.0 * golden_bound(3, 1024));
  EXPECT_LT(golden_bound(3, 4096), golden_bound(3, 256));
  // 4 * (1 + 16 / 32) * 0.4 / 256: what one rounding of a row of 1,024 may do.
  EXPECT_DOUBLE_EQ(golden_bound(1, 1024), 0.009375);
}

}  // namespace
}  // namespace corbel
