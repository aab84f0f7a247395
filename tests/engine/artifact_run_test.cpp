// Models out of artifacts: the same logits as from the folder they were made of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "corbel/engine/generate.h"
#include "corbel/model/weight_mover.h"
#include "tests/engine/pack_model.h"
#include "tests/engine/tiny_model.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kModels[] = {"llama/goldens/mha_f32", "llama/goldens/gqa_tied_sharded_bf16",
                                   "qwen/goldens/qwen2_yarn_f16"};

class ArtifactRuns : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              cat("corbel_artifact_run_", testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    path_ = folder_ / "model.corbel";
  }
  void TearDown() override { fs::remove_all(folder_); }
  static fs::path source(const std::string& model) { return fs::path(CORBEL_SOURCE_DIR) / "models" / model; }
  fs::path folder_, path_;
};

std::vector<float> logits_of(TinyModel& tiny) {
  TinySession open(tiny, {.step_rows = 32, .context_tokens = 128});
  const auto ids = some_ids(tiny, 50, 1);
  EXPECT_TRUE(open.session->prefill(ids));
  const auto logits = open.session->decode(ids[7]);
  EXPECT_TRUE(logits) << (logits ? "" : logits.error().message);
  return logits ? numbers(*logits) : std::vector<float>();
}

TEST_F(ArtifactRuns, GivesTheFoldersLogitsBitForBitWhenNothingIsQuantized) {
  for (const char* model : kModels) {
    ASSERT_TRUE(pack_model(source(model), path_, nullptr));
    auto folder = load_tiny_model({.folder = model, .threads = 2});
    auto artifact = load_tiny_model({.folder = path_.string(), .threads = 2});
    ASSERT_TRUE(folder && artifact) << model;
    EXPECT_EQ(artifact->loaded.package->kind(), PackageKind::artifact);
    EXPECT_EQ(logits_of(*folder), logits_of(*artifact)) << model;
    EXPECT_EQ(folder->loaded.defaults.eos_ids, artifact->loaded.defaults.eos_ids);
    EXPECT_EQ(folder->model().info().parameters, artifact->model().info().parameters);
  }
}

TEST_F(ArtifactRuns, GivesCloseLogitsWhenWeightsArePacked) {
  for (const char* model : kModels) {
    auto folder = load_tiny_model({.folder = model});
    const std::vector<float> expected = logits_of(*folder);
    for (const WeightFormat* format : {&w8_format(), &w4g16_format()}) {
      ASSERT_TRUE(pack_model(source(model), path_, format));
      auto artifact = load_tiny_model({.folder = path_.string()});
      ASSERT_NE(artifact, nullptr);
      const std::vector<float> logits = logits_of(*artifact);
      double distance = 0.0;
      double size = 0.0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        distance += std::pow(static_cast<double>(logits[i]) - expected[i], 2);
        size += std::pow(static_cast<double>(expected[i]), 2);
      }
      // Random weights of few columns with sharp attention, whose queries and softmax weights are rounded to bf16
      // behind weights that already moved: 8 bits leave some percent, 4 bits no more than the size of the logits.
      EXPECT_LT(std::sqrt(distance / size), format == &w8_format() ? 0.15 : 0.9) << model << ' ' << format->name;
      EXPECT_LT(artifact->model().info().weight_bytes, folder->model().info().weight_bytes * 5);
    }
  }
}

TEST_F(ArtifactRuns, GivesTheSameLogitsWhileAndAfterItsWeightsMoveIntoHugePages) {
  const char* model = "llama/goldens/gqa_tied_sharded_bf16";
  ASSERT_TRUE(pack_model(source(model), path_, &w8_format()));
  auto tiny = load_tiny_model({.folder = path_.string()});
  const std::vector<float> before = logits_of(*tiny);
  const MappedFile& file = tiny->loaded.package->artifact()->file();
  auto mover = WeightMover::make(*tiny->loaded.model, file);
  ASSERT_TRUE(mover);
  EXPECT_GT(mover->total_bytes(), 0U);
  while (mover->move_slice()) EXPECT_EQ(logits_of(*tiny), before);
  EXPECT_EQ(mover->moved_bytes(), mover->total_bytes());
  for (const WeightBase* base : tiny->loaded.model->weight_bases()) {
    EXPECT_TRUE(base->address < file.bytes().data() || base->address >= file.bytes().data() + file.bytes().size());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(base->address) % 64, 0U);
  }
  EXPECT_EQ(logits_of(*tiny), before);
}

TEST_F(ArtifactRuns, AStaticProfileLimitsContextAndInput) {
  ASSERT_TRUE(
      pack_model(source(kModels[0]), path_, nullptr, {.is_static = true, .context_tokens = 96, .input_tokens = 20}));
  auto tiny = load_tiny_model({.folder = path_.string()});
  ASSERT_NE(tiny, nullptr);
  EXPECT_EQ(tiny->loaded.longest_context(), 96);
  EXPECT_EQ(tiny->loaded.context_reason(), "the static profile \"default\" of model.corbel was compiled for at most");
  EXPECT_EQ(tiny->loaded.defaults.input_tokens, 20);
}

TEST_F(ArtifactRuns, AFolderWithNothingButAnArtifactIsThatArtifact) {
  ASSERT_TRUE(pack_model(source(kModels[0]), path_, nullptr));
  const auto package = open_model_package(folder_);
  ASSERT_TRUE(package) << package.error().message;
  EXPECT_EQ((*package)->kind(), PackageKind::artifact);
  fs::copy_file(path_, folder_ / "second.corbel");
  EXPECT_EQ((*open_model_package(folder_))->kind(), PackageKind::hf_folder);  // and its weights are refused
}

TEST_F(ArtifactRuns, WhatIsNoModelIsRefusedSayingWhatWouldBeOne) {
  const auto refusal = [](const fs::path& path) {
    const auto package = open_model_package(path);
    return package ? "accepted" : package.error().message;
  };
  EXPECT_THAT(refusal(folder_ / "absent"), HasSubstr("no model at "));
  EXPECT_THAT(refusal(source(kModels[0]) / "model.safetensors"),
              HasSubstr("a Hugging Face model is named by its folder"));
  ASSERT_TRUE(pack_model(source(kModels[0]), path_, nullptr));
  EXPECT_THAT(refusal(path_.string() + "#fast"), HasSubstr("has no profile \"fast\"; it has \"default\""));
  EXPECT_EQ(refusal(path_.string() + "#default"), "accepted");
  EXPECT_THAT(refusal(source(kModels[0]).string() + "#fast"), HasSubstr("is no artifact and has no profile \"fast\""));
}

TEST_F(ArtifactRuns, TheFingerprintTellsContentsApartAndNotPlaces) {
  const auto fingerprint = [](const fs::path& path) {
    const auto package = open_model_package(path).value();
    return to_string(source_fingerprint(**package->tensors(), package->files()).value());
  };
  const fs::path copy = folder_ / "copy";
  fs::copy(source(kModels[0]), copy);
  const std::string original = fingerprint(source(kModels[0]));
  EXPECT_EQ(fingerprint(copy), original);
  EXPECT_NE(fingerprint(source(kModels[1])), original);
  std::ofstream(copy / "generation_config.json") << "{\"eos_token_id\": 5}";
  EXPECT_NE(fingerprint(copy), original);
}

}  // namespace
}  // namespace corbel
