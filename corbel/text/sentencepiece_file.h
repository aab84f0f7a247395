#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"

namespace corbel {

/// Kinds of pieces; the numbers are on disk, in SentencePiece files as in GGUF.
enum class PieceType : std::uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// One piece: its text (a space is spelled U+2581), its score (BPE: minus its rank; Unigram: log probability).
struct SentencePiece {
  std::string_view text;
  float score = 0;
  PieceType type = PieceType::normal;
};

/// What a SentencePiece model file says, as far as encoding and decoding need it. Fields are named as in the file, the
/// defaults are the format's. Views point into the file's bytes.
struct SentencePieceSpec {
  enum class Kind : std::uint8_t { unigram = 1, bpe = 2, word = 3, character = 4 };

  Kind kind = Kind::unigram;
  std::vector<SentencePiece> pieces;  // by id
  bool treat_whitespace_as_suffix = false;
  bool byte_fallback = false;
  std::string_view unk_surface = " \xE2\x81\x87 ";  // what an unknown piece decodes to
  std::string_view bos_piece = "<s>";
  std::string_view eos_piece = "</s>";

  std::string_view precompiled_charsmap;  // empty: none
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;

  /// Id of the control piece of this text, or -1.
  std::int32_t control_id(std::string_view text) const noexcept;
};

/// Could this be a SentencePiece file? (It starts with a piece.)
bool is_sentencepiece_file(std::string_view bytes) noexcept;

/// Reads the protobuf message ModelProto (sentencepiece_model.proto); unknown fields are skipped. `bytes` must outlive
/// the spec. Refused, naming the place in bytes: what runs past the end, wrong wire types, groups, unknown kinds,
/// a denormalizer with rules, files without pieces.
Result<SentencePieceSpec> read_sentencepiece_file(std::string_view bytes, const std::string& source);

}  // namespace corbel
