#include "corbel/grammar/tokenizer_vocabulary.h"

#include <algorithm>

#include "corbel/grammar/grammar.h"

namespace corbel {
namespace {

bool has_foreign_bytes(std::string_view bytes) {
  return std::ranges::any_of(bytes, [](char c) { return static_cast<std::uint8_t>(c) >= 0xF8; });
}

}  // namespace

Result<std::shared_ptr<const TokenVocabulary>> make_token_vocabulary(const Tokenizer& tokenizer,
                                                                     std::vector<std::int32_t> end_ids) {
  const auto size = static_cast<std::size_t>(tokenizer.vocab_size());
  std::vector<std::string> tokens(size);
  std::vector<TokenVocabulary::First> first;
  std::string as_first;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.has(id)) continue;
    std::string& bytes = tokens[static_cast<std::size_t>(id)];
    tokenizer.append_bytes(id, false, bytes);
    if (tokenizer.is_special(id)) {
      if (!bytes.empty()) bytes.insert(bytes.begin(), kSpecialByte);
      continue;
    }
    if (has_foreign_bytes(bytes)) bytes.clear();
    // Decoders take away white space at the start of a text, and nothing else.
    if (bytes.empty() || bytes.front() != ' ') continue;
    as_first.clear();
    tokenizer.append_bytes(id, true, as_first);
    if (as_first != bytes) first.push_back({id, as_first});
  }
  std::ranges::sort(end_ids);
  end_ids.erase(std::ranges::unique(end_ids).begin(), end_ids.end());
  std::erase_if(end_ids, [&](std::int32_t id) { return id < 0 || id >= tokenizer.vocab_size() || !tokenizer.has(id); });
  return TokenVocabulary::make(std::move(tokens), std::move(end_ids), std::move(first));
}

}  // namespace corbel
