#pragma once
#include <memory>
#include <string_view>

#include "corbel/text/decoder.h"
#include "corbel/text/sentencepiece_tokenizer.h"

namespace corbel {

/// The byte that a piece "<0x00>" to "<0xFF>" stands for; -1 for any other text.
int byte_of_piece(std::string_view text) noexcept;

/// Pieces back to text as SentencePiece's library does: U+2581 becomes a space; spaces that normalizing put in front
/// of the text go; byte pieces become bytes; an unknown piece becomes the spec's surface.
/// Source: sentencepiece 0.2.0, src/sentencepiece_processor.cc, Decode.
std::unique_ptr<Decoder> make_sentencepiece_decoder(const SentencePieceSpec& spec, const SentencePieceUse& use);

}  // namespace corbel
