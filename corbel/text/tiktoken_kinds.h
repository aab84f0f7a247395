#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace corbel {

/// Special tokens with consecutive ids: one text (count 1, the text as it is), or numbered ones ("<|extra_0|>", ...).
struct RankSpecials {
  std::string_view text;   // before the number
  std::string_view after;  // after the number
  std::int32_t first_id = 0;
  std::int32_t first_number = 0;
  std::int32_t count = 1;
};

/// What goes with a rank file and does not stand in it, found by how many ranks it has.
struct RankKind {
  std::int32_t ranks = 0;
  std::string_view regex;                  // spelled as tokenizer.json files spell it, so that find_splitter() knows it
  bool nfc = false;                        // text is composed before it is cut
  std::span<const RankSpecials> specials;  // empty: only tokenizer_config.json knows them
  std::span<const std::string_view> beginning;  // special tokens in front of a text
};

std::span<const RankKind> rank_kinds() noexcept;

}  // namespace corbel
