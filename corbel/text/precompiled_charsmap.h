#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"

namespace corbel {

/// The table of replacements that SentencePiece compiles into its model files (and Hugging Face copies into the
/// normalizer "Precompiled"). Immutable; any thread may ask.
///
///   bytes 0-3       size of the trie in bytes, little endian, a multiple of 4
///   then the trie   a double array of 32-bit units (Darts-clone), little endian; its values are offsets into
///   then the rest   replacements, UTF-8, each ended by a zero byte
class PrecompiledCharsmap {
 public:
  struct Match {
    std::uint32_t bytes = 0;       // of the text; 0: nothing matched
    std::string_view replacement;  // lives as long as the map; may be empty
  };

  /// Refuses sizes that do not fit and replacements that are not UTF-8. An empty blob is a map without entries.
  static Result<PrecompiledCharsmap> parse(std::string_view bytes);

  /// SentencePiece's rule: the longest entry that `text` starts with.
  Match longest_prefix(std::string_view text) const noexcept;

  /// Hugging Face's rule: the shortest entry that `text` starts with.
  Match shortest_prefix(std::string_view text) const noexcept;

  /// False: no entry starts with this byte, so that no look-up is needed.
  bool may_start(char byte) const noexcept { return starts_[static_cast<std::uint8_t>(byte)]; }

 private:
  template <bool kShortest>
  Match find(std::string_view text) const noexcept;
  bool valid_value(std::uint32_t value) const noexcept;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
  std::vector<bool> starts_ = std::vector<bool>(256);
};

}  // namespace corbel
