#pragma once
#include <string>
#include <string_view>

#include "corbel/base/json.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// Is this the start of a rank file: lines `base64 rank`?
bool is_rank_file(std::string_view bytes) noexcept;

/// A byte-level tokenizer from tiktoken's rank file, one token a line: its bytes in base64, a space, its rank, which is
/// its id. The regex that cuts text and the ids in front of a text are not in the file: a table (tiktoken_kinds.h)
/// gives them by the number of ranks. So are special tokens, unless `config` (tokenizer_config.json, or an empty
/// object) lists them under "added_tokens_decoder". Refused, naming the line: bad base64, a rank or a token twice,
/// missing bytes; naming the number: ranks that no entry of the table has.
Result<Tokenizer> read_rank_file(std::string_view text, const std::string& source, const JsonFields& config);

/// Decodes base64 with its padding (RFC 4648, section 4) onto `out`; false where it is wrong.
bool append_base64(std::string_view text, std::string& out);

}  // namespace corbel
