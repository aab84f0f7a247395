#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "corbel/hub/content_hash.h"
#include "corbel/hub/file_choice.h"
#include "corbel/hub/http_client.h"
#include "corbel/hub/hub_client.h"
#include "corbel/hub/repository_listing.h"

namespace corbel {
namespace {

using testing::HasSubstr;

std::string hash_of(HashKind kind, std::string_view text) {
  RunningHash hash(kind, std::ssize(text));
  const auto bytes = std::as_bytes(std::span(text));
  hash.add(bytes.first(bytes.size() / 2));
  hash.add(bytes.subspan(bytes.size() / 2));
  return hash.hexadecimal();
}

TEST(ContentHash, EqualsWhatSha256sumAndGitHashObjectPrint) {
  EXPECT_EQ(hash_of(HashKind::sha256, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash_of(HashKind::git_blob, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(hash_of(HashKind::git_blob, "what is up, doc?"), "bd9dbf5aae1a3862dd1526723246b20206e5fc37");
}

// Compared with Python's fnmatch.fnmatchcase by tests/command/check_pull.py through the command; here the corners.
TEST(Patterns, StarsMatchSlashesSetsMatchOneByteAndFoldersAllBelow) {
  EXPECT_TRUE(matches_pattern("*.safetensors", "original/model.safetensors"));
  EXPECT_TRUE(matches_pattern("*Q4_K_?.gguf", "net-Q4_K_M.gguf"));
  EXPECT_FALSE(matches_pattern("*Q4_K_?.gguf", "net-Q4_K_.gguf"));
  EXPECT_TRUE(matches_pattern("model-0000[1-3]*", "model-00002-of-00003"));
  EXPECT_FALSE(matches_pattern("model-0000[!1-3]*", "model-00002-of-00003"));
  EXPECT_TRUE(matches_pattern("[]]", "]"));
  EXPECT_TRUE(matches_pattern("a[", "a["));
  EXPECT_TRUE(matches_pattern("original/", "original/a/b"));
  EXPECT_FALSE(matches_pattern("original/", "original"));
  EXPECT_FALSE(matches_pattern("config.json", "x/config.json"));
  EXPECT_FALSE(matches_pattern("Config.json", "config.json"));
  EXPECT_TRUE(matches_pattern("*", ""));
}

TEST(Patterns, ManyStarsTakeNoTime) {
  std::string stars;
  for (int i = 0; i < 200; ++i) stars += "*a";
  EXPECT_FALSE(matches_pattern(stars + "b", std::string(1000, 'a')));
}

RepositoryListing listing_of(std::initializer_list<std::string_view> paths) {
  RepositoryListing listing;
  for (const std::string_view path : paths) listing.files.push_back({.path = std::string(path), .bytes = 1'500'000});
  return listing;
}

std::vector<std::string> chosen(const RepositoryListing& listing, const FileChoice& choice = {}) {
  const auto files = choose_files(listing, choice);
  if (!files) return {files.error().message};
  std::vector<std::string> paths;
  for (const RemoteFile& file : *files) paths.push_back(file.path);
  return paths;
}

TEST(FileChoice, WithoutPatternsTakesWhatAModelNeedsAndNotItsWeightsTwice) {
  const auto listing =
      listing_of({"README.md", "config.json", "consolidated.safetensors", "model-00001-of-00002.safetensors",
                  "model-00002-of-00002.safetensors", "model.safetensors.index.json", "onnx/config.json",
                  "original/tokenizer.model", "pytorch_model.bin", "tokenizer.json", "tokenizer.model"});
  EXPECT_THAT(chosen(listing), testing::ElementsAre("config.json", "model-00001-of-00002.safetensors",
                                                    "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                                                    "tokenizer.json", "tokenizer.model"));
  EXPECT_THAT(chosen(listing, {.exclude = {"model*"}}),
              testing::ElementsAre("config.json", "tokenizer.json", "tokenizer.model"));
  EXPECT_THAT(chosen(listing, {.include = {"*.md", "onnx/"}}), testing::ElementsAre("README.md", "onnx/config.json"));
}

TEST(FileChoice, OfGgufFilesOneHasToBeNamed) {
  EXPECT_THAT(chosen(listing_of({"config.json", "net-Q4.gguf", "net-Q8.gguf"})).front(),
              HasSubstr("--include \"net-Q4.gguf\". There is net-Q4.gguf (1.50 MB), net-Q8.gguf (1.50 MB)"));
  EXPECT_THAT(chosen(listing_of({"pytorch_model.bin"})).front(), HasSubstr("holds no model.safetensors"));
}

TEST(FileChoice, APatternThatMatchesNothingIsAnErrorThatListsTheFiles) {
  EXPECT_THAT(chosen(listing_of({"config.json"}), {.include = {"*.txt"}}).front(),
              HasSubstr("There is config.json (1.50 MB)"));
}

const std::string kCommit(40, 'a');

std::string listed(std::string_view files) { return cat(R"({"sha":")", kCommit, R"(","siblings":[)", files, "]}"); }

std::string refused(std::string_view text) {
  const auto listing = read_listing(text, "list");
  return listing ? "accepted" : listing.error().message;
}

TEST(RepositoryListing, TakesGitHashesAndThoseOfLargeFiles) {
  const std::string sha256(64, '1');
  const auto listing =
      read_listing(listed(cat(R"({"rfilename":"model.safetensors","size":7,"blobId":")", std::string(40, '2'),
                              R"(","lfs":{"sha256":")", sha256, R"(","size":7,"pointerSize":134}},)",
                              R"({"rfilename":"a/b.json","size":3,"blobId":")", std::string(40, '3'), R"("})")),
                   "list");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->commit, kCommit);
  EXPECT_EQ(listing->files[0].path, "a/b.json");
  EXPECT_EQ(listing->files[0].kind, HashKind::git_blob);
  EXPECT_EQ(listing->files[1].kind, HashKind::sha256);
  EXPECT_EQ(listing->files[1].hash, sha256);
  EXPECT_EQ(listing->files[1].bytes, 7);
}

TEST(RepositoryListing, APathThatLeadsOutOfTheFolderRefusesTheWholeList) {
  for (const std::string_view path :
       {"../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a/.", "a\\\\b", "a/\\u0007"}) {
    EXPECT_THAT(refused(listed(cat(R"({"rfilename":"ok"},{"rfilename":")", path, R"("})"))),
                HasSubstr("is no path inside a repository"))
        << path;
  }
  EXPECT_EQ(refused(listed(R"({"rfilename":"a/..b/c"})")), "accepted");
}

TEST(RepositoryListing, WhatIsNoListIsRefused) {
  EXPECT_THAT(refused("<html>"), HasSubstr("list"));
  EXPECT_THAT(refused(R"({"sha":"../../x","siblings":[]})"), HasSubstr("expected 40 hexadecimal digits"));
  EXPECT_THAT(refused(cat(R"({"sha":")", kCommit, R"("})")), HasSubstr("siblings"));
  EXPECT_THAT(refused(listed(R"({"rfilename":"a"},{"rfilename":"a"})")), HasSubstr("listed twice"));
  EXPECT_THAT(refused(listed(R"({"rfilename":"a","blobId":"../x"})")), HasSubstr("expected 40 or 64 digits"));
  EXPECT_THAT(refused(listed(R"({"rfilename":"a","size":-1})")), HasSubstr("size"));
}

TEST(Addresses, ARelativeRedirectStaysAtItsHostAndAnotherPortIsAnotherOrigin) {
  EXPECT_EQ(resolve_url("https://hub/a/b?x=1", "/c"), "https://hub/c");
  EXPECT_EQ(resolve_url("https://hub/a", "https://cdn/x"), "https://cdn/x");
  EXPECT_EQ(resolve_url("https://hub/a", "file:///etc/passwd"), "");
  EXPECT_EQ(url_origin("https://hub/a"), url_origin("https://hub:443/b"));
  EXPECT_NE(url_origin("https://hub/a"), url_origin("http://hub/a"));
  EXPECT_NE(url_origin("https://hub/a"), url_origin("https://hub:444/a"));
  EXPECT_NE(url_origin("https://hub/"), url_origin("https://hub.evil/"));
  EXPECT_EQ(url_origin("ftp://hub/"), "");
}

TEST(Addresses, PartsAreEncodedAsTheHubsOwnClientDoes) {
  EXPECT_EQ(url_encode("refs/pr/1", Slashes::encode), "refs%2Fpr%2F1");
  EXPECT_EQ(url_encode("a b/c#?.json", Slashes::keep), "a%20b/c%23%3F.json");
}

TEST(HubAccess, ATokenThatNoHeaderCarriesIsRefusedWithoutBeingShown) {
  HubAccess access{.token = "hf_secret\r\nx-evil: 1"};
  const auto checked = check_access(access);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, testing::Not(HasSubstr("secret")));
  access = {.endpoint = "https://mirror/"};
  ASSERT_TRUE(check_access(access));
  EXPECT_EQ(access.endpoint, "https://mirror");
  access.endpoint = "mirror.local";
  EXPECT_THAT(check_access(access).error().message, HasSubstr("HF_ENDPOINT is \"mirror.local\""));
}

}  // namespace
}  // namespace corbel
