#pragma once
#include <string>
#include <string_view>

#include "corbel/base/named_files.h"
#include "corbel/text/bpe_model.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// The lines of merges.txt: two tokens with one space between, in rank order; an optional "#version" line first.
/// Messages give the line.
Result<void> read_merge_lines(std::string_view text, const std::string& source, BpeModel& model);

/// vocab.json with merges.txt; the stages are those that "tokenizer_class" of tokenizer_config.json implies
/// (without one: byte-level). Refuses classes that it does not know.
Result<Tokenizer> load_vocab_and_merges(const NamedFiles& files);

}  // namespace corbel
