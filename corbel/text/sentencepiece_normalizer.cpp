#include "corbel/text/sentencepiece_normalizer.h"

#include "corbel/base/cat.h"
#include "corbel/text/unicode.h"

namespace corbel {

Result<std::unique_ptr<Normalizer>> SentencePieceNormalizer::make(const SentencePieceSpec& spec,
                                                                  const std::vector<ByteTrie::Key>& user_defined) {
  auto charsmap = PrecompiledCharsmap::parse(spec.precompiled_charsmap);
  if (!charsmap) return forward_failure(charsmap, "precompiled_charsmap");
  return std::unique_ptr<Normalizer>(new SentencePieceNormalizer(spec, user_defined, *std::move(charsmap)));
}

SentencePieceNormalizer::SentencePieceNormalizer(const SentencePieceSpec& spec,
                                                 const std::vector<ByteTrie::Key>& user_defined,
                                                 PrecompiledCharsmap charsmap)
    : rules_{spec.add_dummy_prefix, spec.remove_extra_whitespaces, spec.escape_whitespaces,
             spec.treat_whitespace_as_suffix},
      charsmap_(std::move(charsmap)),
      user_defined_(user_defined) {
  plain_.fill(true);
  plain_[static_cast<std::uint8_t>(' ')] = false;
  for (const ByteTrie::Key& key : user_defined) plain_[static_cast<std::uint8_t>(key.bytes[0])] = false;
  for (int byte = 0; byte < 256; ++byte) {
    if (charsmap_.may_start(static_cast<char>(byte))) plain_[static_cast<std::size_t>(byte)] = false;
  }
  // Bytes inside a character are no character's start.
  for (std::size_t byte = 0x80; byte < 0xC0; ++byte) plain_[byte] = true;
}

SentencePieceNormalizer::Replaced SentencePieceNormalizer::replace_prefix(std::string_view text) const noexcept {
  if (const ByteTrie::Match match = user_defined_.longest(text); match.bytes > 0) {
    return {static_cast<std::uint32_t>(match.bytes), text.substr(0, match.bytes)};
  }
  const PrecompiledCharsmap::Match match = charsmap_.longest_prefix(text);
  if (match.bytes > 0) return {match.bytes, match.replacement};
  const std::uint32_t bytes = utf8_at(text.data()).bytes;
  return {bytes, text.substr(0, bytes)};
}

std::size_t SentencePieceNormalizer::plain_bytes(std::string_view text) const noexcept {
  std::size_t bytes = 0;
  while (bytes < text.size() && plain_[static_cast<std::uint8_t>(text[bytes])]) ++bytes;
  return bytes;
}

void SentencePieceNormalizer::append(std::string_view part, std::string& out) const {
  while (!part.empty()) {
    const std::size_t stop = part.find(' ');
    out.append(part.substr(0, stop));
    if (stop == std::string_view::npos) return;
    out.append(space());
    part.remove_prefix(stop + 1);
  }
}

Result<bool> SentencePieceNormalizer::normalize(std::string_view text, std::string& out) const {
  std::string made;
  made.reserve(text.size() + text.size() / 4 + 8);
  if (rules_.remove_extra_whitespaces) {
    while (!text.empty()) {
      const Replaced first = replace_prefix(text);
      if (first.text != " ") break;
      text.remove_prefix(first.bytes);
    }
  }
  if (text.empty()) {
    out.clear();
    return true;
  }
  if (rules_.add_dummy_prefix && !rules_.whitespace_as_suffix) made.append(space());
  bool after_space = rules_.remove_extra_whitespaces;
  while (!text.empty()) {
    if (const std::size_t plain = plain_bytes(text); plain > 0) {
      made.append(text.substr(0, plain));
      text.remove_prefix(plain);
      after_space = false;
      continue;
    }
    Replaced next = replace_prefix(text);
    text.remove_prefix(next.bytes);
    while (after_space && next.text.starts_with(' ')) next.text.remove_prefix(1);
    if (!next.text.empty()) {
      append(next.text, made);
      after_space = next.text.ends_with(' ');
    }
    if (!rules_.remove_extra_whitespaces) after_space = false;
  }
  if (rules_.remove_extra_whitespaces) {
    while (made.ends_with(space())) made.resize(made.size() - space().size());
  }
  if (rules_.add_dummy_prefix && rules_.whitespace_as_suffix) made.append(space());
  out = std::move(made);
  return true;
}

}  // namespace corbel
