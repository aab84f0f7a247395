#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "corbel/base/named_files.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// A tokenizer.json as it stands in memory once read: the file without its vocabulary and merges, and the tables that
/// were built of them. Loading copies arrays, where reading builds hash tables of some hundred thousand tokens and
/// merges. It lies beside the tokenizer.json that it was made of and is looked at only if that is still the same.
inline constexpr std::string_view kTokenizerTables = "tokenizer.tables";

/// Nothing where a tokenizer of this kind has no tables (all but byte-pair encoding).
Result<std::optional<std::string>> make_tokenizer_tables(std::string_view json, const std::string& source);

/// The tokenizer of files that have kTokenizerTables; nothing where there are none, or where they were made by another
/// layout or of another tokenizer.json.
Result<std::optional<Tokenizer>> load_tokenizer_tables(const NamedFiles& files);

}  // namespace corbel
