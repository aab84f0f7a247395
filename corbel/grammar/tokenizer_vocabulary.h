#pragma once
#include <memory>
#include <string>
#include <vector>

#include "corbel/grammar/token_vocabulary.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// What a tokenizer's tokens write, for masks: the bytes that each of them means behind others. A special token writes
/// kSpecialByte and its spelling, so that no text has it and only what is `marked` asks for it; tokens with bytes that
/// UTF-8 never has write nothing. Where the decoder makes something else of a token that comes first in a text (the
/// space of SentencePiece), the vocabulary knows that, too.
///
/// end_ids  end a text; duplicates and ids without a token are left out
/// Cost: about 60 ms for 128,000 tokens.
Result<std::shared_ptr<const TokenVocabulary>> make_token_vocabulary(const Tokenizer& tokenizer,
                                                                     std::vector<std::int32_t> end_ids);

}  // namespace corbel
