#include "corbel/text/added_tokens.h"

#include <algorithm>

#include "corbel/text/unicode.h"

namespace corbel {

std::int32_t AddedTokenMatcher::child_of(std::int32_t node, char byte) const noexcept {
  std::int32_t child = nodes_[static_cast<std::size_t>(node)].child;
  while (child >= 0 && nodes_[static_cast<std::size_t>(child)].byte != byte) {
    child = nodes_[static_cast<std::size_t>(child)].sibling;
  }
  return child;
}

void AddedTokenMatcher::add(std::string_view content, std::int32_t token) {
  if (content.empty()) return;
  std::int32_t node = 0;
  for (const char byte : content) {
    std::int32_t child = child_of(node, byte);
    if (child < 0) {
      child = static_cast<std::int32_t>(nodes_.size());
      nodes_.push_back({-1, nodes_[static_cast<std::size_t>(node)].child, -1, byte});
      nodes_[static_cast<std::size_t>(node)].child = child;
      if (node == 0) roots_[static_cast<std::uint8_t>(byte)] = child;
    }
    node = child;
  }
  std::int32_t& slot = nodes_[static_cast<std::size_t>(node)].token;
  if (slot < 0) slot = token;
}

AddedTokenMatcher::Found AddedTokenMatcher::find(std::string_view text, std::uint32_t from) const noexcept {
  const auto size = static_cast<std::uint32_t>(text.size());
  for (std::uint32_t begin = from; begin < size; ++begin) {
    std::int32_t node = roots_[static_cast<std::uint8_t>(text[begin])];
    Found found;
    for (std::uint32_t at = begin + 1; node >= 0; ++at) {
      const std::int32_t token = nodes_[static_cast<std::size_t>(node)].token;
      if (token >= 0) found = {{begin, at}, token};
      if (at == size) break;
      node = child_of(node, text[at]);
    }
    if (found.token >= 0) return found;
  }
  return {};
}

void cut_at_added_tokens(std::string_view text, const AddedTokenMatcher& matcher, const std::vector<AddedToken>& tokens,
                         bool skip_special, std::vector<Stretch>& out) {
  const auto size = static_cast<std::uint32_t>(text.size());
  std::uint32_t done = 0;
  std::uint32_t from = 0;
  while (!matcher.empty() && from < size) {
    const AddedTokenMatcher::Found found = matcher.find(text, from);
    if (found.token < 0) break;
    from = found.span.end;
    const AddedToken& token = tokens[static_cast<std::size_t>(found.token)];
    if (skip_special && token.special) continue;
    auto [begin, end] = found.span;
    if (token.single_word) {
      const bool word_before = begin > 0 && is_word(utf8_before(text.data() + begin).code);
      const bool word_after = end < size && is_word(utf8_at(text.data() + end).code);
      if (word_before || word_after) continue;
    }
    if (token.lstrip) {
      while (begin > done) {
        const Utf8Char c = utf8_before(text.data() + begin);
        if (!is_space(c.code)) break;
        begin -= c.bytes;
      }
      begin = std::max(begin, done);
    }
    if (token.rstrip) {
      while (end < size) {
        const Utf8Char c = utf8_at(text.data() + end);
        if (!is_space(c.code)) break;
        end += c.bytes;
      }
    }
    if (done < begin) out.push_back({{done, begin}, -1});
    out.push_back({{begin, end}, found.token});
    done = end;
  }
  if (done != size) out.push_back({{done, size}, -1});
}

}  // namespace corbel
