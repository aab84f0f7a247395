#include "corbel/format/artifact_writer.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

#include "corbel/format/artifact.h"
#include "corbel/format/safetensors.h"
#include "corbel/format/test_artifact.h"

namespace corbel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using ArtifactWriting = ArtifactTest;

TEST_F(ArtifactWriting, GivesBackEveryTensorFileAndTheCertificate) {
  const ArtifactPlan plan = test_plan();
  ASSERT_TRUE(write_test_artifact(path_, plan));
  EXPECT_THAT(files_left(), ElementsAre("model.corbel"));
  const auto artifact = Artifact::open(path_);
  ASSERT_TRUE(artifact) << artifact.error().message;
  const ArtifactProfile& profile = *(*artifact)->profile("").value();
  const auto tensors = (*artifact)->tensors(profile);
  for (std::size_t i = 0; i < plan.profile.tensors.size(); ++i) {
    const ArtifactTensor& wanted = plan.profile.tensors[i];
    const auto found = tensors->find(wanted.name);
    ASSERT_TRUE(found) << wanted.name;
    EXPECT_EQ(found->format, wanted.format);
    EXPECT_EQ(found->shape, wanted.shape);
    const auto expected = test_tensor(wanted, static_cast<int>(i));
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), found->bytes.begin(), found->bytes.end())) << wanted.name;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found->bytes.data()) % 64, 0U) << wanted.name;
  }
  const auto files = (*artifact)->files(profile);
  EXPECT_THAT(files->names(), ElementsAre("config.json", "empty.txt", "tokenizer.json"));
  for (const ArtifactPlan::File& file : plan.files) EXPECT_EQ(files->require(file.name)->text(), file.bytes);
  EXPECT_FALSE(files->find("absent")->has_value());
  EXPECT_EQ((*artifact)->certificate(profile), "{\"kl\": 0.01}");
  EXPECT_EQ(profile.settings, plan.profile.settings);
  EXPECT_EQ(profile.source_hash, plan.profile.source_hash);
  EXPECT_TRUE((*artifact)->check());
  EXPECT_EQ(planned_file_bytes(plan).value(), static_cast<std::int64_t>(std::filesystem::file_size(path_)));
}

TEST_F(ArtifactWriting, GivesAValidSafetensorsFileInWhichPlainRowsHaveTheirType) {
  ASSERT_TRUE(write_test_artifact(path_, test_plan()));
  const auto file = SafetensorsFile::open(path_);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->find_raw("big.weight")->dtype, "BF16");
  EXPECT_EQ(file->find_raw("big.weight")->shape, (Shape{700, 1024}));
  EXPECT_EQ(file->find_raw("norm.weight")->dtype, "F32");
  EXPECT_EQ(file->find_raw("odd.bias")->dtype, "U8");  // 12 bytes, padded to 64
  EXPECT_EQ(file->find_raw("q.weight")->dtype, "U8");
  EXPECT_EQ(file->find_raw("corbel.file/config.json")->dtype, "U8");
}

TEST_F(ArtifactWriting, GivesTheSameBytesWhateverTheOrderOfTheTensors) {
  const ArtifactPlan plan = test_plan();
  ASSERT_TRUE(write_test_artifact(path_, plan));
  const auto other = folder_ / "other.corbel";
  auto writer = ArtifactWriter::create(other, plan);
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->set_certificate("{\"kl\": 0.01}"));
  for (std::size_t i = plan.profile.tensors.size(); i-- > 0;) ASSERT_TRUE(write_tensors(*writer, plan, i, i + 1));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(file_content(path_), file_content(other));
}

TEST_F(ArtifactWriting, GoesOnWhereAnInterruptedRunStoppedAndGivesTheSameBytes) {
  const ArtifactPlan plan = test_plan();
  const std::size_t count = plan.profile.tensors.size();
  ASSERT_TRUE(write_test_artifact(folder_ / "whole.corbel", plan));
  for (std::size_t stop = 0; stop <= count; ++stop) {
    {
      auto writer = ArtifactWriter::create(path_, plan);
      ASSERT_TRUE(writer);
      ASSERT_TRUE(write_tensors(*writer, plan, 0, stop));
      if (stop < count) {
        ASSERT_TRUE(writer->append(stop, std::vector<std::byte>(5)));  // half a tensor
      }
      writer->keep_partial();
    }
    EXPECT_FALSE(std::filesystem::exists(path_));
    auto writer = ArtifactWriter::resume(path_, plan);
    ASSERT_TRUE(writer) << writer.error().message;
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(writer->is_written(i), i < stop) << i;
    ASSERT_TRUE(write_tensors(*writer, plan, 0, count));
    ASSERT_TRUE(writer->set_certificate("{\"kl\": 0.01}"));
    ASSERT_TRUE(writer->finish());
    EXPECT_EQ(file_content(path_), file_content(folder_ / "whole.corbel"));
    EXPECT_THAT(files_left(), UnorderedElementsAre("model.corbel", "whole.corbel"));
    std::filesystem::remove(path_);
  }
}

TEST_F(ArtifactWriting, AKilledProcessLeavesAJournalOfAllButTheLastBlock) {
  ArtifactPlan plan = test_plan();
  plan.profile.tensors.clear();
  for (const char* name : {"a", "b", "c", "d"}) plan.profile.tensors.push_back({name, &w8_format(), {1000, 1024}, ""});
  ASSERT_TRUE(write_test_artifact(folder_ / "whole.corbel", plan));
  {
    auto writer = ArtifactWriter::create(folder_ / "alive.corbel", plan);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(write_tensors(*writer, plan, 0, 4));
    // What a killed process leaves is what the files hold while the writer lives.
    for (const std::string end : {".partial", ".partial.journal"})
      std::filesystem::copy_file(folder_ / ("alive.corbel" + end), path_.string() + end);
  }
  auto writer = ArtifactWriter::resume(path_, plan);
  ASSERT_TRUE(writer) << writer.error().message;
  EXPECT_TRUE(writer->is_written(0) && writer->is_written(1));  // 1 MB each, blocks of 2 MB
  ASSERT_TRUE(write_tensors(*writer, plan, 0, 4));
  ASSERT_TRUE(writer->set_certificate("{\"kl\": 0.01}"));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(file_content(path_), file_content(folder_ / "whole.corbel"));
}

TEST_F(ArtifactWriting, WritesATensorAgainThatWasDamagedInThePartialFile) {
  const ArtifactPlan plan = test_plan();
  ASSERT_TRUE(write_test_artifact(folder_ / "whole.corbel", plan));
  const auto place = Artifact::open(folder_ / "whole.corbel").value()->find_section("q.weight")->offset;
  {
    auto writer = ArtifactWriter::create(path_, plan);
    ASSERT_TRUE(write_tensors(*writer, plan, 0, 3));
    writer->keep_partial();
  }
  std::fstream(path_.string() + ".partial", std::ios::in | std::ios::out | std::ios::binary).seekp(place + 7).put('x');
  auto writer = ArtifactWriter::resume(path_, plan);
  ASSERT_TRUE(writer);
  EXPECT_TRUE(writer->is_written(0));
  EXPECT_FALSE(writer->is_written(1));
  EXPECT_TRUE(writer->is_written(2));
}

TEST_F(ArtifactWriting, ReplacesWhatAnotherPlanLeftBehind) {
  ArtifactPlan plan = test_plan();
  {
    auto writer = ArtifactWriter::create(path_, plan);
    ASSERT_TRUE(write_tensors(*writer, plan, 0, 3));
    writer->keep_partial();
  }
  plan.profile.settings["quant"] = "w8";
  auto writer = ArtifactWriter::resume(path_, plan);
  ASSERT_TRUE(writer);
  for (std::size_t i = 0; i < plan.profile.tensors.size(); ++i) EXPECT_FALSE(writer->is_written(i));
}

TEST_F(ArtifactWriting, LeavesNothingBehindWhenItDoesNotFinish) {
  const ArtifactPlan plan = test_plan();
  {
    auto writer = ArtifactWriter::create(path_, plan);
    ASSERT_TRUE(writer);
    EXPECT_THAT(files_left(), UnorderedElementsAre("model.corbel.partial", "model.corbel.partial.journal"));
    ASSERT_TRUE(write_tensors(*writer, plan, 0, 2));
    EXPECT_THAT(writer->finish().error().message, HasSubstr("of section \"k.weight\" 0 of 1088 bytes are written"));
  }
  EXPECT_THAT(files_left(), IsEmpty());
}

TEST_F(ArtifactWriting, LeavesNothingBehindWhenThereIsNoRoomForTheFile) {
  const ArtifactPlan plan = test_plan();
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto signal_before = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 500'000, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto writer = ArtifactWriter::create(path_, plan);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, signal_before);
  ASSERT_FALSE(writer);
  EXPECT_THAT(writer.error().message, HasSubstr("model.corbel.partial: File too large; it needs "));
  EXPECT_THAT(files_left(), IsEmpty());
}

TEST_F(ArtifactWriting, RefusesASecondWriterOfTheSameFile) {
  const auto first = ArtifactWriter::create(path_, test_plan());
  ASSERT_TRUE(first);
  const auto second = ArtifactWriter::create(path_, test_plan());
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("another process is writing it"));
}

TEST_F(ArtifactWriting, RefusesAPlanThatIsNoArtifact) {
  const auto refusal = [&](auto&& change) {
    ArtifactPlan plan = test_plan();
    change(plan);
    const auto writer = ArtifactWriter::create(path_, plan);
    return writer ? "accepted" : writer.error().message;
  };
  EXPECT_THAT(refusal([](ArtifactPlan& plan) { plan.profile.tensors[1].name = "k.weight"; }),
              HasSubstr("two sections are named \"k.weight\""));
  EXPECT_THAT(refusal([](ArtifactPlan& plan) { plan.profile.tensors[1].name = "corbel.x"; }),
              HasSubstr("names that begin with \"corbel.\" are the artifact's own"));
  EXPECT_THAT(refusal([](ArtifactPlan& plan) { plan.profile.tensors[1].shape = {300}; }),
              HasSubstr("cannot be w4g16 [300]: a packed format holds matrices"));
  EXPECT_THAT(refusal([](ArtifactPlan& plan) { plan.profile.tensors[1].shape = {1 << 30, 1 << 30}; }),
              HasSubstr("too many values"));
  EXPECT_THAT(refusal([](ArtifactPlan& plan) { plan.profile.tensors[1].name = "\xff"; }), HasSubstr("UTF-8"));
  EXPECT_THAT(files_left(), IsEmpty());
}

}  // namespace
}  // namespace corbel
