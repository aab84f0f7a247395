#include "corbel/compile/write_behind.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "corbel/format/weight_format.h"

namespace corbel {
namespace {

using testing::HasSubstr;

class WritingBehind : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              cat("corbel-behind-", testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Two tensors of 48 rows of 64 floats.
  static ArtifactPlan plan() {
    ArtifactPlan made{.written_by = "a test", .files = {{"config.json", "{}"}}};
    for (const char* name : {"first", "second"}) made.profile.tensors.push_back({name, &f32_format(), {48, 64}, {}});
    return made;
  }
  /// The bytes of 16 rows, different in each piece.
  static std::vector<std::byte> piece(int number) {
    return std::vector<std::byte>(16 * 64 * sizeof(float), static_cast<std::byte>(number + 1));
  }
  std::string written(const std::string& name, bool behind) const {
    ArtifactWriter writer = *ArtifactWriter::create(folder_ / name, plan());
    {
      WriteBehind out(writer, behind);
      for (int i = 0; i < 6; ++i) {
        std::vector<std::byte> bytes = piece(i);
        EXPECT_TRUE(out.append(static_cast<std::size_t>(i / 3), bytes));
        bytes.assign(bytes.size(), std::byte{0xee});  // who made a piece may use what came back
      }
      EXPECT_TRUE(out.drain());
    }
    EXPECT_TRUE(writer.finish());
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::filesystem::path folder_;
};

TEST_F(WritingBehind, GivesTheBytesOfWritingAtOnce) {
  const std::string at_once = written("a.corbel", false);
  EXPECT_GT(at_once.size(), 6 * 16 * 64 * sizeof(float));
  EXPECT_TRUE(at_once == written("b.corbel", true));
}

TEST_F(WritingBehind, TellsAFailureWithTheNextPieceAndAtTheEndAndLeavesNothing) {
  {
    ArtifactWriter writer = *ArtifactWriter::create(folder_ / "a.corbel", plan());
    WriteBehind out(writer, true);
    std::vector<std::byte> longer(49 * 64 * sizeof(float));
    EXPECT_TRUE(out.append(0, longer));
    std::vector<std::byte> next = piece(1);
    const auto refused = out.append(1, next);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("section \"first\" has 12288 bytes"));
    EXPECT_FALSE(out.drain());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(WritingBehind, WhoLeavesWithoutWaitingLosesNoPieceThatWasTaken) {
  ArtifactWriter writer = *ArtifactWriter::create(folder_ / "a.corbel", plan());
  {
    WriteBehind out(writer, true);
    for (int i = 0; i < 3; ++i) {
      std::vector<std::byte> bytes = piece(i);
      ASSERT_TRUE(out.append(0, bytes));
    }
  }
  EXPECT_TRUE(writer.is_written(0));
  EXPECT_FALSE(writer.is_written(1));
}

}  // namespace
}  // namespace corbel
