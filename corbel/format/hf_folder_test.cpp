#include "corbel/format/hf_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include "corbel/format/safetensors.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

/// A fresh folder, removed afterwards.
class HfFolder : public testing::Test {
 protected:
  HfFolder() {
    std::string name = testing::TempDir() + "corbel_hf_XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~HfFolder() override {
    fs::permissions(folder_, fs::perms::owner_all);
    fs::remove_all(folder_);
  }
  void file(std::string_view name, std::string_view content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  void weights(std::string_view name, const std::vector<std::string>& tensors) const {
    static constexpr std::array<std::byte, 4> kData{};
    std::vector<TensorToWrite> list;
    for (const std::string& tensor : tensors) list.push_back({tensor, "BF16", {2}, kData});
    ASSERT_TRUE(write_safetensors(folder_ / name, list));
  }
  void index(std::string_view weight_map) const {
    file("model.safetensors.index.json", cat("{\"metadata\":{},\"weight_map\":", weight_map, "}"));
  }
  std::string message() const {
    const auto opened = open_hf_folder(folder_);
    return opened ? "accepted" : opened.error().message;
  }
  std::string inside(std::string_view name) const { return (folder_ / name).string(); }
  fs::path folder_;
};

TEST_F(HfFolder, OpensASingleFile) {
  weights("model.safetensors", {"b", "a"});
  const auto source = open_hf_folder(folder_);
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_THAT((*source)->names(), testing::ElementsAre("a", "b"));
  EXPECT_EQ((*source)->find("a")->format, &bf16_format());
  EXPECT_EQ((*source)->description(), inside("model.safetensors"));
}

TEST_F(HfFolder, FollowsTheLinksOfTheHubCache) {
  weights("blob", {"a"});
  fs::create_symlink("blob", folder_ / "model.safetensors");
  const auto source = open_hf_folder(folder_);
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->find("a")->file, "model.safetensors");
}

TEST_F(HfFolder, JoinsTheShardsThatTheIndexNames) {
  weights("s1.safetensors", {"a", "c"});
  weights("s2.safetensors", {"b"});
  index(R"({"c":"s1.safetensors","b":"s2.safetensors","a":"s1.safetensors"})");
  const auto source = open_hf_folder(folder_);
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_THAT((*source)->names(), testing::ElementsAre("a", "b", "c"));
  EXPECT_EQ((*source)->find("b")->file, "s2.safetensors");
  EXPECT_EQ((*source)->describe("c"), "bf16 [2] in s1.safetensors");
  EXPECT_EQ((*source)->describe("d"), "absent");
  EXPECT_FALSE((*source)->find("d"));
  EXPECT_EQ((*source)->description(), folder_.string());
}

TEST_F(HfFolder, GivesTensorsThatTheIndexForgotSoThatTheirReaderCanComplain) {
  weights("s1.safetensors", {"a", "forgotten"});
  index(R"({"a":"s1.safetensors"})");
  EXPECT_THAT((*open_hf_folder(folder_))->names(), testing::ElementsAre("a", "forgotten"));
}

TEST_F(HfFolder, NamesAnAbsentShard) {
  weights("s1.safetensors", {"a"});
  index(R"({"a":"s1.safetensors","b":"s2.safetensors"})");
  EXPECT_EQ(message(), cat(inside("model.safetensors.index.json"),
                           " names the shard \"s2.safetensors\", which is not there. Is the download complete?"));
}

TEST_F(HfFolder, NamesATensorThatIsNotInItsShard) {
  weights("s1.safetensors", {"a"});
  weights("s2.safetensors", {"b"});
  index(R"({"a":"s1.safetensors","b":"s1.safetensors","x":"s2.safetensors"})");
  EXPECT_EQ(message(), cat(inside("model.safetensors.index.json"),
                           " says that s1.safetensors holds the tensor \"b\", but it is in s2.safetensors"));
  index(R"({"a":"s1.safetensors","c":"s1.safetensors"})");
  EXPECT_EQ(message(), cat(inside("model.safetensors.index.json"),
                           " says that s1.safetensors holds the tensor \"c\", but no shard does"));
}

TEST_F(HfFolder, NamesATensorThatIsInTwoShards) {
  weights("s1.safetensors", {"a"});
  weights("s2.safetensors", {"a", "b"});
  index(R"({"a":"s1.safetensors","b":"s2.safetensors"})");
  EXPECT_EQ(message(), cat(folder_.string(), ": tensor \"a\" is in two shards, s1.safetensors and s2.safetensors"));
}

TEST_F(HfFolder, RefusesAnIndexThatLeadsOutOfTheFolder) {
  weights("s1.safetensors", {"a"});
  for (const std::string_view name :
       {"../s1.safetensors", "/etc/passwd", "sub/s1.safetensors", "..", "", "a\\\\b", "s1.safetensors\\u0000x"}) {
    index(cat("{\"a\":\"", name, "\"}"));
    EXPECT_THAT(message(),
                testing::MatchesRegex(".*index.json: \"weight_map\" puts \"a\" into \".*\"; expected the name "
                                      "of a file in the same folder"))
        << name;
  }
}

TEST_F(HfFolder, RefusesAnIndexThatIsNone) {
  const std::string name = inside("model.safetensors.index.json");
  file("model.safetensors.index.json", "[]");
  EXPECT_EQ(message(), cat(name, ": the document is a list of 0, expected an object with \"weight_map\""));
  file("model.safetensors.index.json", "{}");
  EXPECT_EQ(message(), cat(name, ": \"weight_map\" is missing, expected an object"));
  index("[]");
  EXPECT_EQ(message(), cat(name, ": \"weight_map\" is a list of 0, expected an object"));
  index("{}");
  EXPECT_EQ(message(), cat(name, ": \"weight_map\" names no tensor"));
  index("{\"a\":1}");
  EXPECT_EQ(message(), cat(name, ": \"weight_map\" gives no file name for \"a\""));
  index("{\"a\":\"s\",\"a\":\"s\"}");
  EXPECT_EQ(message(), cat(name, ":1:40: the key \"a\" appears twice in one object"));
  file("model.safetensors.index.json", "version https://git-lfs.github.com/spec/v1\n");
  EXPECT_EQ(message(), cat(name, " is a Git LFS pointer, not the file itself; run `git lfs pull` there"));
}

TEST_F(HfFolder, NamesWhatIsWrongWithAFileOfWeights) {
  file("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  EXPECT_EQ(message(), cat(inside("model.safetensors"),
                           ": is a Git LFS pointer, not the weights; run `git lfs pull` in its folder"));
  file("model.safetensors", "");
  EXPECT_EQ(message(), cat(inside("model.safetensors"), " is empty (0 bytes)"));
}

TEST_F(HfFolder, SaysSoWhenALinkOfTheHubCacheLeadsNowhere) {
  fs::create_symlink("gone", folder_ / "model.safetensors");
  EXPECT_EQ(message(), cat("cannot open ", inside("model.safetensors"), ": No such file or directory"));
}

TEST_F(HfFolder, SaysWhatItFoundWhenThereAreNoSafetensors) {
  const std::string expected = "expected model.safetensors or model.safetensors.index.json";
  EXPECT_EQ(message(), cat(folder_.string(), " has no weights, ", expected));
  file("pytorch_model.bin", "pickle");
  EXPECT_EQ(
      message(),
      cat(folder_.string(), " has its weights as a pickle, \"pytorch_model.bin\", a program that Corbel does not run; ",
          expected, ". Convert once with transformers: model.save_pretrained(folder, safe_serialization=True)"));
  file("weights.safetensors", "");
  EXPECT_EQ(message(), cat(folder_.string(), " has \"weights.safetensors\", ", expected));
}

TEST_F(HfFolder, RefusesWhatIsNoFolder) {
  EXPECT_EQ(open_hf_folder(folder_ / "no").error().message, cat("no folder ", inside("no")));
  file("f", "x");
  EXPECT_EQ(open_hf_folder(folder_ / "f").error().message,
            cat(inside("f"), " is no folder; expected one with config.json and model.safetensors"));
}

TEST_F(HfFolder, NamesAMissingPermission) {
  fs::permissions(folder_, fs::perms::none);
  constexpr ::uid_t kNobody = 65534;
  const bool dropped = ::geteuid() == 0 && ::seteuid(kNobody) == 0;
  if (::geteuid() == 0) GTEST_SKIP() << "runs as a root that cannot become nobody; root may read everything";
  const std::string found = message();
  if (dropped && ::seteuid(0) != 0) std::abort();
  EXPECT_EQ(found, cat("cannot look into ", folder_.string(), ": Permission denied"));
}

}  // namespace
}  // namespace corbel
