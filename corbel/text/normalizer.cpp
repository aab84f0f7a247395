#include "corbel/text/normalizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/disk_names.h"
#include "corbel/text/byte_chars.h"
#include "corbel/text/component.h"
#include "corbel/text/normalizer_stages.h"
#include "corbel/text/replacer.h"

namespace corbel {

Result<bool> SequenceNormalizer::normalize(std::string_view text, std::string& out) const {
  bool changed = false;
  std::string current;
  for (const auto& stage : stages_) {
    std::string next;
    CORBEL_ASSIGN(const bool changes, stage->normalize(changed ? std::string_view(current) : text, next));
    if (!changes) continue;
    current = std::move(next);
    changed = true;
  }
  if (changed) out = std::move(current);
  return changed;
}

bool SequenceNormalizer::drops_front(std::string_view text) const {
  std::string current;
  for (const auto& stage : stages_) {
    if (text.empty() || stage->drops_front(text)) return true;
    std::string next;
    const auto changes = stage->normalize(text, next);
    if (!changes || !*changes) continue;
    current = std::move(next);
    text = current;
  }
  return text.empty();
}

namespace {

using Made = Result<std::unique_ptr<Normalizer>>;

/// Takes white space off the ends.
class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  Result<bool> normalize(std::string_view text, std::string& out) const override {
    std::string_view rest = text;
    while (left_ && !rest.empty() && is_space(utf8_at(rest.data()).code))
      rest.remove_prefix(utf8_at(rest.data()).bytes);
    while (right_ && !rest.empty()) {
      const Utf8Char last = utf8_before(rest.data() + rest.size());
      if (!is_space(last.code)) break;
      rest.remove_suffix(last.bytes);
    }
    if (rest.size() == text.size()) return false;
    out = std::string(rest);
    return true;
  }
  bool drops_front(std::string_view text) const override { return left_ && is_space(utf8_at(text.data()).code); }

 private:
  bool left_;
  bool right_;
};

/// Puts fixed text in front of a text that is not empty.
class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string front) : front_(std::move(front)) {}

  Result<bool> normalize(std::string_view text, std::string& out) const override {
    if (text.empty() || front_.empty()) return false;
    out = cat(front_, text);
    return true;
  }

 private:
  std::string front_;
};

class Replace final : public Normalizer {
 public:
  explicit Replace(Replacer replacer) : replacer_(std::move(replacer)) {}

  Result<bool> normalize(std::string_view text, std::string& out) const override {
    return replacer_.replace(text, out);
  }
  bool drops_front(std::string_view text) const override {
    // As the library counts: the first character of what is put in stands for the first character taken out.
    const auto chars = replacer_.front_match_chars(text);
    return chars && *chars > (replacer_.content().empty() ? 0U : 1U);
  }

 private:
  Replacer replacer_;
};

/// Spells every byte by its visible character.
class ByteLevel final : public Normalizer {
 public:
  Result<bool> normalize(std::string_view text, std::string& out) const override {
    const auto spells_itself = [](char byte) { return byte > ' ' && byte <= '~'; };
    if (std::all_of(text.begin(), text.end(), spells_itself)) return false;
    std::string spelled;
    spelled.reserve(text.size() * 2);
    append_spelled(spelled, text);
    out = std::move(spelled);
    return true;
  }
};

Made make_strip(const JsonFields& fields) {
  CORBEL_ASSIGN(const bool left, fields.get_bool("strip_left", true));
  CORBEL_ASSIGN(const bool right, fields.get_bool("strip_right", true));
  return Made(std::make_unique<Strip>(left, right));
}

Made make_prepend(const JsonFields& fields) {
  CORBEL_ASSIGN(std::string front, fields.require_string("prepend"));
  return Made(std::make_unique<Prepend>(std::move(front)));
}

Made make_replace(const JsonFields& fields) {
  CORBEL_ASSIGN(Replacer replacer, Replacer::make(fields));
  return Made(std::make_unique<Replace>(std::move(replacer)));
}

Made make_byte_level(const JsonFields&) { return Made(std::make_unique<ByteLevel>()); }

Made make_sequence(const JsonFields& fields) {
  CORBEL_ASSIGN(auto stages, make_components<Normalizer>(make_normalizer, fields, "normalizers"));
  return Made(std::make_unique<SequenceNormalizer>(std::move(stages)));
}

constexpr ComponentKind<Normalizer> kNormalizers[] = {{"NFC", make_nfc_normalizer},
                                                      {"NFD", make_nfd_normalizer},
                                                      {"NFKC", make_nfkc_normalizer},
                                                      {"NFKD", make_nfkd_normalizer},
                                                      {"Lowercase", make_lowercase_normalizer},
                                                      {"StripAccents", make_strip_accents_normalizer},
                                                      {"Strip", make_strip},
                                                      {"Prepend", make_prepend},
                                                      {"Replace", make_replace},
                                                      {disk_names::kWordPieceNormalizer, make_clean_text_normalizer},
                                                      {"Nmt", make_nmt_normalizer},
                                                      {"Precompiled", make_precompiled_normalizer},
                                                      {"ByteLevel", make_byte_level},
                                                      {"Sequence", make_sequence}};

}  // namespace

Made make_normalizer(const JsonFields& fields) { return make_component<Normalizer>(kNormalizers, fields); }

}  // namespace corbel
