#include "corbel/text/tokenizer.h"

#include <algorithm>
#include <array>

#include "corbel/base/cat.h"
#include "corbel/text/tokenizer_parts.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

// Span offsets have 32 bits, and normalizing may make a text longer.
constexpr std::size_t kMaxTextBytes = 1 << 30;

/// One call of encode().
class Encoding {
 public:
  Encoding(const Tokenizer::Parts& parts, const EncodeOptions& options, std::size_t text_bytes)
      : parts_(parts), options_(options), cache_(parts.piece_caches.take()) {
    ids_.reserve(text_bytes / 4 + 16);
  }
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;
  ~Encoding() { parts_.piece_caches.give_back(std::move(cache_)); }

  Result<void> run(std::string_view text) {
    if (options_.add_special_tokens) append(parts_.post_processor.before);
    std::vector<Stretch> stretches;
    const bool control = options_.parse_control && !parts_.control_matcher.empty();
    const AddedTokenMatcher& matcher = control ? parts_.control_matcher : parts_.raw_matcher;
    cut_at_added_tokens(text, matcher, parts_.added, !options_.parse_special, stretches);
    for (const Stretch& stretch : stretches) {
      if (stretch.token >= 0) {
        ids_.push_back(parts_.added[static_cast<std::size_t>(stretch.token)].id);
      } else {
        const std::uint32_t begin = stretch.span.begin;
        CORBEL_TRY(normalize(text.substr(begin, stretch.span.end - begin), begin == 0));
      }
    }
    if (options_.add_special_tokens) append(parts_.post_processor.after);
    return {};
  }

  std::vector<std::int32_t> take() { return std::move(ids_); }

 private:
  void append(const std::vector<std::int32_t>& ids) { ids_.insert(ids_.end(), ids.begin(), ids.end()); }

  Result<void> normalize(std::string_view text, bool at_start) {
    std::string owned;
    if (parts_.normalizer != nullptr) {
      at_start = at_start && parts_.pre_tokenizer != nullptr && parts_.pre_tokenizer->asks_for_start() &&
                 !parts_.normalizer->drops_front(text);
      CORBEL_ASSIGN(const bool changed, parts_.normalizer->normalize(text, owned));
      if (changed) text = owned;
    }
    std::vector<Stretch> stretches;
    cut_at_added_tokens(text, parts_.normalized_matcher, parts_.added, !options_.parse_special, stretches);
    for (const Stretch& stretch : stretches) {
      if (stretch.token >= 0) {
        ids_.push_back(parts_.added[static_cast<std::size_t>(stretch.token)].id);
      } else {
        const std::uint32_t begin = stretch.span.begin;
        CORBEL_TRY(encode_pieces(text.substr(begin, stretch.span.end - begin), at_start && begin == 0));
      }
    }
    return {};
  }

  Result<void> encode_pieces(std::string_view text, bool at_start) {
    Pieces pieces;
    pieces.at_start = at_start;
    pieces.text = text;
    pieces.spans.push_back({0, static_cast<std::uint32_t>(text.size())});
    if (parts_.pre_tokenizer != nullptr) CORBEL_TRY(parts_.pre_tokenizer->cut(pieces));
    const char* const end = pieces.text.data() + pieces.text.size();
    for (const Span span : pieces.spans) {
      CORBEL_TRY(encode_piece(pieces.text.substr(span.begin, span.end - span.begin), end));
    }
    return {};
  }

  Result<void> encode_piece(std::string_view piece, const char* readable_end) {
    if (piece.size() > PieceCache::kMaxBytes) return encode_in_parts(piece, readable_end);
    const PieceCache::Key key = PieceCache::key_of(piece, readable_end, 0);
    if (append_known(key)) return {};
    const std::size_t first = ids_.size();
    CORBEL_TRY(encode_in_parts(piece, readable_end));
    cache_->keep(key, std::span(ids_).subspan(first));
    return {};
  }

  Result<void> encode_in_parts(std::string_view piece, const char* readable_end) {
    std::array<std::uint32_t, 64> ends;
    std::size_t count = parts_.model->cut(piece, ends);
    if (ends[0] == piece.size()) return parts_.model->encode(piece, ids_);
    while (true) {
      std::uint32_t begin = 0;
      for (std::size_t i = 0; i < count; ++i) {
        CORBEL_TRY(encode_part(piece.substr(begin, ends[i] - begin), readable_end));
        begin = ends[i];
      }
      piece.remove_prefix(begin);
      if (piece.empty()) return {};
      count = parts_.model->cut(piece, ends);
    }
  }

  Result<void> encode_part(std::string_view part, const char* readable_end) {
    if (part.size() > PieceCache::kMaxBytes) return parts_.model->encode_part(part, ids_);
    const PieceCache::Key key = PieceCache::key_of(part, readable_end, 1);
    if (append_known(key)) return {};
    const std::size_t first = ids_.size();
    CORBEL_TRY(parts_.model->encode_part(part, ids_));
    cache_->keep(key, std::span(ids_).subspan(first));
    return {};
  }

  bool append_known(PieceCache::Key key) {
    const std::span<const std::int32_t> known = cache_->find(key);
    if (known.data() == nullptr) return false;
    for (const std::int32_t id : known) ids_.push_back(id);
    return true;
  }

  const Tokenizer::Parts& parts_;
  EncodeOptions options_;
  std::unique_ptr<PieceCache> cache_;
  std::vector<std::int32_t> ids_;
};

}  // namespace

Result<void> Tokenizer::Parts::add_token(AddedToken token) {
  const Vocabulary& vocabulary = model->vocabulary();
  if (token.content.empty()) return {};
  if (token.id < 0 || token.id >= Vocabulary::kMaxTokens) {
    return fail(Code::bad_file, cat("\"", token.content, "\" has the id ", token.id, "; ids must be between 0 and ",
                                    Vocabulary::kMaxTokens - 1));
  }
  const std::int32_t known = vocabulary.find(token.content);
  if (known != kNoToken && known != token.id) {
    return fail(Code::bad_file,
                cat("\"", token.content, "\" has the id ", token.id, ", but the vocabulary says ", known));
  }
  if (known == kNoToken && vocabulary.has(token.id)) {
    return fail(Code::bad_file, cat("\"", token.content, "\" has the id ", token.id,
                                    ", which the vocabulary gives to \"", vocabulary.text(token.id), "\""));
  }
  const auto index = static_cast<std::int32_t>(added.size());
  const auto by_id = added_by_id.try_emplace(token.id, index);
  const auto by_text = added_by_text.try_emplace(token.content, index);
  if (!by_id.second || !by_text.second) {
    const std::int32_t other = by_id.second ? by_text.first->second : by_id.first->second;
    return fail(Code::bad_file, cat("\"", token.content, "\" (id ", token.id, ") clashes with \"",
                                    added[static_cast<std::size_t>(other)].content, "\" (id ",
                                    added[static_cast<std::size_t>(other)].id, ")"));
  }
  if (token.special) special_ids.insert(std::upper_bound(special_ids.begin(), special_ids.end(), token.id), token.id);
  vocab_size = std::max(vocab_size, token.id + 1);
  added.push_back(std::move(token));
  return {};
}

Result<void> Tokenizer::Parts::finish() {
  model->finish();
  vocab_size = std::max(vocab_size, model->vocabulary().limit());
  const bool all_in_text = std::all_of(added.begin(), added.end(), [](const AddedToken& one) { return one.in_text; });
  for (std::size_t i = 0; i < added.size(); ++i) {
    const auto index = static_cast<std::int32_t>(i);
    if (!added[i].normalized) {
      if (added[i].in_text) raw_matcher.add(added[i].content, index);
      if (!all_in_text) control_matcher.add(added[i].content, index);
      continue;
    }
    std::string owned;
    bool changed = false;
    if (normalizer != nullptr) {
      CORBEL_ASSIGN(changed, normalizer->normalize(added[i].content, owned));
    }
    normalized_matcher.add(changed ? owned : added[i].content, index);
  }
  return make_decode_table();
}

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<std::vector<std::int32_t>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > kMaxTextBytes) {
    return fail(Code::bad_request, cat("cannot encode ", text.size(), " bytes of text; the limit is ", kMaxTextBytes));
  }
  std::string replaced;
  if (const std::size_t valid = valid_utf8_prefix(text); valid < text.size()) {
    if (options.invalid_utf8 == InvalidUtf8::refuse) {
      return fail(Code::bad_request,
                  cat("cannot encode text: it is not valid UTF-8 at byte ", valid, " of ", text.size(), " (found ",
                      static_cast<int>(static_cast<std::uint8_t>(text[valid])), ")"));
    }
    replaced = replace_invalid_utf8(text);
    text = replaced;
  }
  Encoding encoding(*parts_, options, text.size());
  CORBEL_TRY(encoding.run(text));
  return encoding.take();
}

std::string_view Tokenizer::piece(std::int32_t id) const noexcept {
  const auto found = parts_->added_by_id.find(id);
  if (found != parts_->added_by_id.end()) return parts_->added[static_cast<std::size_t>(found->second)].content;
  return parts_->model->vocabulary().text(id);
}

std::int32_t Tokenizer::id_of(std::string_view token) const noexcept {
  for (const AddedToken& added : parts_->added) {
    if (added.content == token) return added.id;
  }
  return parts_->model->vocabulary().find(token);
}

std::int32_t Tokenizer::vocab_size() const noexcept { return parts_->vocab_size; }

bool Tokenizer::has(std::int32_t id) const noexcept {
  return parts_->model->vocabulary().has(id) || parts_->added_by_id.contains(id);
}

bool Tokenizer::is_special(std::int32_t id) const noexcept {
  return std::binary_search(parts_->special_ids.begin(), parts_->special_ids.end(), id);
}

std::span<const std::int32_t> Tokenizer::special_ids() const noexcept { return parts_->special_ids; }
std::span<const AddedToken> Tokenizer::added_tokens() const noexcept { return parts_->added; }

}  // namespace corbel
