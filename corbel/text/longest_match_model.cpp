#include "corbel/text/longest_match_model.h"

#include <algorithm>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"

namespace corbel {

Result<std::unique_ptr<LongestMatchModel>> LongestMatchModel::make(Vocabulary vocabulary,
                                                                   std::vector<ByteTrie::Key> tokens) {
  std::sort(tokens.begin(), tokens.end(),
            [](const ByteTrie::Key& a, const ByteTrie::Key& b) { return a.bytes < b.bytes; });
  bool single[256] = {};
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view bytes = tokens[i].bytes;
    if (bytes.empty()) return fail(Code::bad_file, cat("the token ", tokens[i].value, " is empty"));
    if (i > 0 && bytes == tokens[i - 1].bytes) {
      return fail(Code::bad_file, cat("the token ", quote(bytes), " stands twice (ids ", tokens[i - 1].value, " and ",
                                      tokens[i].value, ")"));
    }
    if (bytes.size() == 1) single[static_cast<std::uint8_t>(bytes[0])] = true;
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (!single[byte]) {
      return fail(Code::bad_file, cat("none of the ", tokens.size(), " tokens is the single byte ", byte,
                                      "; all 256 are needed, or some text has no ids"));
    }
  }
  return std::unique_ptr<LongestMatchModel>(new LongestMatchModel(std::move(vocabulary), std::move(tokens)));
}

Result<void> LongestMatchModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  while (!piece.empty()) {
    const ByteTrie::Match match = trie_.longest(piece);  // every single byte is a token: never empty
    ids.push_back(match.value);
    piece.remove_prefix(match.bytes);
  }
  return {};
}

}  // namespace corbel
