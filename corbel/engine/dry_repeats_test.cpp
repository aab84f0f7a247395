#include "corbel/engine/dry_repeats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "corbel/base/json.h"

namespace corbel {
namespace {

/// Tokens of one to three letters, as they are spelled.
Tokenizer small_tokenizer() {
  Json vocabulary = Json::object();
  for (const char* piece : {"a", "b", "c", ":", "a:", "ab", "xy", "x", "y", "yz", "z", "b:c", "abc", "::"})
    vocabulary[piece] = vocabulary.size();
  const Json file = {{"version", "1.0"},
                     {"decoder", {{"type", "ByteLevel"}}},
                     {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}};
  auto made = Tokenizer::from_json(file.dump(), "small tokenizer");
  CORBEL_CHECK(made.has_value(), made.error().message);
  return *std::move(made);
}

using Lengths = std::map<std::int32_t, std::int64_t>;

/// As docs/sampling.md says it, word by word: the whole text is searched for breakers, and every place is tried.
Lengths naive(const Tokenizer& tokenizer, const SamplingOptions& options, const std::vector<std::int32_t>& text) {
  std::string bytes;
  std::vector<std::size_t> ends;
  for (const std::int32_t id : text) {
    tokenizer.append_bytes(id, false, bytes);
    ends.push_back(bytes.size());
  }
  std::vector<bool> breaks(text.size());
  for (const std::string& breaker : options.dry_sequence_breakers) {
    for (std::size_t at = bytes.find(breaker); at != std::string::npos; at = bytes.find(breaker, at + 1)) {
      const std::size_t last = at + breaker.size() - 1;
      breaks[static_cast<std::size_t>(std::ranges::upper_bound(ends, last) - ends.begin())] = true;
    }
  }
  const std::int64_t end = std::ssize(text);
  const std::int64_t begin =
      options.dry_penalty_last_n < 0 ? 0 : std::max<std::int64_t>(0, end - options.dry_penalty_last_n);
  Lengths lengths;
  for (std::int64_t next = begin + 1; next < end; ++next) {
    std::int64_t length = 0;
    while (next - 1 - length >= begin && text[next - 1 - length] == text[end - 1 - length] && !breaks[end - 1 - length])
      ++length;
    if (length < options.dry_allowed_length || breaks[next]) continue;
    lengths[text[next]] = std::max(lengths[text[next]], length);
  }
  return lengths;
}

Lengths longest(std::span<const DryRepeat> repeats) {
  Lengths lengths;
  for (const DryRepeat& repeat : repeats) lengths[repeat.id] = std::max(lengths[repeat.id], repeat.tokens);
  return lengths;
}

TEST(DryRepeats, FindsWhatANaiveSearchFindsInRandomTextsThatGrow) {
  const Tokenizer tokenizer = small_tokenizer();
  std::int64_t found = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    SamplingOptions options;
    options.dry_multiplier = 1.0;
    options.dry_allowed_length = 1 + static_cast<std::int64_t>(random() % 3);
    options.dry_penalty_last_n = random() % 2 == 0 ? -1 : 1 + static_cast<std::int64_t>(random() % 60);
    const std::vector<std::string> breakers[] = {{}, {":"}, {"xyz", "bc"}, {"c", "a:"}, {"zx", "yzxy", ":"}};
    options.dry_sequence_breakers = breakers[random() % 5];
    DryRepeats repeats(tokenizer, options, 20);  // longer texts take more memory
    std::vector<std::int32_t> text;
    while (text.size() < 80) {
      for (std::size_t more = 1 + random() % 4; more > 0; --more) {
        const bool again = text.size() > 10 && random() % 2 == 0;
        text.push_back(again ? text[text.size() - 7] : static_cast<std::int32_t>(random() % 14));
      }
      const Lengths expected = naive(tokenizer, options, text);
      ASSERT_EQ(longest(repeats.find(text)), expected);
      found += std::ssize(expected);
    }
  }
  EXPECT_GT(found, 5000);
}

TEST(DryRepeats, APenaltyGrowsWithEachTokenThatIsRepeated) {
  SamplingOptions options;
  options.dry_multiplier = 0.8;
  EXPECT_DOUBLE_EQ(options.dry_penalty(2), 0.8);
  EXPECT_DOUBLE_EQ(options.dry_penalty(3), 0.8 * 1.75);
  EXPECT_NEAR(options.dry_penalty(12), 0.8 * std::pow(1.75, 10), 1e-9);
  EXPECT_DOUBLE_EQ(options.dry_penalty(100'000), 1e6);
  options.dry_base = 1.0;
  EXPECT_DOUBLE_EQ(options.dry_penalty(100'000), 0.8);
}

TEST(DryRepeats, ATextOfOneTokenOverAndOverTakesLinearTime) {
  const Tokenizer tokenizer = small_tokenizer();
  SamplingOptions options;
  options.dry_multiplier = 1.0;
  const std::vector<std::int32_t> text(200'000, 1);
  DryRepeats repeats(tokenizer, options, std::ssize(text));
  EXPECT_EQ(longest(repeats.find(text)), (Lengths{{1, 199'999}}));
}

}  // namespace
}  // namespace corbel
