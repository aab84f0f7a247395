#pragma once
#include "corbel/base/json.h"
#include "corbel/base/named_files.h"

namespace corbel {

/// tokenizer_config.json, or an empty object where there is none. `source` receives its place, for messages.
Result<Json> read_tokenizer_config(const NamedFiles& files, std::string& source);

/// "added_tokens_decoder" (ids as keys) as the array that "added_tokens" of a tokenizer.json is. REQUIRES: it is there.
Result<Json> read_added_tokens_decoder(const JsonFields& config);

}  // namespace corbel
