#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/text/byte_trie.h"
#include "corbel/text/normalizer.h"
#include "corbel/text/precompiled_charsmap.h"
#include "corbel/text/sentencepiece_file.h"

namespace corbel {

/// What SentencePiece does to a text before its model sees it: replacements (the longest entry first; a user-defined
/// piece stands as it is), spaces in front, behind and in runs removed, one space put in front (or behind), spaces
/// spelled U+2581; each of these where the spec says so. Source: sentencepiece 0.2.0, src/normalizer.cc.
class SentencePieceNormalizer final : public Normalizer {
 public:
  /// `user_defined`: the texts of those pieces, all different. Refuses a charsmap that does not parse.
  static Result<std::unique_ptr<Normalizer>> make(const SentencePieceSpec& spec,
                                                  const std::vector<ByteTrie::Key>& user_defined);

  Result<bool> normalize(std::string_view text, std::string& out) const override;

 private:
  struct Rules {
    bool add_dummy_prefix = false;
    bool remove_extra_whitespaces = false;
    bool escape_whitespaces = false;
    bool whitespace_as_suffix = false;
  };
  struct Replaced {
    std::uint32_t bytes = 0;  // taken from the text
    std::string_view text;    // what stands for them
  };
  SentencePieceNormalizer(const SentencePieceSpec& spec, const std::vector<ByteTrie::Key>& user_defined,
                          PrecompiledCharsmap charsmap);

  Replaced replace_prefix(std::string_view text) const noexcept;
  std::size_t plain_bytes(std::string_view text) const noexcept;
  std::string_view space() const noexcept { return rules_.escape_whitespaces ? "\xE2\x96\x81" : " "; }
  void append(std::string_view part, std::string& out) const;

  Rules rules_;
  PrecompiledCharsmap charsmap_;
  ByteTrie user_defined_;
  std::array<bool, 256> plain_{};  // no rule looks at a character that starts with this byte
};

}  // namespace corbel
