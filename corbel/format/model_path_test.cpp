#include "corbel/format/model_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <fstream>

#include "corbel/base/disk_names.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A fresh home folder, removed afterwards.
class ModelPath : public testing::Test {
 protected:
  ModelPath() {
    std::string name = testing::TempDir() + "corbel_home_XXXXXX";
    home_ = ::mkdtemp(name.data());
    search_.home = home_;
  }
  ~ModelPath() override { fs::remove_all(home_); }

  fs::path folder(const fs::path& path) const {
    fs::create_directories(home_ / path);
    return home_ / path;
  }
  void file(const fs::path& path, std::string_view content) const {
    fs::create_directories((home_ / path).parent_path());
    std::ofstream(home_ / path) << content;
  }
  /// The path found, below the home folder; or the message.
  std::string found(const std::string& model) const {
    const Result<fs::path> path = resolve_model_path(model, search_);
    return path ? fs::relative(*path, home_).string() : path.error().message;
  }
  fs::path home_;
  ModelSearch search_;
};

const std::string kHub = ".cache/huggingface/hub/models--org--net";

TEST_F(ModelPath, AnExistingPathIsTakenAsItIs) {
  const fs::path path = folder("some/where");
  EXPECT_EQ(*resolve_model_path(path, search_), path);
  EXPECT_EQ(found("~/some/where"), "some/where");
  file("one.gguf", "x");
  EXPECT_EQ(found(home_ / "one.gguf"), "one.gguf");
}

TEST_F(ModelPath, TheHubCacheGivesTheSnapshotThatRefsMainNames) {
  folder(kHub + "/snapshots/aaa");
  folder(kHub + "/snapshots/bbb");
  file(kHub + "/refs/main", "aaa\n");
  EXPECT_EQ(found("org/net"), kHub + "/snapshots/aaa");
}

TEST_F(ModelPath, WithoutRefsTheNewestSnapshotIsTaken) {
  const auto now = fs::file_time_type::clock::now();
  fs::last_write_time(folder(kHub + "/snapshots/aaa"), now);
  fs::last_write_time(folder(kHub + "/snapshots/bbb"), now - std::chrono::hours(1));
  EXPECT_EQ(found("org/net"), kHub + "/snapshots/aaa");
  fs::last_write_time(home_ / kHub / "snapshots/bbb", now + std::chrono::hours(1));
  EXPECT_EQ(found("org/net"), kHub + "/snapshots/bbb");
}

TEST_F(ModelPath, AnIncompleteDownloadIsNamed) {
  folder(kHub);
  EXPECT_EQ(found("org/net"),
            cat((home_ / kHub).string(), " has no snapshot; `corbel pull org/net` completes the download"));
  file(kHub + "/refs/main", "ccc");
  EXPECT_EQ(found("org/net"), cat((home_ / kHub / "refs/main").string(), " names the snapshot ccc, which is not in ",
                                  (home_ / kHub / "snapshots").string(), ". Is the download complete?"));
}

TEST_F(ModelPath, ARefThatLeadsOutOfTheCacheIsRefused) {
  folder(kHub + "/snapshots");
  for (const std::string_view hash : {"../../../secret", "/etc", "..", ""}) {
    file(kHub + "/refs/main", hash);
    EXPECT_THAT(found("org/net"), HasSubstr("expected the name of a snapshot")) << hash;
  }
}

TEST_F(ModelPath, HfHomeAndHfHubCacheMoveTheCache) {
  folder("hf/hub/models--org--net/snapshots/aaa");
  folder("cache/models--org--net/snapshots/bbb");
  search_.hf_home = home_ / "hf";
  EXPECT_EQ(found("org/net"), "hf/hub/models--org--net/snapshots/aaa");
  search_.hf_hub_cache = home_ / "cache";
  EXPECT_EQ(found("org/net"), "cache/models--org--net/snapshots/bbb");
}

TEST_F(ModelPath, TheModelsFolderIsTriedWithAndWithoutTheOrganisation) {
  folder("models/net");
  EXPECT_EQ(found("org/net"), "models/net");
  EXPECT_EQ(found("net"), "models/net");
  folder("models/org/net");
  EXPECT_EQ(found("org/net"), "models/org/net");
  folder(kHub + "/snapshots/aaa");
  EXPECT_EQ(found("org/net"), kHub + "/snapshots/aaa");
}

TEST_F(ModelPath, AnAliasMeansItsRepositoryOrAFolderOfItsOwnName) {
  for (const disk_names::ModelAlias& entry : disk_names::kModelAliases) {
    const std::string repository(entry.repository);
    ASSERT_TRUE(looks_like_repository(repository)) << repository;
    const std::string alias(entry.alias);
    EXPECT_THAT(found(alias), HasSubstr(cat("corbel pull ", repository, "`")));
    folder("models/" + alias);
    EXPECT_EQ(found(alias), "models/" + alias);
    folder("models/" + repository);
    EXPECT_EQ(found(alias), "models/" + repository);
    std::string shouted = alias;
    std::transform(shouted.begin(), shouted.end(), shouted.begin(), [](unsigned char c) { return std::toupper(c); });
    EXPECT_EQ(found(shouted), "models/" + repository);
  }
}

TEST_F(ModelPath, NothingFoundListsThePlacesAndWhatToDo) {
  EXPECT_EQ(found("org/net"),
            cat("no model \"org/net\": there is no such path, no ", (home_ / kHub).string(), ", no ",
                (home_ / "models/org/net").string(), ", no ", (home_ / "models/net").string(),
                ". Download it with `corbel pull org/net`, or give the path of a Hugging Face folder"));
  search_ = {};
  EXPECT_EQ(
      found("org/net"),
      "no model \"org/net\": there is no such path. Set HOME or HF_HOME, or give the path of a Hugging Face folder");
}

TEST_F(ModelPath, NamesThatLeadOutOfAFolderAreRefused) {
  folder("secret");
  for (const std::string model : {"../secret", "org/..", "org/../../secret", ".hidden/x", "org/", "/no/such", "a/b/c",
                                  "-x/y", "org/n et", "org/\x1b[31m"}) {
    EXPECT_THAT(found(model), HasSubstr("and it is no ORG/NAME either")) << model;
    EXPECT_FALSE(looks_like_repository(model)) << model;
  }
}

TEST_F(ModelPath, WithoutAModelTheEnvironmentDecidesAndThenTheBuiltInModelIsMeant) {
  EXPECT_EQ(*resolve_model_path("", search_), fs::path());
  const fs::path path = folder("checkpoint");
  search_.model_folder = path;
  EXPECT_EQ(found(""), "checkpoint");
  folder("models/net");
  EXPECT_EQ(found("net"), "models/net");  // a model that is named wins
  search_.hf_model = "org/net";
  EXPECT_EQ(found(""),
            cat("HF_MODEL is \"org/net\" and LLAMA_DIR is \"", path.string(), "\"; unset one, or name the model"));
  search_.model_folder.clear();
  EXPECT_EQ(found(""), "models/net");
  search_.hf_model = "org/other";
  EXPECT_THAT(found(""), testing::StartsWith("HF_MODEL: no model \"org/other\": "));
  search_.hf_model.clear();
  search_.model_folder = "/no/such";
  EXPECT_EQ(found(""), "LLAMA_DIR is \"/no/such\", which does not exist");
}

}  // namespace
}  // namespace corbel
