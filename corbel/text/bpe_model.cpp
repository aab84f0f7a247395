#include "corbel/text/bpe_model.h"

#include <algorithm>

#include "corbel/base/cat.h"
#include "corbel/text/byte_chars.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

// Longer tokens are rare, and finding out that they are no token costs a hash of all their bytes.
constexpr std::size_t kMaxWholeBytes = 128;

/// The one character that `token` is; bytes is 0 where it is none or more.
Utf8Char only_char(std::string_view token) noexcept {
  if (token.empty() || token.size() > 4) return {};
  const Utf8Step step = utf8_step(token);
  if (step.state != Utf8State::complete || step.bytes != token.size()) return {};
  return utf8_at(token.data());
}

std::string fallback_token(int byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return cat("<0x", kDigits[static_cast<std::size_t>(byte >> 4)], kDigits[static_cast<std::size_t>(byte & 15)], ">");
}

}  // namespace

BpeModel::BpeModel(Vocabulary vocabulary, Options options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  find_symbols();
}

void BpeModel::find_symbols() {
  bytes_complete_ = true;
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    std::string spelled;
    append_spelled(spelled, {&raw, 1});
    const auto index = static_cast<std::size_t>(byte);
    byte_ids_[index] = vocabulary_.find(spelled);
    bytes_complete_ = bytes_complete_ && byte_ids_[index] != kNoToken;
    fallback_ids_[index] = vocabulary_.find(fallback_token(byte));
  }
  const auto new_page = [&] {
    char_pages_.emplace_back().fill(kNoToken);
    return static_cast<std::uint16_t>(char_pages_.size() - 1);
  };
  page_of_.assign(0x110000 >> 8, new_page());  // page 0 stays empty
  for (std::int32_t id = 0; id < vocabulary_.limit(); ++id) {
    const Utf8Char c = only_char(vocabulary_.text(id));
    if (c.bytes == 0) continue;
    std::uint16_t& page = page_of_[c.code >> 8];
    if (page == 0) page = new_page();
    char_pages_[page][c.code & 255] = id;
  }
}

Result<void> BpeModel::add_merge(std::string_view left, std::string_view right) {
  const TokenPair pair{left, right};
  return add_merges({&pair, 1});
}

Result<void> BpeModel::add_merges(std::span<const TokenPair> pairs) {
  // Every lookup waits for memory, so the waits of a batch are made to overlap, stage by stage.
  lookups_.clear();
  for (const TokenPair& pair : pairs) {
    lookups_.push_back({hash_bytes(pair.left), hash_bytes(pair.right)});
    vocabulary_.prefetch(lookups_.back().first);
    vocabulary_.prefetch(lookups_.back().second);
  }
  for (const auto& [left_hash, right_hash] : lookups_) {
    vocabulary_.prefetch_text(left_hash);
    vocabulary_.prefetch_text(right_hash);
  }
  found_.clear();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    CORBEL_ASSIGN(const FoundMerge found, find_merge(pairs[i], lookups_[i].first, lookups_[i].second));
    merges_.prefetch(found.left, found.right);
    found_.push_back(found);
  }
  for (const FoundMerge& found : found_) merges_.set(found.left, found.right, found.id, next_rank_++);
  return {};
}

Result<BpeModel::FoundMerge> BpeModel::find_merge(const TokenPair& pair, std::uint64_t left_hash,
                                                  std::uint64_t right_hash) {
  const auto absent = [&](std::string_view what, std::string_view token) {
    return fail(Code::bad_file, cat("merge ", next_rank_ + found_.size(), " (\"", pair.left.substr(0, 80), "\" \"",
                                    pair.right.substr(0, 80), "\") needs the ", what, " \"", token.substr(0, 160),
                                    "\", which the vocabulary does not have"));
  };
  FoundMerge found;
  found.left = vocabulary_.find(pair.left, left_hash);
  if (found.left == kNoToken) return absent("token", pair.left);
  found.right = vocabulary_.find(pair.right, right_hash);
  if (found.right == kNoToken) return absent("token", pair.right);
  // The mark of a continued word stands once in the result. Its length counts whatever the right side begins with.
  if (pair.right.size() < options_.continuing_prefix.size()) return absent("prefix in", pair.right);
  joined_.assign(pair.left);
  joined_.append(pair.right.substr(options_.continuing_prefix.size()));
  // Trainers number tokens in the order of merges: the same id or the next is nearly always right, and no search.
  found.id = last_merged_id_;
  if (!vocabulary_.is(found.id, joined_)) ++found.id;
  if (!vocabulary_.is(found.id, joined_)) found.id = vocabulary_.find(joined_);
  if (found.id == kNoToken) return absent("result", joined_);
  last_merged_id_ = found.id;
  return found;
}

Result<void> BpeModel::add_ranked_merge(std::int32_t left, std::int32_t right, std::int32_t result,
                                        std::uint32_t rank) {
  for (const std::int32_t id : {left, right, result}) {
    if (!vocabulary_.has(id)) {
      return fail(Code::bad_file, cat("the merge of ", left, " and ", right, " into ", result, " needs the token ", id,
                                      ", which the vocabulary does not have"));
    }
  }
  const std::string_view whole = vocabulary_.text(result);
  const std::string_view head = vocabulary_.text(left);
  const std::string_view tail = vocabulary_.text(right);
  const bool joins = whole.size() == head.size() + tail.size() && whole.starts_with(head) && whole.ends_with(tail);
  seams_hold_ = seams_hold_ && joins;
  merges_.set(left, right, result, std::min(rank, BpeMerges::kNoRank - 1));
  return {};
}

Result<void> BpeModel::add_every_split(std::span<const RankedToken> tokens) {
  struct Split {
    std::string_view left;
    std::string_view right;
    std::uint64_t left_hash;
    std::uint64_t right_hash;
    RankedToken token;
  };
  // Lookups wait for memory; made in batches, they wait together.
  constexpr std::size_t kBatch = 64;
  std::vector<Split> batch;
  batch.reserve(kBatch);
  const auto flush = [&] {
    for (const Split& split : batch) {
      const std::int32_t left = vocabulary_.find(split.left, split.left_hash);
      if (left == kNoToken) continue;
      const std::int32_t right = vocabulary_.find(split.right, split.right_hash);
      if (right != kNoToken) merges_.set(left, right, split.token.id, split.token.rank);
    }
    batch.clear();
  };
  merges_.reserve(merges_.size() + tokens.size() * 2);
  for (const RankedToken token : tokens) {
    if (!vocabulary_.has(token.id)) {
      return fail(Code::bad_file, cat("rank ", token.rank, " is given to the token ", token.id,
                                      ", which the vocabulary does not have"));
    }
    const std::string_view text = vocabulary_.text(token.id);
    for (std::size_t at = 1; at < text.size(); ++at) {
      if ((static_cast<std::uint8_t>(text[at]) & 0xC0) == 0x80) continue;
      const Split split = {text.substr(0, at),
                           text.substr(at),
                           hash_bytes(text.substr(0, at)),
                           hash_bytes(text.substr(at)),
                           {token.id, std::min(token.rank, BpeMerges::kNoRank - 1)}};
      vocabulary_.prefetch(split.left_hash);
      vocabulary_.prefetch(split.right_hash);
      batch.push_back(split);
      if (batch.size() == kBatch) flush();
    }
  }
  flush();
  return {};
}

bool BpeModel::save_tables(FlatWriter& to) const {
  vocabulary_.save(to);
  merges_.save(to);
  seams_.save(to);
  return true;
}

Result<std::unique_ptr<BpeModel>> BpeModel::load(FlatReader& from, Vocabulary vocabulary, Options options) {
  auto model = std::make_unique<BpeModel>(std::move(vocabulary), std::move(options));
  CORBEL_ASSIGN(model->merges_, BpeMerges::load(from, model->vocabulary_));
  CORBEL_ASSIGN(model->seams_, Seams::load(from));
  model->seams_hold_ = !model->seams_.empty();
  return model;
}

void BpeModel::finish() {
  const auto limit = static_cast<std::size_t>(vocabulary_.limit());
  closed_ = std::make_unique<std::atomic<Closed>[]>(limit);
  if (!seams_hold_ || !joins_text() || !seams_.empty()) return;
  seams_.clear();
  std::string bytes;
  for (std::int32_t id = 0; id < vocabulary_.limit(); ++id) {
    const std::string_view token = vocabulary_.text(id);
    if (options_.alphabet == Alphabet::characters) {
      seams_.add_token(token);
      continue;
    }
    bytes.clear();
    if (append_unspelled(bytes, token)) seams_.add_token(bytes);
  }
}

Result<void> BpeModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (options_.ignore_merges) {
    if (const std::int32_t whole = find_whole(piece); whole != kNoToken) {
      ids.push_back(whole);
      return {};
    }
  }
  return encode_part(piece, ids);
}

Result<void> BpeModel::encode_part(std::string_view part, std::vector<std::int32_t>& ids) const {
  std::atomic<Closed>* closed = nullptr;
  std::int32_t whole = kNoToken;
  if (closed_ != nullptr && joins_text() && part.size() <= kMaxWholeBytes) {
    whole = find_whole(part);
    if (whole != kNoToken) {
      closed = &closed_[static_cast<std::size_t>(whole)];
      if (closed->load(std::memory_order_relaxed) == Closed::yes) {
        ids.push_back(whole);
        return {};
      }
    }
  }
  const std::size_t first = ids.size();
  append_symbols(part, ids);
  ids.resize(first + merges_.merge(ids.data() + first, ids.size() - first));
  if (closed != nullptr && closed->load(std::memory_order_relaxed) == Closed::unknown) {
    const bool same = ids.size() == first + 1 && ids.back() == whole;
    closed->store(same ? Closed::yes : Closed::no, std::memory_order_relaxed);
  }
  return {};
}

std::int32_t BpeModel::find_whole(std::string_view piece) const {
  if (options_.alphabet == Alphabet::characters) return vocabulary_.find(piece);
  if (piece.size() > kMaxWholeBytes) {
    std::string spelled;
    append_spelled(spelled, piece);
    return vocabulary_.find(spelled);
  }
  char spelled[2 * kMaxWholeBytes];
  return vocabulary_.find({spelled, spell(piece, spelled)});
}

std::int32_t BpeModel::char_id(char32_t code) const noexcept { return char_pages_[page_of_[code >> 8]][code & 255]; }

void BpeModel::append_symbols(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (options_.alphabet == Alphabet::characters) return append_char_symbols(piece, ids);
  const bool by_byte = bytes_complete_ || (!options_.fuse_unknown && !options_.byte_fallback);
  if (!by_byte || !joins_text()) {
    std::string spelled;
    append_spelled(spelled, piece);
    return append_char_symbols(spelled, ids);
  }
  const std::size_t first = ids.size();
  ids.resize(first + piece.size());
  std::int32_t* out = ids.data() + first;
  for (const char c : piece) {
    const std::int32_t id = byte_ids_[static_cast<std::uint8_t>(c)];
    *out = id != kNoToken ? id : options_.unknown_id;
    out += *out != kNoToken ? 1 : 0;
  }
  ids.resize(static_cast<std::size_t>(out - ids.data()));
}

void BpeModel::append_char_symbols(std::string_view spelled, std::vector<std::int32_t>& ids) const {
  bool unknown_waits = false;  // an unknown token that the next one may join. Bytes overtake it, as in Hugging Face's
  std::string marked;
  for (std::size_t at = 0; at < spelled.size();) {
    const Utf8Char c = utf8_at(spelled.data() + at);
    std::string_view symbol = spelled.substr(at, c.bytes);
    std::int32_t id = kNoToken;
    if (joins_text()) {
      id = char_id(c.code);
    } else {
      marked.assign(at > 0 ? options_.continuing_prefix : std::string());
      marked.append(symbol);
      if (at + c.bytes == spelled.size()) marked.append(options_.end_suffix);
      symbol = marked;
      id = vocabulary_.find(symbol);
    }
    at += c.bytes;
    if (id != kNoToken) {
      if (unknown_waits) ids.push_back(options_.unknown_id);
      unknown_waits = false;
      ids.push_back(id);
    } else if (!append_fallback(symbol, ids) && options_.unknown_id != kNoToken) {
      if (unknown_waits && !options_.fuse_unknown) ids.push_back(options_.unknown_id);
      unknown_waits = true;
    }
  }
  if (unknown_waits) ids.push_back(options_.unknown_id);
}

bool BpeModel::append_fallback(std::string_view symbol, std::vector<std::int32_t>& ids) const {
  if (!options_.byte_fallback) return false;
  const std::size_t first = ids.size();
  for (const char byte : symbol) {
    const std::int32_t id = fallback_ids_[static_cast<std::uint8_t>(byte)];
    if (id == kNoToken) {
      ids.resize(first);
      return false;
    }
    ids.push_back(id);
  }
  return true;
}

bool BpeModel::knows_both_sides(std::string_view piece, std::size_t at) const noexcept {
  if (options_.alphabet == Alphabet::characters) {
    return char_id(utf8_at(piece.data() + at).code) != kNoToken &&
           char_id(utf8_before(piece.data() + at).code) != kNoToken;
  }
  if (bytes_complete_) return true;
  const auto known = [&](std::size_t i) { return byte_ids_[static_cast<std::uint8_t>(piece[i])] != kNoToken; };
  const auto continues = [&](std::size_t i) { return (static_cast<std::uint8_t>(piece[i]) & 0xC0) == 0x80; };
  std::size_t before = at - 1;
  while (known(before) && continues(before) && before > 0) --before;
  std::size_t after = at + 1;
  while (after < piece.size() && continues(after) && known(after)) ++after;
  return known(before) && known(at) && (after == piece.size() || !continues(after));
}

std::size_t BpeModel::cut(std::string_view piece, std::span<std::uint32_t> ends) const noexcept {
  std::size_t count = 0;
  if (!seams_.empty()) {
    for (std::size_t at = 1; at < piece.size(); ++at) {
      // Beside a symbol without a token of its own neighbours are not what they seem: it may vanish, wait, become
      // bytes.
      if (!seams_.is_seam(piece, at) || !knows_both_sides(piece, at)) continue;
      ends[count++] = static_cast<std::uint32_t>(at);
      if (count == ends.size()) return count;
    }
  }
  ends[count++] = static_cast<std::uint32_t>(piece.size());
  return count;
}

}  // namespace corbel
