#include "corbel/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "corbel/text/bpe_model.h"
#include "corbel/text/byte_chars.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using nlohmann::ordered_json;
using testing::HasSubstr;

/// All 256 bytes, then results of merges over "abc ", then added tokens.
ordered_json small_file() {
  ordered_json vocab = ordered_json::object();
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    std::string spelled;
    append_spelled(spelled, {&raw, 1});
    vocab[spelled] = byte;
  }
  ordered_json merges = ordered_json::array();
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{
           {"a", "b"}, {"b", "c"}, {"ab", "c"}, {"a", "a"}, {"aa", "aa"}, {"\u0120", "a"}, {"\u0120a", "b"}}) {
    vocab[left + right] = vocab.size();
    merges.push_back(left + " " + right);
  }
  const auto added = [&](const std::string& content, int offset, ordered_json flags) {
    flags["id"] = 300 + offset;
    flags["content"] = content;
    return flags;
  };
  return {{"added_tokens",
           {added("<s>", 0, {{"special", true}, {"normalized", false}}),
            added("[W]", 1, {{"single_word", true}, {"special", false}, {"normalized", false}}),
            added("[L]", 2, {{"lstrip", true}, {"special", false}, {"normalized", false}}),
            added("[R]", 3, {{"rstrip", true}, {"special", false}, {"normalized", false}})}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

Tokenizer small() {
  auto made = Tokenizer::from_json(small_file().dump(), "small.json");
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return *std::move(made);
}

std::string refusal(const ordered_json& file) {
  const auto made = Tokenizer::from_json(file.dump(), "t.json");
  return made.has_value() ? "not refused" : made.error().message;
}

TEST(BpeModel, MergesAsASearchForTheLowestRankDoes) {
  std::mt19937 random(7);
  Vocabulary vocabulary;
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    std::string spelled;
    append_spelled(spelled, {&raw, 1});
    ASSERT_TRUE(vocabulary.add(spelled, byte, "v"));
  }
  std::map<std::pair<std::string, std::string>, int> ranks;
  std::vector<std::string> pool = {"a", "b", "c"};
  while (pool.size() < 60) {
    const std::string left = pool[random() % pool.size()];
    const std::string right = pool[random() % pool.size()];
    if (left.size() + right.size() > 12 || ranks.contains({left, right})) continue;
    ranks[{left, right}] = static_cast<int>(ranks.size());
    tokens.push_back(left);
    tokens.push_back(right);
    if (vocabulary.find(left + right) == kNoToken) {
      ASSERT_TRUE(vocabulary.add(left + right, vocabulary.limit(), "v"));
      pool.push_back(left + right);
    }
  }
  BpeModel model(std::move(vocabulary), {});
  for (std::size_t i = 0; i < tokens.size(); i += 2) ASSERT_TRUE(model.add_merge(tokens[i], tokens[i + 1]));
  for (int round = 0; round < 2000; ++round) {
    std::string word(1 + random() % 120, 'a');
    for (char& c : word) c = static_cast<char>('a' + random() % 3);
    std::vector<std::string> parts;
    for (const char c : word) parts.emplace_back(1, c);
    while (true) {
      int best = -1;
      int best_rank = 1 << 30;
      for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto found = ranks.find({parts[i], parts[i + 1]});
        if (found != ranks.end() && found->second < best_rank) {
          best_rank = found->second;
          best = static_cast<int>(i);
        }
      }
      if (best < 0) break;
      parts[static_cast<std::size_t>(best)] += parts[static_cast<std::size_t>(best) + 1];
      parts.erase(parts.begin() + best + 1);
    }
    Ids ids;
    ASSERT_TRUE(model.encode(word, ids));
    std::vector<std::string> found;
    for (const std::int32_t id : ids) found.emplace_back(model.vocabulary().text(id));
    ASSERT_EQ(found, parts) << word;
  }
}

TEST(Tokenizer, AddedTokensTakeWhiteSpaceAndWordBordersAsTheirFlagsSay) {
  const Tokenizer tokenizer = small();
  EXPECT_EQ(*tokenizer.encode("x[W]y"), (Ids{'x', '[', 'W', ']', 'y'}));
  EXPECT_EQ(*tokenizer.encode("x [W] y"), (Ids{'x', ' ', 301, ' ', 'y'}));
  EXPECT_EQ(*tokenizer.encode("x \n[L] y"), (Ids{'x', 302, ' ', 'y'}));
  EXPECT_EQ(*tokenizer.encode("x [R] \ny"), (Ids{'x', ' ', 303, 'y'}));
  EXPECT_EQ(*tokenizer.encode("a<s>b"), (Ids{'a', 300, 'b'}));
  EXPECT_EQ(*tokenizer.encode("a<s>b", {.parse_special = false}), (Ids{'a', '<', 's', '>', 'b'}));
  EXPECT_EQ(tokenizer.decode(Ids{'a', 300, 'b'}), "ab");
  EXPECT_EQ(tokenizer.decode(Ids{'a', 300, 'b'}, {.skip_special = false}), "a<s>b");
  EXPECT_TRUE(tokenizer.is_special(300));
  EXPECT_FALSE(tokenizer.is_special(301));
  EXPECT_EQ(tokenizer.vocab_size(), 304);
  EXPECT_EQ(tokenizer.id_of("<s>"), 300);
  EXPECT_EQ(tokenizer.piece(300), "<s>");
}

TEST(Tokenizer, InvalidUtf8IsRefusedWithItsPlaceOrReplacedOnRequest) {
  const Tokenizer tokenizer = small();
  const auto refused = tokenizer.encode("ab\xE4\xB8zz");
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("byte 2"));
  const auto replaced = tokenizer.encode("x\xE4\xB8z", {.invalid_utf8 = InvalidUtf8::replace});
  ASSERT_TRUE(replaced.has_value());
  EXPECT_EQ(tokenizer.decode(*replaced), "x\xEF\xBF\xBDz");
}

TEST(StreamDecoder, GivesTheTextOfDecodeForAnyIdsAndNeverHalfACharacter) {
  const Tokenizer tokenizer = small();
  std::mt19937 random(3);
  for (int round = 0; round < 5000; ++round) {
    Ids ids(random() % 12);
    for (auto& id : ids) id = static_cast<std::int32_t>(random() % 4 == 0 ? random() % 310 : 0x80 + random() % 0x80);
    StreamDecoder stream(tokenizer);
    std::string text;
    for (const std::int32_t id : ids) {
      const std::string piece = stream.push(id);
      ASSERT_EQ(valid_utf8_prefix(piece), piece.size());
      text += piece;
    }
    text += stream.finish();
    ASSERT_EQ(text, tokenizer.decode(ids)) << "round " << round;
  }
}

TEST(Tokenizer, AMegabyteOfOneCharacterComesBackWhole) {
  // Quadratic merging would take hours here; how fast it is stands in bench/, not in a test.
  const Tokenizer tokenizer = small();
  const std::string text(1 << 20, 'a');
  const auto ids = tokenizer.encode(text);
  ASSERT_TRUE(ids.has_value());
  EXPECT_EQ(tokenizer.decode(*ids), text);
}

TEST(TokenizerFile, EveryLieIsRefusedNamingFileAndField) {
  const ordered_json good = small_file();
  ASSERT_EQ(refusal(good), "not refused");
  const auto with = [&](const std::string& pointer, const ordered_json& value) {
    ordered_json changed = good;
    changed[ordered_json::json_pointer(pointer)] = value;
    return refusal(changed);
  };
  EXPECT_THAT(with("/model/vocab/a", -1), HasSubstr("t.json: \"model.vocab\""));
  EXPECT_THAT(with("/model/vocab/a", 5000000), HasSubstr("5000000"));
  EXPECT_THAT(with("/model/vocab/a", 98), HasSubstr("has already"));
  EXPECT_THAT(with("/model/vocab/a", "x"), HasSubstr("\"model.vocab.a\" must be an integer id, found a string"));
  EXPECT_THAT(with("/model/vocab", 3), HasSubstr("\"model.vocab\" must be an object"));
  EXPECT_THAT(with("/model/merges", 3), HasSubstr("\"model.merges\" must be an array"));
  EXPECT_THAT(with("/model/merges/0", "a zz"), HasSubstr("\"zz\", which the vocabulary does not have"));
  EXPECT_THAT(with("/model/merges/0", "c c"), HasSubstr("needs the result \"cc\""));
  EXPECT_THAT(with("/model/merges/0", "abc"), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with("/model/type", "Magic"),
              HasSubstr("\"model.type\" is \"Magic\", which is not supported; known: \"BPE\""));
  EXPECT_THAT(with("/model/dropout", 0.1), HasSubstr("model.dropout"));
  EXPECT_THAT(with("/model/unk_token", "<none>"), HasSubstr("model.unk_token"));
  EXPECT_THAT(with("/normalizer", {{"type", "Magic"}}),
              HasSubstr("\"normalizer.type\" is \"Magic\", which is not supported; known: \"NFC\""));
  EXPECT_THAT(with("/normalizer", 7), HasSubstr("\"normalizer\" must be an object or null, found a number"));
  EXPECT_THAT(with("/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Nope"}}}}}),
              HasSubstr("\"pre_tokenizer.pretokenizers[0].type\" is \"Nope\""));
  EXPECT_THAT(with("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "a("}}}, {"behavior", "Isolated"}}),
              HasSubstr("does not compile"));
  EXPECT_THAT(with("/decoder", {{"type", "Magic"}}), HasSubstr("\"decoder.type\" is \"Magic\""));
  EXPECT_THAT(
      with("/post_processor", {{"type", "TemplateProcessing"}, {"single", {{{"SpecialToken", {{"id", "<q>"}}}}}}}),
      HasSubstr("special_tokens"));
  EXPECT_THAT(with("/added_tokens/0/id", 301), HasSubstr("clashes with"));
  EXPECT_THAT(with("/added_tokens/0/id", -3), HasSubstr("added_tokens[0]"));
  EXPECT_THAT(with("/added_tokens/0/id", 97), HasSubstr("which the vocabulary gives to \"a\""));
  EXPECT_THAT(with("/added_tokens/0/content", 5), HasSubstr("added_tokens[0].content"));
  EXPECT_THAT(with("/added_tokens", {{"a", 1}}), HasSubstr("\"added_tokens\" must be an array"));
}

TEST(TokenizerFile, ATruncatedOrDeepFileIsRefused) {
  const std::string good = small_file().dump();
  for (std::size_t bytes = 0; bytes < good.size(); bytes += 97) {
    const auto made = Tokenizer::from_json(std::string_view(good).substr(0, bytes), "cut.json");
    ASSERT_FALSE(made.has_value()) << bytes;
    EXPECT_THAT(made.error().message, HasSubstr("cut.json"));
  }
  EXPECT_FALSE(Tokenizer::from_json(std::string(100000, '['), "deep.json").has_value());
  EXPECT_FALSE(Tokenizer::from_json("{\"normalizer\":" + std::string(80, '[') + std::string(80, ']') + "}", "deep.json")
                   .has_value());
}

TEST(TokenizerFolder, VocabAndMergesGiveTheIdsOfTheSameTokenizerJson) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "corbel_vocab_merges";
  std::filesystem::create_directories(folder);
  const ordered_json file = small_file();
  std::ofstream(folder / "vocab.json") << file["model"]["vocab"].dump();
  std::ofstream merges(folder / "merges.txt");
  merges << "#version: 0.2\n";
  for (const std::string line : file["model"]["merges"]) merges << line << '\n';
  merges.close();
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"added_tokens_decoder": {"300": {"content": "<s>", "special": true, "normalized": false}}})";
  const auto loaded = Tokenizer::load(folder);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_EQ(*loaded->encode("abc aab<s> it's 42"), *small().encode("abc aab<s> it's 42"));
  std::ofstream(folder / "merges.txt") << "a zz\n";
  const auto refused = Tokenizer::load(folder);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("merges.txt:1"));
  std::filesystem::remove_all(folder);
  EXPECT_THAT(Tokenizer::load(folder).error().message, HasSubstr("neither tokenizer.json nor vocab.json"));
}

TEST(Tokenizer, TakesWhatReplacedOneCharacterForTheStartOfTheTextAndNoMore) {
  // As tokenizers 0.23.3 answers: Metaspace "first" puts its mark in front of a text's start only.
  struct Case {
    const char* pattern;
    const char* content;
    const char* text;
    bool marked;
  };
  for (const Case& one :
       {Case{R"({"Regex": "\\p{N}{1,3}"})", "#", "520", false}, Case{R"({"Regex": "\\p{N}{1,3}"})", "#", "5", true},
        Case{R"({"Regex": "x"})", "", "xab", false}, Case{R"({"String": "aa"})", "b", "aazz", false},
        Case{R"({"String": "a"})", "b", "azz", true}, Case{R"({"String": "a"})", "", "azz", false}}) {
    ordered_json file = {{"added_tokens", ordered_json::array()}};
    file["normalizer"] = {{"type", "Replace"}, {"pattern", ordered_json::parse(one.pattern)}, {"content", one.content}};
    file["pre_tokenizer"] = {
        {"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}, {"split", false}};
    file["model"] = {{"type", "BPE"},
                     {"vocab", {{"_", 0}, {"#", 1}, {"a", 2}, {"b", 3}, {"z", 4}}},
                     {"merges", ordered_json::array()}};
    const auto tokenizer = Tokenizer::from_json(file.dump(), "t.json");
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
    EXPECT_EQ(tokenizer->encode(one.text)->front() == 0, one.marked) << one.pattern << ' ' << one.text;
  }
}

TEST(Tokenizer, GivesEveryThreadTheSameIdsAsOneThreadAlone) {
  const auto tokenizer = Tokenizer::load(std::filesystem::path(CORBEL_SOURCE_DIR) / "share/pico");
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i)
    texts.push_back(cat("word", i % 37, " The cache of token ", i, "\n\xE4\xB8\xAD", i * 7));
  std::vector<Ids> alone;
  for (const std::string& text : texts) alone.push_back(*tokenizer->encode(text));
  std::vector<std::vector<Ids>> found(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < found.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < texts.size(); ++i) {
        found[t].push_back(*tokenizer->encode(texts[(i + t * 75) % texts.size()]));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 0; t < found.size(); ++t) {
    for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(found[t][i], alone[(i + t * 75) % texts.size()]);
  }
}

}  // namespace
}  // namespace corbel
