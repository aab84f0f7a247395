#pragma once
#include <filesystem>

#include "corbel/base/json.h"

namespace corbel {

/// FOLDER/tokenizer_config.json, or an empty object where there is none. `source` receives its path, for messages.
Result<Json> read_tokenizer_config(const std::filesystem::path& folder, std::string& source);

/// "added_tokens_decoder" (ids as keys) as the array that "added_tokens" of a tokenizer.json is. REQUIRES: it is there.
Result<Json> read_added_tokens_decoder(const JsonFields& config);

}  // namespace corbel
