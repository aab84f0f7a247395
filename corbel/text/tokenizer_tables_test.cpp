#include "corbel/text/tokenizer_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>

#include "corbel/text/test_data.h"

namespace corbel {
namespace {

using testing::HasSubstr;

/// Files in memory.
class Files final : public NamedFiles {
 public:
  explicit Files(std::map<std::string, std::string, std::less<>> files) : files_(std::move(files)) {}
  Result<std::optional<FileBytes>> find(std::string_view name, std::int64_t) const override {
    const auto found = files_.find(name);
    if (found == files_.end()) return std::optional<FileBytes>();
    return std::optional(FileBytes(found->second));
  }
  bool has(std::string_view name) const override { return files_.contains(name); }
  std::vector<std::string> names() const override { return {}; }
  std::string description() const override { return "memory"; }
  std::string where(std::string_view name) const override { return "memory/" + std::string(name); }

 private:
  std::map<std::string, std::string, std::less<>> files_;
};

const std::vector<std::string> kTexts = {"",
                                         "a",
                                         "Hello, world",
                                         "  two  spaces\n\n",
                                         "caf\u00e9 \u4f60\u597d 12345 it's",
                                         "<|end_of_text|> and <|im_start|>",
                                         std::string(300, 'a'),
                                         "\u0120\xf0\x9f\x98\x80"};

/// tokenizer.json files: the built-in model's, and those that lie beside the repository.
std::map<std::string, std::string> json_files() {
  std::map<std::string, std::string> found;
  const std::filesystem::path pico = std::filesystem::path(CORBEL_SOURCE_DIR) / "share" / "pico";
  for (const std::filesystem::path& root : {pico, test_data::folder() / "tokenizers"}) {
    std::error_code missing;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root, missing)) {
      std::string name = entry.path().filename().string();
      if (name.ends_with(".gz")) name.resize(name.size() - 3);
      if (name != "tokenizer.json") continue;
      std::filesystem::path path = entry.path().parent_path() / name;
      found[path.string()] = test_data::read_maybe_gzipped(path);
    }
  }
  return found;
}

std::string small_json() {
  return R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "c": 5, "abc": 3}, "merges": ["a b", "ab c"]},
             "added_tokens": [{"id": 7, "content": "<s>", "special": true}]})";
}

Result<Tokenizer> from_tables(const std::string& json, const std::string& tables) {
  return Tokenizer::load(Files({{"tokenizer.json", json}, {"tokenizer.tables", tables}}));
}

TEST(TokenizerTables, GiveTheIdsThatTheFileGives) {
  int compared = 0;
  for (const auto& [path, json] : json_files()) {
    const auto plain = Tokenizer::from_json(json, path);
    if (!plain) continue;
    const auto tables = make_tokenizer_tables(json, path);
    ASSERT_TRUE(tables) << tables.error().message;
    if (!*tables) continue;
    const auto built = load_tokenizer_tables(Files({{"tokenizer.json", json}, {"tokenizer.tables", **tables}}));
    ASSERT_TRUE(built) << path << ": " << built.error().message;
    ASSERT_TRUE(built->has_value()) << path;
    for (const std::string& text : kTexts) {
      const auto expected = plain->encode(text);
      const auto found = (*built)->encode(text);
      ASSERT_EQ(expected.has_value(), found.has_value()) << path;
      if (!expected) continue;
      EXPECT_EQ(*expected, *found) << path << ": " << text;
      EXPECT_EQ(plain->decode(*expected), (*built)->decode(*found));
    }
    EXPECT_EQ(plain->vocab_size(), (*built)->vocab_size());
    ++compared;
  }
  std::printf("compared %d tokenizers\n", compared);
  const std::string json = small_json();
  const auto loaded = from_tables(json, **make_tokenizer_tables(json, "small"));
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(*loaded->encode("abcab<s>"), (std::vector<std::int32_t>{3, 2, 7}));
}

TEST(TokenizerTables, OfAnotherFileAreNotLookedAt) {
  std::string other = small_json();
  other.replace(other.find("\"ab c\""), 6, "\"b c\"");
  other.replace(other.find("\"abc\""), 5, "\"bc\"");
  const auto loaded = from_tables(other, **make_tokenizer_tables(small_json(), "small"));
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(*loaded->encode("bc"), (std::vector<std::int32_t>{3}));
}

TEST(TokenizerTables, CutOrAlteredAreRefusedOrHarmless) {
  const std::string json = small_json();
  const std::string whole = **make_tokenizer_tables(json, "small");
  for (std::size_t size = 64; size < whole.size(); size += 8) {
    const auto loaded = from_tables(json, whole.substr(0, size));
    // Only zeros that fill up the last table may be missing.
    ASSERT_FALSE(loaded) << size << " of " << whole.size();
    EXPECT_THAT(loaded.error().message, HasSubstr("memory/tokenizer.tables"));
  }
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    std::string altered = whole;
    for (int i = 0; i < 3; ++i) altered[56 + random() % (altered.size() - 56)] = static_cast<char>(random());
    const auto loaded = from_tables(json, altered);
    if (loaded) static_cast<void>(loaded->encode("abc ab <s> abcabcabc"));
  }
}

TEST(TokenizerTables, AreMadeOfBytePairEncodingOnly) {
  const std::string json = R"({"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}})";
  const auto tables = make_tokenizer_tables(json, "words");
  ASSERT_TRUE(tables) << tables.error().message;
  EXPECT_FALSE(tables->has_value());
}

}  // namespace
}  // namespace corbel
