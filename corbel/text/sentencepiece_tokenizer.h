#pragma once
#include <string>

#include "corbel/text/sentencepiece_file.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// What a spec leaves to whoever carries it.
struct SentencePieceUse {
  std::vector<std::int32_t> before;  // ids in front of a text
  std::vector<std::int32_t> after;   // and behind it
  /// Control pieces spelled in a text are special tokens; false: plain text, as SentencePiece's library has it.
  bool control_in_text = false;
  /// What an unknown piece decodes to: spec.unk_surface, or else the piece as it is spelled.
  bool show_unknown_surface = true;
};

/// A tokenizer that gives the ids and texts of SentencePiece's library. BPE merges the pair whose result has the
/// highest score; Unigram takes the best sum of scores; a model of characters knows no longer pieces. User-defined
/// pieces always match. `source` names the file in messages. Refused by name: models of words, pieces twice, not UTF-8
/// or empty, not exactly one unknown piece, byte fallback without all 256 byte pieces.
Result<Tokenizer> make_sentencepiece_tokenizer(const SentencePieceSpec& spec, const SentencePieceUse& use,
                                               const std::string& source);

}  // namespace corbel
