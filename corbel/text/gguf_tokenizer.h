#pragma once
#include "corbel/base/gguf_header.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// The tokenizer that stands in a GGUF file's header under "tokenizer.ggml.*": pieces with scores merged or summed
/// (SentencePiece's kinds), bytes with merges behind the regex that "tokenizer.ggml.pre" names, word pieces, or the
/// longest match. The ids are those that the model was trained with; where llama.cpp gives others (it composes no
/// Unicode, cuts long words), the original is followed. Control tokens spelled in a text count as such. Refused by
/// name: other kinds, names of regexes that the table (disk_names.h) lacks, lists of different lengths.
Result<Tokenizer> read_gguf_tokenizer(const GgufHeader& header);

}  // namespace corbel
