#include "corbel/text/sentencepiece_file.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "corbel/base/cat.h"
#include "corbel/text/vocabulary.h"

namespace corbel {
namespace {

/// Where a message ends and what it is called, for messages about it.
struct Field {
  std::uint32_t number = 0;
  std::uint32_t wire = 0;
  std::uint64_t value = 0;      // of wire types 0, 1 and 5
  std::string_view bytes;       // of wire type 2
  std::size_t at = 0;           // in the file
  std::string_view name = "?";  // set by whoever reads it
};

/// Walks over the fields of one protobuf message.
class Message {
 public:
  Message(std::string_view bytes, std::size_t offset, std::string_view name, const std::string& source)
      : bytes_(bytes), offset_(offset), name_(name), source_(source) {}

  bool done() const noexcept { return at_ == bytes_.size(); }

  Result<Field> next() {
    Field field;
    field.at = offset_ + at_;
    CORBEL_ASSIGN(const std::uint64_t key, varint());
    field.number = static_cast<std::uint32_t>(key >> 3);
    field.wire = static_cast<std::uint32_t>(key & 7);
    if (field.number == 0 || key >> 32 != 0) return bad(field.at, cat("has the field key ", key));
    switch (field.wire) {
      case 0: {
        CORBEL_ASSIGN(field.value, varint());
        return field;
      }
      case 1: return fixed(field, 8);
      case 5: return fixed(field, 4);
      case 2: {
        CORBEL_ASSIGN(const std::uint64_t length, varint());
        if (length > bytes_.size() - at_) {
          return bad(field.at, cat("has field ", field.number, " of ", length, " bytes, but only ", bytes_.size() - at_,
                                   " are left; is the file cut off?"));
        }
        field.at = offset_ + at_;
        field.bytes = bytes_.substr(at_, length);
        at_ += length;
        return field;
      }
      default:
        return bad(field.at,
                   cat("has field ", field.number, " of wire type ", field.wire, "; types 0, 1, 2 and 5 are known"));
    }
  }

  Failure bad(std::size_t at, std::string_view what) const {
    return fail(Code::bad_file, cat(source_, ": ", name_, " at byte ", at, " ", what));
  }

  /// Refuses a field of another wire type than the format says.
  Result<void> expect(const Field& field, std::uint32_t wire, std::string_view field_name) const {
    if (field.wire == wire) return {};
    return bad(field.at, cat("has \"", field_name, "\" with wire type ", field.wire, ", expected ", wire));
  }
  Result<void> read(const Field& field, std::string_view field_name, bool& out) const {
    CORBEL_TRY(expect(field, 0, field_name));
    out = field.value != 0;
    return {};
  }
  Result<void> read(const Field& field, std::string_view field_name, std::string_view& out) const {
    CORBEL_TRY(expect(field, 2, field_name));
    out = field.bytes;
    return {};
  }
  /// An enumerator from 1 to `last`.
  template <typename Enum>
  Result<void> read_enum(const Field& field, std::string_view field_name, std::uint64_t last, Enum& out) const {
    CORBEL_TRY(expect(field, 0, field_name));
    if (field.value < 1 || field.value > last) {
      return bad(field.at, cat("has \"", field_name, "\" ", field.value, "; known are 1 to ", last));
    }
    out = static_cast<Enum>(field.value);
    return {};
  }

 private:
  Result<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) return bad(offset_ + at_, "ends inside a number; is the file cut off?");
      const auto byte = static_cast<std::uint8_t>(bytes_[at_++]);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return bad(offset_ + at_, "has a number of more than 10 bytes");
  }

  Result<Field> fixed(Field field, std::size_t size) {
    if (bytes_.size() - at_ < size) return bad(field.at, "ends inside a number; is the file cut off?");
    std::memcpy(&field.value, bytes_.data() + at_, size);
    at_ += size;
    return field;
  }

  std::string_view bytes_;
  std::size_t offset_;  // of bytes_ in the file
  std::string_view name_;
  const std::string& source_;
  std::size_t at_ = 0;
};

Result<SentencePiece> read_piece(Message message) {
  SentencePiece piece;
  while (!message.done()) {
    CORBEL_ASSIGN(const Field field, message.next());
    switch (field.number) {
      case 1: CORBEL_TRY(message.read(field, "piece", piece.text)); break;
      case 2:
        CORBEL_TRY(message.expect(field, 5, "score"));
        piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
        if (!std::isfinite(piece.score)) return message.bad(field.at, "has a \"score\" that is no finite number");
        break;
      case 3: CORBEL_TRY(message.read_enum(field, "type", 6, piece.type)); break;
      default: break;
    }
  }
  return piece;
}

Result<void> read_trainer_spec(Message message, SentencePieceSpec& spec) {
  while (!message.done()) {
    CORBEL_ASSIGN(const Field field, message.next());
    switch (field.number) {
      case 3: CORBEL_TRY(message.read_enum(field, "model_type", 4, spec.kind)); break;
      case 24: CORBEL_TRY(message.read(field, "treat_whitespace_as_suffix", spec.treat_whitespace_as_suffix)); break;
      case 35: CORBEL_TRY(message.read(field, "byte_fallback", spec.byte_fallback)); break;
      case 44: CORBEL_TRY(message.read(field, "unk_surface", spec.unk_surface)); break;
      case 46: CORBEL_TRY(message.read(field, "bos_piece", spec.bos_piece)); break;
      case 47: CORBEL_TRY(message.read(field, "eos_piece", spec.eos_piece)); break;
      default: break;
    }
  }
  return {};
}

Result<void> read_normalizer_spec(Message message, SentencePieceSpec& spec) {
  while (!message.done()) {
    CORBEL_ASSIGN(const Field field, message.next());
    switch (field.number) {
      case 2: CORBEL_TRY(message.read(field, "precompiled_charsmap", spec.precompiled_charsmap)); break;
      case 3: CORBEL_TRY(message.read(field, "add_dummy_prefix", spec.add_dummy_prefix)); break;
      case 4: CORBEL_TRY(message.read(field, "remove_extra_whitespaces", spec.remove_extra_whitespaces)); break;
      case 5: CORBEL_TRY(message.read(field, "escape_whitespaces", spec.escape_whitespaces)); break;
      default: break;
    }
  }
  return {};
}

Result<void> read_denormalizer_spec(Message message, const std::string& source) {
  SentencePieceSpec rules;
  CORBEL_TRY(read_normalizer_spec(message, rules));
  if (rules.precompiled_charsmap.empty()) return {};
  return fail(Code::unsupported, cat(source, ": \"denormalizer_spec.precompiled_charsmap\" has ",
                                     rules.precompiled_charsmap.size(), " bytes; denormalizing is not supported"));
}

}  // namespace

std::int32_t SentencePieceSpec::control_id(std::string_view text) const noexcept {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].type == PieceType::control && pieces[i].text == text) return static_cast<std::int32_t>(i);
  }
  return -1;
}

bool is_sentencepiece_file(std::string_view bytes) noexcept {
  // Field 1 of the file and then, in most cases, field 1 of the piece: 0A length 0A.
  return bytes.size() > 2 && bytes[0] == '\n' && bytes[2] == '\n';
}

Result<SentencePieceSpec> read_sentencepiece_file(std::string_view bytes, const std::string& source) {
  SentencePieceSpec spec;
  Message file(bytes, 0, "the file", source);
  while (!file.done()) {
    CORBEL_ASSIGN(const Field field, file.next());
    if (field.number == 0 || field.number > 5 || field.number == 4) continue;
    CORBEL_TRY(file.expect(field, 2, "a message"));
    const auto message = [&](std::string_view name) { return Message(field.bytes, field.at, name, source); };
    if (field.number == 1) {
      if (spec.pieces.size() == static_cast<std::size_t>(Vocabulary::kMaxTokens)) {
        return file.bad(field.at, cat("has more than ", Vocabulary::kMaxTokens, " pieces"));
      }
      CORBEL_ASSIGN(const SentencePiece piece, read_piece(message("a piece")));
      spec.pieces.push_back(piece);
    } else if (field.number == 2) {
      CORBEL_TRY(read_trainer_spec(message("\"trainer_spec\""), spec));
    } else if (field.number == 3) {
      CORBEL_TRY(read_normalizer_spec(message("\"normalizer_spec\""), spec));
    } else {
      CORBEL_TRY(read_denormalizer_spec(message("\"denormalizer_spec\""), source));
    }
  }
  if (spec.pieces.empty()) return fail(Code::bad_file, cat(source, ": has no pieces"));
  return spec;
}

}  // namespace corbel
