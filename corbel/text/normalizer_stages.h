#pragma once
#include <memory>
#include <vector>

#include "corbel/text/normalizer.h"
#include "corbel/text/unicode.h"

/// The makers of each kind of normalizer: rows of the table in normalizer.cpp.
namespace corbel {

Result<std::unique_ptr<Normalizer>> make_nfc_normalizer(const JsonFields& fields);
Result<std::unique_ptr<Normalizer>> make_nfd_normalizer(const JsonFields& fields);
Result<std::unique_ptr<Normalizer>> make_nfkc_normalizer(const JsonFields& fields);
Result<std::unique_ptr<Normalizer>> make_nfkd_normalizer(const JsonFields& fields);
Result<std::unique_ptr<Normalizer>> make_lowercase_normalizer(const JsonFields& fields);
Result<std::unique_ptr<Normalizer>> make_strip_accents_normalizer(const JsonFields& fields);
Result<std::unique_ptr<Normalizer>> make_nmt_normalizer(const JsonFields& fields);
Result<std::unique_ptr<Normalizer>> make_clean_text_normalizer(const JsonFields& fields);
Result<std::unique_ptr<Normalizer>> make_precompiled_normalizer(const JsonFields& fields);

/// One stage after the other.
class SequenceNormalizer final : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<std::unique_ptr<Normalizer>> stages) : stages_(std::move(stages)) {}
  Result<bool> normalize(std::string_view text, std::string& out) const override;
  bool drops_front(std::string_view text) const override;

 private:
  std::vector<std::unique_ptr<Normalizer>> stages_;
};

}  // namespace corbel
