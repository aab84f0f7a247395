#include "corbel/grammar/token_vocabulary.h"

#include <algorithm>

#include "corbel/grammar/grammar.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxTokenBytes = 60'000;

/// `order` holds ids sorted by their bytes.
TokenTrie make_trie(const std::vector<std::string>& bytes, const std::vector<std::int32_t>& order) {
  TokenTrie trie;
  trie.nodes.push_back({});
  std::vector<std::uint32_t> path{0};  // nodes from the root to the last token's end
  std::string_view last;
  const auto close_to = [&](std::size_t depth) {
    for (; path.size() > depth + 1; path.pop_back())
      trie.nodes[path.back()].skip = static_cast<std::uint32_t>(trie.nodes.size());
  };
  for (const std::int32_t id : order) {
    const std::string_view token = bytes[static_cast<std::size_t>(id)];
    const auto shared = static_cast<std::size_t>(
        std::mismatch(token.begin(), token.end(), last.begin(), last.end()).first - token.begin());
    close_to(shared);
    for (std::size_t depth = shared; depth < token.size(); ++depth) {
      path.push_back(static_cast<std::uint32_t>(trie.nodes.size()));
      trie.nodes.push_back({0, static_cast<std::uint32_t>(trie.tokens.size()), static_cast<std::uint16_t>(depth + 1),
                            static_cast<std::uint8_t>(token[depth])});
    }
    trie.tokens.push_back(id);
    last = token;
  }
  close_to(0);
  trie.nodes[0].skip = static_cast<std::uint32_t>(trie.nodes.size());
  trie.nodes.push_back({0, static_cast<std::uint32_t>(trie.tokens.size())});
  return trie;
}

/// Characters of a plain token; 0 for others.
std::uint32_t plain_characters(std::string_view token) {
  if (token.empty() || valid_utf8_prefix(token) != token.size()) return 0;
  std::uint32_t characters = 0;
  for (const char c : token) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte < 0x20 || byte == '"' || byte == '\\') return 0;
    if ((byte & 0xC0) != 0x80) ++characters;
  }
  return characters <= TokenVocabulary::kMaxPlain ? characters : 0;
}

}  // namespace

Result<std::shared_ptr<const TokenVocabulary>> TokenVocabulary::make(std::vector<std::string> tokens,
                                                                     std::vector<std::int32_t> end_ids,
                                                                     std::vector<First> first) {
  const std::shared_ptr<TokenVocabulary> made(new TokenVocabulary);
  TokenVocabulary& out = *made;
  for (const std::int32_t id : end_ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= tokens.size()) {
      return fail(Code::bad_request,
                  cat("cannot prepare token masks: end id ", id, " is outside of the vocabulary of ", tokens.size()));
    }
    tokens[static_cast<std::size_t>(id)].clear();
  }
  std::erase_if(first, [&](const First& one) { return tokens[static_cast<std::size_t>(one.token)].empty(); });
  out.bytes_ = std::move(tokens);
  out.end_ids_ = std::move(end_ids);
  out.first_ = std::move(first);
  const std::size_t words = out.mask_words();
  out.plain_masks_.assign((kMaxPlain + 1) * words, 0);
  std::vector<std::int32_t> order;
  std::vector<std::int32_t> rest;
  for (std::int32_t id = 0; id < out.size(); ++id) {
    const std::string_view token = out.bytes(id);
    if (token.empty()) continue;
    if (token.size() > kMaxTokenBytes)
      return fail(Code::bad_request, cat("cannot prepare token masks: token ", id, " has ", token.size(), " bytes"));
    out.max_token_bytes_ = std::max(out.max_token_bytes_, token.size());
    if (token.size() == 1) out.single_bytes_.add(static_cast<std::uint8_t>(token[0]));
    order.push_back(id);
    if (token.front() == kSpecialByte) out.specials_.emplace_back(token.substr(1));
    const std::uint32_t characters = plain_characters(token);
    if (characters == 0) {
      rest.push_back(id);
      continue;
    }
    for (const char c : token) out.plain_bytes_.add(static_cast<std::uint8_t>(c));
    out.plain_masks_[characters * words + static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
  }
  for (std::size_t i = words; i < out.plain_masks_.size(); ++i) out.plain_masks_[i] |= out.plain_masks_[i - words];
  const auto by_bytes = [&out](std::int32_t a, std::int32_t b) {
    const int compared = out.bytes(a).compare(out.bytes(b));
    return compared != 0 ? compared < 0 : a < b;
  };
  std::sort(order.begin(), order.end(), by_bytes);
  std::sort(rest.begin(), rest.end(), by_bytes);
  out.all_ = make_trie(out.bytes_, order);
  out.rest_ = make_trie(out.bytes_, rest);
  return std::shared_ptr<const TokenVocabulary>(made);
}

std::string_view TokenVocabulary::first_bytes(std::int32_t token) const {
  const auto found = std::ranges::lower_bound(first_, token, {}, &First::token);
  return found != first_.end() && found->token == token ? std::string_view(found->bytes) : bytes(token);
}

bool TokenVocabulary::is_end(std::int32_t token) const {
  return std::find(end_ids_.begin(), end_ids_.end(), token) != end_ids_.end();
}

std::span<const std::uint64_t> TokenVocabulary::plain_mask(std::uint32_t characters) const {
  return std::span<const std::uint64_t>(plain_masks_)
      .subspan(std::min(characters, kMaxPlain) * mask_words(), mask_words());
}

}  // namespace corbel
