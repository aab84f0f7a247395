#include "corbel/text/tokenizer.h"

#include <algorithm>
#include <bit>

#include "corbel/base/cat.h"
#include "corbel/text/tokenizer_parts.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

// Span offsets have 32 bits, and normalizing may make a text longer.
constexpr std::size_t kMaxTextBytes = 1 << 30;
constexpr std::size_t kMaxCachedBytes = 64;

/// Remembers where the ids of a piece stand in the output, so that a word is encoded once per text.
class PieceCache {
 public:
  struct Entry {
    const char* at = nullptr;
    std::uint32_t bytes = 0;
    std::uint32_t generation = 0;
    std::uint32_t first = 0;  // position in the output
    std::uint32_t count = 0;
    bool holds(std::string_view piece, std::uint32_t now) const noexcept {
      return generation == now && std::string_view(at, bytes) == piece;
    }
  };

  explicit PieceCache(std::size_t text_bytes)
      : entries_(std::bit_ceil(std::clamp<std::size_t>(text_bytes / 32, 16, 1 << 14))) {}

  Entry& slot(std::string_view piece) noexcept { return entries_[hash_bytes(piece) & (entries_.size() - 1)]; }
  std::uint32_t generation() const noexcept { return generation_; }
  /// The bytes that entries point to are about to go.
  void forget() noexcept { ++generation_; }

 private:
  std::vector<Entry> entries_;
  std::uint32_t generation_ = 1;
};

/// One call of encode().
class Encoding {
 public:
  Encoding(const Tokenizer::Parts& parts, const EncodeOptions& options, std::size_t text_bytes)
      : parts_(parts), options_(options), cache_(text_bytes) {
    ids_.reserve(text_bytes / 4 + 16);
  }

  Result<void> run(std::string_view text) {
    if (options_.add_special_tokens) append(parts_.post_processor.before);
    std::vector<Stretch> stretches;
    cut_at_added_tokens(text, parts_.raw_matcher, parts_.added, !options_.parse_special, stretches);
    for (const Stretch& stretch : stretches) {
      if (stretch.token >= 0) {
        ids_.push_back(parts_.added[static_cast<std::size_t>(stretch.token)].id);
      } else {
        CORBEL_TRY(normalize(text.substr(stretch.span.begin, stretch.span.end - stretch.span.begin)));
      }
    }
    if (options_.add_special_tokens) append(parts_.post_processor.after);
    return {};
  }

  std::vector<std::int32_t> take() { return std::move(ids_); }

 private:
  void append(const std::vector<std::int32_t>& ids) { ids_.insert(ids_.end(), ids.begin(), ids.end()); }

  Result<void> normalize(std::string_view text) {
    std::string owned;
    if (parts_.normalizer != nullptr) {
      CORBEL_ASSIGN(const bool changed, parts_.normalizer->normalize(text, owned));
      if (changed) text = owned;
    }
    std::vector<Stretch> stretches;
    cut_at_added_tokens(text, parts_.normalized_matcher, parts_.added, !options_.parse_special, stretches);
    for (const Stretch& stretch : stretches) {
      if (stretch.token >= 0) {
        ids_.push_back(parts_.added[static_cast<std::size_t>(stretch.token)].id);
      } else {
        CORBEL_TRY(encode_pieces(text.substr(stretch.span.begin, stretch.span.end - stretch.span.begin)));
      }
    }
    if (text.data() == owned.data()) cache_.forget();
    return {};
  }

  Result<void> encode_pieces(std::string_view text) {
    Pieces pieces;
    pieces.text = text;
    pieces.spans.push_back({0, static_cast<std::uint32_t>(text.size())});
    if (parts_.pre_tokenizer != nullptr) CORBEL_TRY(parts_.pre_tokenizer->cut(pieces));
    for (const Span span : pieces.spans) {
      CORBEL_TRY(encode_piece(pieces.text.substr(span.begin, span.end - span.begin)));
    }
    if (pieces.text.data() != text.data()) cache_.forget();
    return {};
  }

  Result<void> encode_piece(std::string_view piece) {
    if (piece.size() > kMaxCachedBytes) return parts_.model->encode(piece, ids_);
    PieceCache::Entry& entry = cache_.slot(piece);
    if (entry.holds(piece, cache_.generation())) {
      const std::size_t first = entry.first;
      for (std::size_t i = first; i < first + entry.count; ++i) ids_.push_back(ids_[i]);
      return {};
    }
    const auto first = static_cast<std::uint32_t>(ids_.size());
    CORBEL_TRY(parts_.model->encode(piece, ids_));
    entry = {piece.data(), static_cast<std::uint32_t>(piece.size()), cache_.generation(), first,
             static_cast<std::uint32_t>(ids_.size()) - first};
    return {};
  }

  const Tokenizer::Parts& parts_;
  EncodeOptions options_;
  PieceCache cache_;
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
  vocab_size = std::max(vocab_size, model->vocabulary().limit());
  for (std::size_t i = 0; i < added.size(); ++i) {
    const auto index = static_cast<std::int32_t>(i);
    if (!added[i].normalized) {
      raw_matcher.add(added[i].content, index);
      continue;
    }
    std::string owned;
    bool changed = false;
    if (normalizer != nullptr) {
      CORBEL_ASSIGN(changed, normalizer->normalize(added[i].content, owned));
    }
    normalized_matcher.add(changed ? owned : added[i].content, index);
  }
  return {};
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

void Tokenizer::append_bytes(std::int32_t id, bool first, std::string& bytes) const {
  if (has(id)) parts_->decoder->append(piece(id), first, bytes);
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, DecodeOptions options) const {
  std::string bytes;
  bool first = true;
  for (const std::int32_t id : ids) {
    if (!has(id) || (options.skip_special && is_special(id))) continue;
    append_bytes(id, first, bytes);
    first = false;
  }
  return valid_utf8_prefix(bytes) == bytes.size() ? bytes : replace_invalid_utf8(bytes);
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

std::string StreamDecoder::push(std::int32_t id) {
  if (!tokenizer_->has(id) || (options_.skip_special && tokenizer_->is_special(id))) return {};
  tokenizer_->append_bytes(id, first_, held_);
  first_ = false;
  std::string text;
  std::string_view left = held_;
  while (!left.empty()) {
    const Utf8Step step = utf8_step(left);
    if (step.state == Utf8State::unfinished) break;
    if (step.state == Utf8State::complete) {
      text.append(left.substr(0, step.bytes));
    } else {
      text.append("\xEF\xBF\xBD");
    }
    left.remove_prefix(step.bytes);
  }
  held_.erase(0, held_.size() - left.size());
  return text;
}

std::string StreamDecoder::finish() {
  first_ = true;
  return replace_invalid_utf8(std::exchange(held_, {}));
}

}  // namespace corbel
