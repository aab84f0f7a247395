#pragma once
#include <memory>

#include "corbel/text/pre_tokenizer.h"

/// The makers of kinds that pre_tokenizer.cpp has in its table, and what they share.
namespace corbel {

Result<std::unique_ptr<PreTokenizer>> make_metaspace_pre_tokenizer(const JsonFields& fields);
Result<std::unique_ptr<PreTokenizer>> make_whitespace_pre_tokenizer(const JsonFields& fields);
Result<std::unique_ptr<PreTokenizer>> make_unicode_scripts_pre_tokenizer(const JsonFields& fields);
Result<std::unique_ptr<PreTokenizer>> make_fixed_length_pre_tokenizer(const JsonFields& fields);

/// A stage that cuts every piece once more and changes no text. Behind a byte-level stage it sees the spelling.
class PieceCutter : public PreTokenizer {
 public:
  Result<void> cut(Pieces& pieces) const final;

 private:
  /// Appends the pieces of `text` (offsets plus `base`, not empty, ascending).
  virtual Result<void> split(std::string_view text, std::uint32_t base, std::vector<Span>& cut) const = 0;
};

}  // namespace corbel
