#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/text/pattern.h"

namespace corbel {

/// A token that is looked for in the text itself, before anything else cuts it.
struct AddedToken {
  std::string content;
  std::int32_t id = -1;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = true;    // looked for in the normalized text; false: in the text as it came
  bool special = false;      // part of the format, not of the language: left out of decoded text on request
  bool in_text = true;       // false: no text spells it, only ids hold it
};

/// Finds added tokens in one pass: at each place the longest that starts there wins. A trie over their bytes; time is
/// linear in the text times, at worst, the longest token.
class AddedTokenMatcher {
 public:
  struct Found {
    Span span;
    std::int32_t token = -1;  // index given to add()
  };

  /// Of two equal contents the first added wins. Empty contents are ignored.
  void add(std::string_view content, std::int32_t token);

  bool empty() const noexcept { return nodes_.size() <= 1; }

  /// The first token at or after `from`; token -1 when there is none.
  Found find(std::string_view text, std::uint32_t from) const noexcept;

 private:
  struct Node {
    std::int32_t child = -1;
    std::int32_t sibling = -1;
    std::int32_t token = -1;
    char byte = 0;
  };
  std::int32_t child_of(std::int32_t node, char byte) const noexcept;

  std::vector<Node> nodes_ = std::vector<Node>(1);  // the root
  std::array<std::int32_t, 256> roots_ = [] {
    std::array<std::int32_t, 256> none{};
    none.fill(-1);
    return none;
  }();
};

/// One stretch of a text: an added token, or (token -1) what lies between two.
struct Stretch {
  Span span;
  std::int32_t token = -1;
};

/// Cuts `text` (offsets plus nothing) at the added tokens that `matcher` finds. `tokens` is what its indices mean.
/// `skip_special`: special tokens are taken for plain text.
void cut_at_added_tokens(std::string_view text, const AddedTokenMatcher& matcher, const std::vector<AddedToken>& tokens,
                         bool skip_special, std::vector<Stretch>& out);

}  // namespace corbel
