#include "corbel/text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"
#include "corbel/text/bpe_model.h"
#include "corbel/text/sentencepiece_decoder.h"
#include "corbel/text/sentencepiece_normalizer.h"
#include "corbel/text/tokenizer_parts.h"
#include "corbel/text/unicode.h"
#include "corbel/text/unigram_model.h"

namespace corbel {
namespace {

using Kind = SentencePieceSpec::Kind;

Result<std::int32_t> find_unknown(const SentencePieceSpec& spec) {
  std::int32_t found = kNoToken;
  for (std::size_t i = 0; i < spec.pieces.size(); ++i) {
    if (spec.pieces[i].type != PieceType::unknown) continue;
    if (found != kNoToken) {
      return fail(Code::bad_file, cat("the pieces ", found, " and ", i, " are both of type unknown; one must be"));
    }
    found = static_cast<std::int32_t>(i);
  }
  if (found == kNoToken) {
    return fail(Code::bad_file, cat("none of the ", spec.pieces.size(), " pieces is of type unknown; one must be"));
  }
  return found;
}

Result<void> check_bytes(const SentencePieceSpec& spec, const Vocabulary& vocabulary) {
  std::size_t count = 0;
  for (const SentencePiece& piece : spec.pieces) {
    if (piece.type != PieceType::byte) continue;
    ++count;
    if (!spec.byte_fallback) {
      return fail(Code::bad_file,
                  cat("the piece ", quote(piece.text), " is of type byte, but \"byte_fallback\" is false"));
    }
    if (byte_of_piece(piece.text) < 0) {
      return fail(Code::bad_file,
                  cat("the piece ", quote(piece.text), " is of type byte, but not spelled <0x00> to <0xFF>"));
    }
  }
  // All different, as the vocabulary has seen to.
  if (spec.byte_fallback && count != 256) {
    return fail(Code::bad_file, cat("\"byte_fallback\" needs 256 pieces of type byte, found ", count, " in ",
                                    vocabulary.size(), " pieces"));
  }
  return {};
}

Result<Vocabulary> make_vocabulary(const SentencePieceSpec& spec) {
  Vocabulary vocabulary;
  std::size_t bytes = 0;
  for (const SentencePiece& piece : spec.pieces) bytes += piece.text.size();
  vocabulary.reserve(spec.pieces.size(), bytes);
  for (std::size_t i = 0; i < spec.pieces.size(); ++i) {
    const std::string_view text = spec.pieces[i].text;
    if (text.empty()) return fail(Code::bad_file, cat("the piece ", i, " is empty"));
    if (valid_utf8_prefix(text) != text.size()) {
      return fail(Code::bad_file, cat("the piece ", i, " (", quote(text), ") is not valid UTF-8"));
    }
    CORBEL_TRY(vocabulary.add(text, static_cast<std::int64_t>(i), "pieces"));
  }
  return vocabulary;
}

/// A pair may merge into an unused piece, which is cut again afterwards along the pair that was seen last. No
/// published model was found to need that.
Result<void> refuse_unused_merges(const SentencePieceSpec& spec, const Vocabulary& vocabulary) {
  for (const SentencePiece& piece : spec.pieces) {
    if (piece.type != PieceType::unused) continue;
    for (std::size_t at = utf8_at(piece.text.data()).bytes; at < piece.text.size();
         at += utf8_at(piece.text.data() + at).bytes) {
      if (vocabulary.find(piece.text.substr(0, at)) == kNoToken || vocabulary.find(piece.text.substr(at)) == kNoToken) {
        continue;
      }
      return fail(Code::unsupported,
                  cat("the piece ", quote(piece.text), " is of type unused, but two others merge into it (",
                      quote(piece.text.substr(0, at)), " and ", quote(piece.text.substr(at)),
                      "); BPE with such pieces is not supported"));
    }
  }
  return {};
}

/// Ranks by falling score; equal scores have one rank.
std::vector<BpeModel::RankedToken> rank_by_score(const std::vector<SentencePiece>& pieces) {
  std::vector<std::int32_t> order;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].type == PieceType::normal) order.push_back(static_cast<std::int32_t>(i));
  }
  const auto score = [&](std::int32_t id) { return pieces[static_cast<std::size_t>(id)].score; };
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) { return score(a) > score(b); });
  std::vector<BpeModel::RankedToken> ranked;
  ranked.reserve(order.size());
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && score(order[i]) != score(order[i - 1])) ++rank;
    ranked.push_back({order[i], rank});
  }
  return ranked;
}

Result<std::unique_ptr<TokenModel>> make_bpe(const SentencePieceSpec& spec, Vocabulary vocabulary,
                                             std::int32_t unknown_id) {
  CORBEL_TRY(refuse_unused_merges(spec, vocabulary));
  BpeModel::Options options;
  options.alphabet = BpeModel::Alphabet::characters;
  options.byte_fallback = spec.byte_fallback;
  options.fuse_unknown = true;
  options.unknown_id = unknown_id;
  auto model = std::make_unique<BpeModel>(std::move(vocabulary), std::move(options));
  if (spec.kind == Kind::bpe) CORBEL_TRY(model->add_every_split(rank_by_score(spec.pieces)));
  return Result<std::unique_ptr<TokenModel>>(std::move(model));
}

Result<std::unique_ptr<TokenModel>> make_unigram(const SentencePieceSpec& spec, Vocabulary vocabulary,
                                                 std::int32_t unknown_id) {
  using Role = UnigramModel::Role;
  std::vector<double> scores;
  std::vector<Role> roles;
  for (const SentencePiece& piece : spec.pieces) {
    scores.push_back(static_cast<double>(piece.score));
    roles.push_back(piece.type == PieceType::normal         ? Role::normal
                    : piece.type == PieceType::user_defined ? Role::user_defined
                                                            : Role::unmatched);
  }
  UnigramModel::Options options;
  options.unknown_id = unknown_id;
  options.byte_fallback = spec.byte_fallback;
  options.arithmetic = UnigramModel::Arithmetic::float_sums;
  CORBEL_ASSIGN(auto model, UnigramModel::make(std::move(vocabulary), std::move(scores), std::move(roles), options));
  return Result<std::unique_ptr<TokenModel>>(std::move(model));
}

Result<std::unique_ptr<TokenModel>> make_model(const SentencePieceSpec& spec) {
  CORBEL_ASSIGN(const std::int32_t unknown_id, find_unknown(spec));
  CORBEL_ASSIGN(Vocabulary vocabulary, make_vocabulary(spec));
  CORBEL_TRY(check_bytes(spec, vocabulary));
  switch (spec.kind) {
    case Kind::unigram: return make_unigram(spec, std::move(vocabulary), unknown_id);
    case Kind::bpe:
    case Kind::character: return make_bpe(spec, std::move(vocabulary), unknown_id);
    case Kind::word: break;
  }
  return fail(Code::unsupported, "\"model_type\" is WORD, which is not supported; UNIGRAM, BPE and CHAR are");
}

Result<std::unique_ptr<Tokenizer::Parts>> make_parts(const SentencePieceSpec& spec, const SentencePieceUse& use) {
  auto parts = std::make_unique<Tokenizer::Parts>();
  CORBEL_ASSIGN(parts->model, make_model(spec));
  parts->decoder = make_sentencepiece_decoder(spec, use);
  parts->post_processor = {use.before, use.after};
  std::vector<ByteTrie::Key> user_defined;
  for (std::size_t i = 0; i < spec.pieces.size(); ++i) {
    const SentencePiece& piece = spec.pieces[i];
    const auto id = static_cast<std::int32_t>(i);
    // Who matches control pieces in text matches the unknown piece, too; then both are special.
    const bool is_control =
        piece.type == PieceType::control || (piece.type == PieceType::unknown && use.control_in_text);
    if (piece.type == PieceType::user_defined) user_defined.push_back({piece.text, id});
    // Unigram weighs user-defined pieces against others; elsewhere they cut the text.
    const bool cuts = piece.type == PieceType::user_defined && spec.kind != Kind::unigram;
    if (!cuts && !is_control) continue;
    AddedToken token{.content = std::string(piece.text), .id = id, .normalized = cuts, .special = is_control};
    token.in_text = cuts || use.control_in_text;
    CORBEL_TRY(parts->add_token(std::move(token)));
  }
  // Before the normalizer is set: user-defined pieces are looked for as they are spelled.
  CORBEL_TRY(parts->finish());
  CORBEL_ASSIGN(parts->normalizer, SentencePieceNormalizer::make(spec, user_defined));
  return parts;
}

}  // namespace

Result<Tokenizer> make_sentencepiece_tokenizer(const SentencePieceSpec& spec, const SentencePieceUse& use,
                                               const std::string& source) {
  auto parts = make_parts(spec, use);
  if (!parts) return forward_failure(parts, source);
  return Tokenizer(*std::move(parts));
}

}  // namespace corbel
