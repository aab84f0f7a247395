#pragma once
#include <cstdint>

/// Characters as the stages of Hugging Face's tokenizers see them. Where its several versions of Unicode differ from
/// ours (unicode.h), models were trained with its answer, so these give exactly that one (tables asked of the library
/// over all code points: tools/unicode/make_stage_tables.py).
namespace corbel::stage_chars {

bool is_mark(char32_t code) noexcept;             // what StripAccents removes
bool is_nonspacing_mark(char32_t code) noexcept;  // what BertNormalizer's strip_accents removes
bool is_control(char32_t code) noexcept;      // what BertNormalizer's clean_text removes: controls, formats, private
bool is_chinese(char32_t code) noexcept;      // what BertNormalizer puts spaces around
bool is_punctuation(char32_t code) noexcept;  // Punctuation, BertPreTokenizer: \p{P} and ASCII symbols
bool is_number(char32_t code) noexcept;       // Digits: \p{N}
bool is_word(char32_t code) noexcept;         // Whitespace: \w

/// Unknown to the normalization forms: stays as it is, orders and composes with nothing.
bool is_late_for_forms(char32_t code) noexcept;

/// Belongs to the character before it for Precompiled, and utf8proc does not know that yet.
bool is_late_extender(char32_t code) noexcept;

/// The lower case where it is one code point; U+0130 alone has two (i, U+0307) and is returned unchanged.
char32_t to_lower(char32_t code) noexcept;

/// A number for each script as UnicodeScripts sees it (Hiragana and Katakana count as Han); 0: joins any.
std::uint8_t script_of(char32_t code) noexcept;

}  // namespace corbel::stage_chars
