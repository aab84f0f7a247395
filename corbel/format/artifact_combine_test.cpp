#include "corbel/format/artifact_combine.h"

#include <gmock/gmock.h>

#include "corbel/format/artifact.h"
#include "corbel/format/test_artifact.h"

namespace corbel {
namespace {

using testing::HasSubstr;

class ArtifactCombining : public ArtifactTest {
 protected:
  void SetUp() override {
    ArtifactTest::SetUp();
    ASSERT_TRUE(write_test_artifact(a_, test_plan()));
    // b: another format of one tensor, another shape of a second; the rest, and its values, are a's.
    ArtifactPlan plan = test_plan();
    plan.profile.tensors[1].format = &w8_format();
    plan.profile.tensors[2].shape = {16, 32};
    plan.profile.limits = {.is_static = true, .context_tokens = 256, .input_tokens = 0};
    ASSERT_TRUE(write_test_artifact(b_, plan));
  }
  std::filesystem::path in(const char* name) const {
    return std::filesystem::path(testing::TempDir()) /
           cat("corbel_artifact_", testing::UnitTest::GetInstance()->current_test_info()->name()) / name;
  }
  std::filesystem::path a_ = in("a.corbel"), b_ = in("b.corbel"), both_ = in("both.corbel");
};

TEST_F(ArtifactCombining, StoresEqualTensorsOnceAndGivesBothProfilesTheirOwn) {
  const std::filesystem::path inputs[] = {a_, b_};
  const auto done = combine_artifacts(inputs, both_);
  ASSERT_TRUE(done) << done.error().message;
  const auto both = Artifact::open(both_);
  ASSERT_TRUE(both) << both.error().message;
  EXPECT_TRUE((*both)->check());
  EXPECT_EQ((*both)->sections().size(), 6U + 3U + 2U + 2U);  // a's tensors and files, two of b's, two certificates
  for (const char* name : {"a", "b"}) {
    const auto profile = (*both)->profile(name);
    ASSERT_TRUE(profile) << profile.error().message;
    const auto original = Artifact::open(in(cat(name, ".corbel").c_str())).value();
    const auto expected = original->tensors(original->manifest().profiles[0]);
    const auto found = (*both)->tensors(**profile);
    ASSERT_EQ(found->names(), expected->names());
    for (const std::string& tensor : expected->names()) {
      EXPECT_EQ(found->find(tensor)->format, expected->find(tensor)->format) << name << ' ' << tensor;
      EXPECT_EQ(found->find(tensor)->shape, expected->find(tensor)->shape) << name << ' ' << tensor;
      EXPECT_TRUE(std::ranges::equal(found->find(tensor)->bytes, expected->find(tensor)->bytes))
          << name << ' ' << tensor;
    }
    EXPECT_EQ((*both)->files(**profile)->require("config.json")->text(), "{\"architectures\": []}");
  }
  EXPECT_TRUE((*both)->profile("b").value()->limits.is_static);
  EXPECT_THAT((*both)->profile("c").error().message, HasSubstr("has no profile \"c\"; it has \"a\", \"b\""));
}

TEST_F(ArtifactCombining, TakingApartGivesTheSameBytesAgain) {
  const std::filesystem::path inputs[] = {a_, b_};
  ASSERT_TRUE(combine_artifacts(inputs, both_));
  for (const auto& [name, path] : {std::pair{"a", a_}, {"b", b_}}) {
    ASSERT_TRUE(extract_profile(both_, name, in("again.corbel")));
    EXPECT_EQ(file_content(in("again.corbel")), file_content(path)) << name;
  }
}

TEST_F(ArtifactCombining, RefusesDamagedInputsAndDifferentTargets) {
  ArtifactPlan plan = test_plan();
  plan.target = "n150";
  ASSERT_TRUE(write_test_artifact(b_, plan));
  const std::filesystem::path inputs[] = {a_, b_};
  EXPECT_THAT(combine_artifacts(inputs, both_).error().message, HasSubstr("is for target \"n150\""));
  const auto place = Artifact::open(a_).value()->find_section("q.weight")->offset;
  std::fstream(a_, std::ios::in | std::ios::out | std::ios::binary).seekp(place).put('x');
  EXPECT_THAT(extract_profile(a_, "", both_).error().message, HasSubstr("\"q.weight\" is damaged"));
  EXPECT_FALSE(std::filesystem::exists(both_));
}

}  // namespace
}  // namespace corbel
