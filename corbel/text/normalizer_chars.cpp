#include "corbel/text/normalizer_stages.h"
#include "corbel/text/stage_chars.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<Normalizer>>;

/// What becomes of one character: up to three characters, or none.
struct Mapped {
  char32_t codes[3];
  int count;
};
constexpr Mapped one(char32_t code) noexcept { return {{code, 0, 0}, 1}; }
constexpr Mapped kNothing = {{0, 0, 0}, 0};

/// Maps character by character. `kKeepsAscii`: printable ASCII stays as it is.
class CharMap final : public Normalizer {
 public:
  using Map = Mapped (*)(char32_t) noexcept;
  CharMap(Map map, bool keeps_ascii) : map_(map), keeps_ascii_(keeps_ascii) {}

  Result<bool> normalize(std::string_view text, std::string& out) const override {
    std::string made;
    std::size_t copied = 0;
    bool changed = false;
    for (std::size_t at = 0; at < text.size();) {
      if (keeps_ascii_ && text[at] >= ' ' && text[at] < 0x7F) {
        ++at;
        continue;
      }
      const Utf8Char c = utf8_at(text.data() + at);
      const Mapped mapped = map_(c.code);
      if (mapped.count != 1 || mapped.codes[0] != c.code) {
        if (!changed) made.reserve(text.size() + text.size() / 8);
        changed = true;
        made.append(text, copied, at - copied);
        for (int i = 0; i < mapped.count; ++i) append_utf8(made, mapped.codes[i]);
        copied = at + c.bytes;
      }
      at += c.bytes;
    }
    if (!changed) return false;
    made.append(text, copied, text.size() - copied);
    out = std::move(made);
    return true;
  }

  bool drops_front(std::string_view text) const override { return map_(utf8_at(text.data()).code).count == 0; }

 private:
  Map map_;
  bool keeps_ascii_;
};

Mapped lower(char32_t code) noexcept {
  if (code == 0x130) return {{'i', 0x307, 0}, 2};
  return one(stage_chars::to_lower(code));
}

Mapped without_mark(char32_t code) noexcept { return stage_chars::is_mark(code) ? kNothing : one(code); }

Mapped without_nonspacing_mark(char32_t code) noexcept {
  return stage_chars::is_nonspacing_mark(code) ? kNothing : one(code);
}

/// SentencePiece's rules of the name: some controls vanish, others and the invisible spaces become a space.
Mapped nmt(char32_t code) noexcept {
  if ((code >= 0x1 && code <= 0x8) || code == 0xB || (code >= 0xE && code <= 0x1F) || code == 0x7F || code == 0x8F ||
      code == 0x9F) {
    return kNothing;
  }
  if (code == 0x9 || code == 0xA || code == 0xC || code == 0xD || code == 0x1680 ||
      (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 || code == 0x2581 || code == 0xFEFF ||
      code == 0xFFFD) {
    return one(' ');
  }
  return one(code);
}

Mapped cleaned(char32_t code) noexcept {
  if (stage_chars::is_control(code)) return kNothing;
  return one(is_space(code) ? U' ' : code);
}

Mapped spaced_chinese(char32_t code) noexcept {
  if (!stage_chars::is_chinese(code)) return one(code);
  return {{' ', code, ' '}, 3};
}

std::unique_ptr<Normalizer> char_map(CharMap::Map map, bool keeps_ascii) {
  return std::make_unique<CharMap>(map, keeps_ascii);
}

}  // namespace

Made make_lowercase_normalizer(const JsonFields&) { return char_map(lower, false); }
Made make_strip_accents_normalizer(const JsonFields&) { return char_map(without_mark, true); }
Made make_nmt_normalizer(const JsonFields&) { return char_map(nmt, true); }

Made make_clean_text_normalizer(const JsonFields& fields) {
  CORBEL_ASSIGN(const bool clean, fields.get_bool("clean_text", true));
  CORBEL_ASSIGN(const bool chinese, fields.get_bool("handle_chinese_chars", true));
  CORBEL_ASSIGN(const bool lowercase, fields.get_bool("lowercase", true));
  CORBEL_ASSIGN(const bool strip, fields.get_bool("strip_accents", lowercase));  // null: as lowercase says
  std::vector<std::unique_ptr<Normalizer>> stages;
  if (clean) stages.push_back(char_map(cleaned, true));
  if (chinese) stages.push_back(char_map(spaced_chinese, true));
  if (strip) {
    CORBEL_ASSIGN(auto decomposed, make_nfd_normalizer(fields));
    stages.push_back(std::move(decomposed));
    stages.push_back(char_map(without_nonspacing_mark, true));
  }
  if (lowercase) stages.push_back(char_map(lower, false));
  return Made(std::make_unique<SequenceNormalizer>(std::move(stages)));
}

}  // namespace corbel
