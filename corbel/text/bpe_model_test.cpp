#include "corbel/text/bpe_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "corbel/text/byte_chars.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using Ids = std::vector<std::int32_t>;
using testing::HasSubstr;

/// Rank and result of each pair of ids below 64; rank -1: none.
struct PlainMerges {
  std::array<std::array<std::pair<int, int>, 64>, 64> of;
  PlainMerges() {
    for (auto& row : of) row.fill({-1, kNoToken});
  }
  std::pair<int, int>& operator()(int left, int right) {
    return of.at(static_cast<std::size_t>(left)).at(static_cast<std::size_t>(right));
  }
};

/// What merging means, in the plainest way: always the lowest rank, of equals the leftmost.
Ids merged_by_search(PlainMerges& merges, Ids ids) {
  while (true) {
    int best_rank = 1 << 30;
    std::size_t best = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const int rank = merges(ids[i], ids[i + 1]).first;
      if (rank < 0 || rank >= best_rank) continue;
      best_rank = rank;
      best = i;
    }
    if (best_rank == 1 << 30) return ids;
    ids[best] = merges(ids[best], ids[best + 1]).second;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(BpeMerges, GivesWhatASearchForTheLowestRankGivesWhateverTheOrderAndEqualityOfRanks) {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    BpeMerges merges;
    PlainMerges plain;
    const int ranks = round % 3 == 0 ? 4 : 1000;  // few: many are equal; products may rank before their parts
    for (int id = 3; id < 40; ++id) {
      const int left = static_cast<int>(random() % static_cast<unsigned>(id));
      const int right = static_cast<int>(random() % static_cast<unsigned>(id));
      const int rank = round % 3 == 2 ? id : static_cast<int>(random() % static_cast<unsigned>(ranks));
      merges.set(left, right, id, static_cast<std::uint32_t>(rank));
      plain(left, right) = {rank, id};
    }
    for (const std::size_t count : {2, 9, 40, 300, 5000}) {  // each way of merging has its range of lengths
      if (count == 5000 && round > 8) continue;
      Ids ids(count);
      for (auto& id : ids) id = static_cast<std::int32_t>(random() % 3);
      const Ids expected = merged_by_search(plain, ids);
      ids.resize(merges.merge(ids.data(), ids.size()));
      ASSERT_EQ(ids, expected) << "round " << round << ", " << count << " symbols";
    }
  }
}

struct Toy {
  Vocabulary vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;
};

/// Characters of one to four bytes, some without a token; tokens of bytes may start and end inside a character.
Toy random_toy(std::mt19937& random, const std::vector<std::string>& symbols) {
  Toy toy;
  std::vector<std::string> pool;
  for (const std::string& symbol : symbols) {
    pool.push_back(symbol);
    EXPECT_TRUE(toy.vocabulary.add(symbol, toy.vocabulary.limit(), "v"));
  }
  for (int tries = 0; tries < 400 && toy.merges.size() < 30; ++tries) {
    const std::string left = pool[random() % pool.size()];
    const std::string right = pool[random() % pool.size()];
    if (left.size() + right.size() > 14) continue;
    toy.merges.emplace_back(left, right);
    if (toy.vocabulary.find(left + right) != kNoToken) continue;
    EXPECT_TRUE(toy.vocabulary.add(left + right, toy.vocabulary.limit(), "v"));
    pool.push_back(left + right);
  }
  return toy;
}

Ids whole(const BpeModel& model, const std::string& text) {
  Ids ids;
  EXPECT_TRUE(model.encode(text, ids));
  return ids;
}

/// As the tokenizer encodes: in the parts that cut() makes.
Ids in_parts(const BpeModel& model, const std::string& text, std::size_t& parts) {
  Ids ids;
  std::array<std::uint32_t, 3> ends{};
  std::string_view rest = text;
  std::size_t count = model.cut(rest, ends);
  if (ends[0] == rest.size()) return whole(model, text);
  while (true) {
    std::uint32_t begin = 0;
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(model.encode_part(rest.substr(begin, ends[i] - begin), ids));
      begin = ends[i];
      ++parts;
    }
    rest.remove_prefix(begin);
    if (rest.empty()) return ids;
    count = model.cut(rest, ends);
  }
}

void expect_cut_as_uncut(std::mt19937& random, const std::vector<std::string>& symbols,
                         const std::vector<std::string>& chars, const BpeModel::Options& base) {
  Toy toy = random_toy(random, symbols);
  BpeModel::Options options = base;
  if (base.unknown_id != kNoToken) options.unknown_id = toy.vocabulary.limit() - 1;
  BpeModel cut(toy.vocabulary, options);
  BpeModel uncut(toy.vocabulary, options);  // never finished: it knows no seam and remembers nothing
  for (const auto& [left, right] : toy.merges) {
    ASSERT_TRUE(cut.add_merge(left, right));
    ASSERT_TRUE(uncut.add_merge(left, right));
  }
  cut.finish();
  std::size_t parts = 0;
  for (int round = 0; round < 120; ++round) {
    std::string text;
    const std::size_t length = 1 + random() % 40;
    for (std::size_t i = 0; i < length; ++i) text += chars[random() % chars.size()];
    ASSERT_EQ(in_parts(cut, text, parts), whole(uncut, text)) << testing::PrintToString(text);
  }
  EXPECT_GT(parts, 100U) << "nothing was cut: the test has seen nothing";
}

TEST(BpeModel, CutAtSeamsGivesTheIdsOfTheUncutTextInCharacters) {
  std::mt19937 random(5);
  const std::vector<std::string> chars = {"a",      "b",      "c",      "<",      ">",          "d",     "e",
                                          "\u00e9", "\u4e2d", "\u6587", "\u3002", "\U0001F642", "\u2581"};
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> symbols;
    for (const std::string& c : chars) {
      if (random() % 5 != 0) symbols.push_back(c);
    }
    for (int byte = 0; byte < 256; ++byte) {
      if (byte % 16 == round % 16 && round % 2 == 0) continue;  // a character may lack the token of one of its bytes
      constexpr std::string_view kHex = "0123456789ABCDEF";
      symbols.push_back(std::string("<0x") + kHex[static_cast<std::size_t>(byte) / 16] +
                        kHex[static_cast<std::size_t>(byte) % 16] + ">");
    }
    std::ranges::shuffle(symbols, random);
    BpeModel::Options options{.alphabet = BpeModel::Alphabet::characters};
    options.byte_fallback = random() % 2 == 0;
    options.fuse_unknown = random() % 2 == 0;
    options.unknown_id = random() % 2 == 0 ? 0 : kNoToken;
    options.ignore_merges = random() % 4 == 0;
    expect_cut_as_uncut(random, symbols, chars, options);
  }
}

TEST(BpeModel, CutAtSeamsGivesTheIdsOfTheUncutTextInBytesEvenInvalidOnes) {
  std::mt19937 random(6);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> chars = {"a", "b", " ", "\u00e9", "\u4e2d", "\u4e2e", "\u6587", "\U0001F642"};
    if (round % 2 == 0) chars.insert(chars.end(), {"\xE4", "\xB8", "\x80", "\xF0\x9F", "\xFF", "\xC3"});
    std::string all;
    for (const std::string& c : chars) all += c;
    std::ranges::sort(all);
    all.erase(std::ranges::unique(all).begin(), all.end());
    std::vector<std::string> symbols;
    for (const char byte : all) {
      std::string spelled;
      append_spelled(spelled, {&byte, 1});
      if (round % 3 != 0 || random() % 6 != 0) symbols.push_back(spelled);
    }
    if (round % 3 != 0) {  // a complete alphabet
      for (int byte = 0; byte < 256; ++byte) {
        const char raw = static_cast<char>(byte);
        std::string spelled;
        append_spelled(spelled, {&raw, 1});
        if (std::ranges::find(symbols, spelled) == symbols.end() && round % 3 == 1) symbols.push_back(spelled);
      }
    }
    BpeModel::Options options;
    options.fuse_unknown = random() % 2 == 0;
    options.unknown_id = random() % 2 == 0 ? 0 : kNoToken;
    options.ignore_merges = random() % 2 == 0;
    expect_cut_as_uncut(random, symbols, chars, options);
  }
}

TEST(BpeModel, EverySplitOfATokenGivesTheMergesThatRankFilesMean) {
  std::mt19937 random(8);
  Toy toy = random_toy(random, {"a", "b", "c", "d"});
  BpeModel by_split(toy.vocabulary, {.alphabet = BpeModel::Alphabet::characters});
  PlainMerges plain;
  std::vector<BpeModel::RankedToken> tokens;
  for (std::int32_t id = 4; id < toy.vocabulary.limit(); ++id) {
    tokens.push_back({id, static_cast<std::uint32_t>(1000 - id / 2)});  // two by two equal
    const std::string text(toy.vocabulary.text(id));
    for (std::size_t at = 1; at < text.size(); ++at) {
      const std::int32_t left = toy.vocabulary.find(text.substr(0, at));
      const std::int32_t right = toy.vocabulary.find(text.substr(at));
      if (left != kNoToken && right != kNoToken) plain(left, right) = {1000 - id / 2, id};
    }
  }
  ASSERT_TRUE(by_split.add_every_split(tokens));
  by_split.finish();
  for (int round = 0; round < 500; ++round) {
    std::string text;
    Ids symbols;
    for (std::size_t i = 0; i < 1 + random() % 30; ++i) {
      symbols.push_back(static_cast<std::int32_t>(random() % 4));
      text.push_back(static_cast<char>('a' + symbols.back()));
    }
    std::size_t parts = 0;
    ASSERT_EQ(in_parts(by_split, text, parts), merged_by_search(plain, symbols)) << text;
  }
}

TEST(BpeModel, AMergeWhoseResultIsNotItsSidesTogetherStopsTheCutting) {
  Vocabulary vocabulary;
  for (const std::string_view token : {"a", "b", "x"}) ASSERT_TRUE(vocabulary.add(token, vocabulary.limit(), "v"));
  BpeModel model(std::move(vocabulary), {.alphabet = BpeModel::Alphabet::characters});
  ASSERT_TRUE(model.add_ranked_merge(0, 1, 2, 7));
  model.finish();
  std::size_t parts = 0;
  EXPECT_EQ(in_parts(model, "aab", parts), (Ids{0, 2}));
}

TEST(BpeModel, MergesOfIdsWithoutATokenAreRefusedWithTheId) {
  Vocabulary vocabulary;
  ASSERT_TRUE(vocabulary.add("a", 0, "v"));
  BpeModel model(std::move(vocabulary), {});
  EXPECT_THAT(model.add_ranked_merge(0, 0, 9, 0).error().message, HasSubstr("token 9"));
  EXPECT_THAT(model.add_ranked_merge(-1, 0, 0, 0).error().message, HasSubstr("token -1"));
  const BpeModel::RankedToken absent[] = {{4, 0}};
  EXPECT_THAT(model.add_every_split(absent).error().message, HasSubstr("token 4"));
}

}  // namespace
}  // namespace corbel
