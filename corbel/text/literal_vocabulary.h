#pragma once
#include <string>
#include <string_view>

#include "corbel/text/tokenizer.h"

namespace corbel {

/// The bytes of a Python string or bytes literal as repr() writes it: 'a', "a'b", '\n', b'\xff', '\u4e00'. A string's
/// characters become UTF-8. Refused: anything else, \N{...}, surrogates, what follows the closing quotation mark.
Result<std::string> read_python_literal(std::string_view literal);

/// Is this the start of a vocabulary of lines `id literal bytes`?
bool is_literal_vocabulary(std::string_view bytes) noexcept;

/// A tokenizer that matches the longest token, from lines `id literal bytes`: the token's id (1 and up), its Python
/// literal, the number of its bytes. Id 0 ends a text; no text spells it. `source` names the file in messages, which
/// give the line.
Result<Tokenizer> read_literal_vocabulary(std::string_view text, const std::string& source);

/// The same from the tokens of a GGUF file, spelled as the inside of a Python bytes literal; `matched[i]` says whether
/// text is cut into token i.
Result<Tokenizer> make_literal_tokenizer(std::span<const std::string_view> literals, const std::vector<bool>& matched,
                                         const std::string& source);

}  // namespace corbel
