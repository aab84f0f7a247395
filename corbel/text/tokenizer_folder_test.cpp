#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "corbel/text/gzip.h"
#include "corbel/text/test_data.h"
#include "corbel/text/tokenizer.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string gzip(const std::string& content) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string bytes(content.size() + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  bytes.resize(stream.total_out);
  deflateEnd(&stream);
  return bytes;
}

const std::string kSmallJson = R"({"added_tokens": [], "normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "post_processor": null,
  "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";

class TokenizerFiles : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path put(const std::string& name, const std::string& content) {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }
  std::string refusal(const fs::path& path) {
    const auto made = Tokenizer::load(path);
    return made.has_value() ? "not refused" : made.error().message;
  }
  fs::path folder_ = fs::path(testing::TempDir()) / "corbel_tokenizer_folder";
};

TEST_F(TokenizerFiles, AFolderOrTheFileItselfMayBeNamedAndMayBeGzipped) {
  const fs::path file = put("tokenizer.json.gz", gzip(kSmallJson));
  for (const fs::path& path : {folder_, file}) {
    const auto made = Tokenizer::load(path);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    EXPECT_EQ(*made->encode("aab"), (std::vector<std::int32_t>{0, 2}));
  }
  EXPECT_EQ(refusal(put("any_name", kSmallJson)), "not refused");
}

TEST_F(TokenizerFiles, ADamagedGzipFileIsRefusedWhereverItIsCutOff) {
  const std::string whole = gzip(kSmallJson);
  ASSERT_EQ(*gunzip(whole, "t", 1000), kSmallJson);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(gunzip(whole.substr(0, size), "t", 1000).has_value()) << size;
  }
  EXPECT_THAT(gunzip(whole.substr(0, 40), "t.gz", 1000).error().message, HasSubstr("t.gz: not a whole gzip file"));
  std::string wrong = whole;
  wrong[wrong.size() - 6] ^= 1;  // in the checksum
  EXPECT_THAT(gunzip(wrong, "t.gz", 1000).error().message, HasSubstr("incorrect data check"));
  EXPECT_THAT(gunzip(whole + "x", "t.gz", 1000).error().message, HasSubstr("1 bytes follow"));
  EXPECT_THAT(gunzip(gzip(std::string(1 << 20, 'a')), "t.gz", 9999).error().message, HasSubstr("more than 9999 bytes"));
}

TEST_F(TokenizerFiles, WhatItCannotReadIsRefusedSayingWhatWasThere) {
  EXPECT_THAT(refusal(folder_),
              HasSubstr("neither tokenizer.json nor vocab.json with merges.txt nor tokenizer.json.gz nor "
                        "tokenizer.model"));
  EXPECT_THAT(refusal(folder_ / "absent"), HasSubstr("neither tokenizer.json nor vocab.json"));
  EXPECT_THAT(refusal(put("tokenizer.model", "what is this?")), HasSubstr("starts with \"what is this?\""));
  EXPECT_THAT(refusal(folder_), HasSubstr("its content is none of GGUF, JSON, SentencePiece"));
  EXPECT_THAT(refusal(put("tokenizer.model", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")),
              HasSubstr("git lfs pull"));
  EXPECT_THAT(refusal(put("tokenizer.model", "")), HasSubstr("empty"));
  fs::remove(folder_ / "tokenizer.model");
  put("a.gguf", "GGUF");
  EXPECT_THAT(refusal(folder_), HasSubstr("a.gguf: the version needs 4 bytes"));
  put("b.gguf", "GGUF");
  EXPECT_THAT(refusal(folder_), HasSubstr("both a.gguf and b.gguf could hold it; name one of them"));
  fs::remove(folder_ / "a.gguf");
  fs::rename(folder_ / "b.gguf", folder_ / "m-00001-of-00002.gguf");
  put("m-00002-of-00002.gguf", "GGUF");
  EXPECT_THAT(refusal(folder_), HasSubstr("m-00001-of-00002.gguf: the version"));
}

}  // namespace
}  // namespace corbel
