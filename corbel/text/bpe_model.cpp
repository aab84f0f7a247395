#include "corbel/text/bpe_model.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "corbel/base/cat.h"
#include "corbel/text/byte_chars.h"

namespace corbel {
namespace {

// Above this many symbols a heap beats scanning all ranks again after every merge.
constexpr std::size_t kShortSymbols = 48;

}  // namespace

BpeModel::BpeModel(Vocabulary vocabulary, Options options)
    : vocabulary_(std::move(vocabulary)), options_(options), merges_(64) {
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    std::string spelled;
    append_spelled(spelled, {&raw, 1});
    const std::int32_t id = vocabulary_.find(spelled);
    byte_ids_[static_cast<std::size_t>(byte)] = id == kNoToken ? options_.unknown_id : id;
  }
}

void BpeModel::reserve_merges(std::size_t count) { grow(std::bit_ceil(count * 4 / 3 + 64)); }

std::size_t BpeModel::slot_of(std::uint64_t pair) const noexcept {
  const std::size_t mask = merges_.size() - 1;
  std::uint64_t hash = pair * 0x9E3779B97F4A7C15ULL;  // Fibonacci hashing; the upper half carries the spread
  hash ^= hash >> 32;
  std::size_t at = hash & mask;
  while (merges_[at].pair != pair && merges_[at].pair != kNoPair) at = (at + 1) & mask;
  return at;
}

void BpeModel::grow(std::size_t slots) {
  if (slots <= merges_.size()) return;
  std::vector<Merge> old(slots);
  old.swap(merges_);
  for (const Merge& merge : old) {
    if (merge.pair != kNoPair) merges_[slot_of(merge.pair)] = merge;
  }
}

Result<void> BpeModel::add_merge(std::string_view left, std::string_view right) {
  const auto absent = [&](std::string_view what, std::string_view token) {
    return fail(Code::bad_file,
                cat("merge ", next_rank_, " (\"", left.substr(0, 80), "\" \"", right.substr(0, 80), "\") needs the ",
                    what, " \"", token.substr(0, 160), "\", which the vocabulary does not have"));
  };
  const std::int32_t left_id = vocabulary_.find(left);
  if (left_id == kNoToken) return absent("token", left);
  const std::int32_t right_id = vocabulary_.find(right);
  if (right_id == kNoToken) return absent("token", right);
  joined_.assign(left);
  joined_.append(right);
  // Trainers number tokens in the order of merges: the next id is nearly always right, and costs no search.
  std::int32_t id = last_merged_id_ + 1;
  if (!vocabulary_.is(id, joined_)) id = vocabulary_.find(joined_);
  if (id == kNoToken) return absent("result", joined_);
  last_merged_id_ = id;
  if ((merge_count_ + 1) * 4 > merges_.size() * 3) grow(merges_.size() * 2);
  Merge& merge = merges_[slot_of(pair_of(left_id, right_id))];
  if (merge.pair == kNoPair) ++merge_count_;
  merge = {pair_of(left_id, right_id), next_rank_++, id};
  return {};
}

Result<void> BpeModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (options_.ignore_merges) {
    std::string spelled;
    append_spelled(spelled, piece);
    if (const std::int32_t whole = vocabulary_.find(spelled); whole != kNoToken) {
      ids.push_back(whole);
      return {};
    }
  }
  const std::size_t first = ids.size();
  first_symbols(piece, ids);
  const std::size_t count = ids.size() - first;
  std::int32_t* symbols = ids.data() + first;
  ids.resize(first + (count <= kShortSymbols ? merge_short(symbols, count) : merge_long(symbols, count)));
  return {};
}

void BpeModel::first_symbols(std::string_view piece, std::vector<std::int32_t>& ids) const {
  for (const char c : piece) {
    const std::int32_t id = byte_ids_[static_cast<std::uint8_t>(c)];
    if (id != kNoToken) ids.push_back(id);
  }
}

std::size_t BpeModel::merge_short(std::int32_t* ids, std::size_t count) const noexcept {
  if (count < 2) return count;
  const Merge* best_of[kShortSymbols];  // best_of[i]: the merge of symbols i and i + 1
  for (std::size_t i = 0; i + 1 < count; ++i) best_of[i] = &merge_of(ids[i], ids[i + 1]);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (best_of[i]->rank < best_of[best]->rank) best = i;
    }
    if (best_of[best]->rank == kNoRank) break;
    ids[best] = best_of[best]->id;
    --count;
    for (std::size_t i = best + 1; i < count; ++i) {
      ids[i] = ids[i + 1];
      best_of[i - 1] = best_of[i];
    }
    if (best + 1 < count) best_of[best] = &merge_of(ids[best], ids[best + 1]);
    if (best > 0) best_of[best - 1] = &merge_of(ids[best - 1], ids[best]);
  }
  return count;
}

std::size_t BpeModel::merge_long(std::int32_t* ids, std::size_t count) const {
  struct Candidate {
    std::uint32_t rank;
    std::int32_t at;  // the left symbol
    std::int32_t left;
    std::int32_t right;  // ids when the candidate was made: a candidate whose symbols have changed is dropped
    bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  std::vector<Symbol> symbols(count);
  std::vector<Candidate> heap;
  heap.reserve(count);
  const auto candidate = [&](std::int32_t at, auto&& push) {
    const Symbol& left = symbols[static_cast<std::size_t>(at)];
    if (left.next < 0) return;
    const std::int32_t right = symbols[static_cast<std::size_t>(left.next)].id;
    const Merge& merge = merge_of(left.id, right);
    if (merge.rank != kNoRank) push(Candidate{merge.rank, at, left.id, right});
  };
  for (std::size_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::int32_t>(i);
    symbols[i] = {ids[i], at - 1, i + 1 < count ? at + 1 : -1};
  }
  for (std::size_t i = 0; i + 1 < count; ++i) {
    candidate(static_cast<std::int32_t>(i), [&](const Candidate& made) { heap.push_back(made); });
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>{}, std::move(heap));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<std::size_t>(top.at)];
    if (left.id != top.left || left.next < 0 || symbols[static_cast<std::size_t>(left.next)].id != top.right) continue;
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    left.id = merge_of(top.left, top.right).id;
    left.next = right.next;
    right.id = kNoToken;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = top.at;
    candidate(top.at, [&](const Candidate& made) { queue.push(made); });
    if (left.previous >= 0) candidate(left.previous, [&](const Candidate& made) { queue.push(made); });
  }
  std::size_t kept = 0;
  for (std::int32_t at = 0; at >= 0; at = symbols[static_cast<std::size_t>(at)].next) {
    ids[kept++] = symbols[static_cast<std::size_t>(at)].id;
  }
  return kept;
}

}  // namespace corbel
