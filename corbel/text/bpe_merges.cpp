#include "corbel/text/bpe_merges.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <queue>

namespace corbel {
namespace {

// Above this many symbols a heap beats scanning all ranks again after every merge.
constexpr std::size_t kShortSymbols = 48;
// Above this many, a list per rank beats the heap: clearing the heads of the lists is then the smaller part.
constexpr std::size_t kHeapSymbols = 4096;
constexpr std::uint32_t kMaxListedRank = 1 << 22;

struct Symbol {
  std::int32_t id = kNoToken;
  std::int32_t previous = -1;
  std::int32_t next = -1;
};

/// The places that wait for each rank, in lists through one pool of nodes.
class RankLists {
 public:
  explicit RankLists(std::uint32_t ranks) : heads_(ranks, -1) {}

  void add(std::uint32_t rank, std::int32_t at) {
    if (heads_[rank] < 0) waiting_.push(rank);
    std::int32_t node = free_;
    if (node < 0) {
      node = static_cast<std::int32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      free_ = nodes_[static_cast<std::size_t>(node)].next;
    }
    nodes_[static_cast<std::size_t>(node)] = {at, heads_[rank]};
    heads_[rank] = node;
  }

  bool empty() const noexcept { return waiting_.empty(); }
  std::uint32_t lowest() const noexcept { return waiting_.top(); }

  /// Takes the places that wait for the lowest rank, ascending.
  void take_lowest(std::vector<std::int32_t>& places) {
    const std::uint32_t rank = waiting_.top();
    waiting_.pop();
    places.clear();
    for (std::int32_t node = heads_[rank]; node >= 0;) {
      const Node taken = nodes_[static_cast<std::size_t>(node)];
      places.push_back(taken.at);
      nodes_[static_cast<std::size_t>(node)].next = free_;
      free_ = node;
      node = taken.next;
    }
    heads_[rank] = -1;
    std::ranges::reverse(places);  // they came from left to right, nearly always
    if (!std::ranges::is_sorted(places)) std::ranges::sort(places);
  }

 private:
  struct Node {
    std::int32_t at = 0;
    std::int32_t next = -1;
  };
  std::vector<std::int32_t> heads_;  // per rank
  std::vector<Node> nodes_;
  std::int32_t free_ = -1;
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> waiting_;
};

/// Symbols that merge: the id, the neighbours, and the merge with the right neighbour.
struct Place {
  std::int32_t id = kNoToken;  // kNoToken: merged into the one before
  std::int32_t previous = -1;
  std::int32_t next = -1;
  std::uint32_t rank = BpeMerges::kNoRank;
  std::int32_t merged_id = kNoToken;
};

}  // namespace

void BpeMerges::reserve(std::size_t count) { grow(std::bit_ceil(count * 4 / 3 + 64)); }

void BpeMerges::grow(std::size_t slots) {
  if (slots <= slots_.size()) return;
  std::vector<Merge> old(slots);
  old.swap(slots_);
  for (const Merge& merge : old) {
    if (merge.pair != kNoPair) slots_[slot_of(merge.pair)] = merge;
  }
}

void BpeMerges::set(std::int32_t left, std::int32_t right, std::int32_t id, std::uint32_t rank) {
  if ((size_ + 1) * 4 > slots_.size() * 3) grow(slots_.size() * 2);
  const std::uint64_t pair = pair_of(left, right);
  Merge& merge = slots_[slot_of(pair)];
  if (merge.pair == kNoPair) ++size_;
  merge = {pair, rank, id};
  rank_limit_ = std::max(rank_limit_, rank + 1);
}

Result<BpeMerges> BpeMerges::load(FlatReader& from, const Vocabulary& vocabulary) {
  BpeMerges loaded;
  CORBEL_TRY(from.take(loaded.slots_));
  const auto broken = [&](std::string_view what) { return fail(Code::bad_file, cat(from.source(), ": ", what)); };
  for (const Merge& merge : loaded.slots_) {
    if (merge.pair == kNoPair) continue;
    ++loaded.size_;
    if (merge.rank == kNoRank) return broken("a merge has no rank");
    if (!vocabulary.has(merge.id)) return broken("a merge makes an id without a token");
    loaded.rank_limit_ = std::max(loaded.rank_limit_, merge.rank + 1);
  }
  if (loaded.size_ * 4 > loaded.slots_.size() * 3 || !std::has_single_bit(loaded.slots_.size()))
    return broken("the slots do not fit the merges");
  return loaded;
}

std::size_t BpeMerges::merge(std::int32_t* ids, std::size_t count) const {
  if (count <= kShortSymbols) return merge_short(ids, count);
  if (count <= kHeapSymbols || rank_limit_ > kMaxListedRank) return merge_by_heap(ids, count);
  return merge_by_rank(ids, count);
}

std::size_t BpeMerges::merge_short(std::int32_t* ids, std::size_t count) const noexcept {
  if (count < 2) return count;
  const Merge* best_of[kShortSymbols];  // best_of[i]: the merge of symbols i and i + 1
  for (std::size_t i = 0; i + 1 < count; ++i) best_of[i] = &find(ids[i], ids[i + 1]);
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
    if (best + 1 < count) best_of[best] = &find(ids[best], ids[best + 1]);
    if (best > 0) best_of[best - 1] = &find(ids[best - 1], ids[best]);
  }
  return count;
}

std::size_t BpeMerges::merge_by_heap(std::int32_t* ids, std::size_t count) const {
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
    const Merge& merge = find(left.id, right);
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
    left.id = find(top.left, top.right).id;
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

std::size_t BpeMerges::merge_by_rank(std::int32_t* ids, std::size_t count) const {
  std::vector<Place> places(count);
  const auto place = [&](std::int32_t at) -> Place& { return places[static_cast<std::size_t>(at)]; };
  const auto look = [&](std::int32_t at) {
    Place& left = place(at);
    left.rank = kNoRank;
    if (left.next < 0) return;
    const Merge& merge = find(left.id, place(left.next).id);
    left.rank = merge.rank;
    left.merged_id = merge.id;
  };
  RankLists lists(rank_limit_);
  for (std::size_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::int32_t>(i);
    places[i] = {ids[i], at - 1, i + 1 < count ? at + 1 : -1, kNoRank, kNoToken};
  }
  for (std::int32_t at = 0; at >= 0; at = place(at).next) {
    look(at);
    if (place(at).rank != kNoRank) lists.add(place(at).rank, at);
  }
  // Rank and place of what comes before the rest of the list at hand: made by a merge just now, and so never to the
  // right of it, where the list goes on.
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> urgent;
  const auto settle = [&](std::int32_t at, std::uint32_t rank, std::uint32_t list_rank) {
    Place& left = place(at);
    if (left.id == kNoToken || left.rank != rank) return;  // what waited here has merged with something else
    Place& right = place(left.next);
    left.id = left.merged_id;
    left.next = right.next;
    right.id = kNoToken;
    if (left.next >= 0) place(left.next).previous = at;
    for (const std::int32_t changed : {left.previous, at}) {
      if (changed < 0) continue;
      look(changed);
      const std::uint32_t next_rank = place(changed).rank;
      if (next_rank == kNoRank) continue;
      if (next_rank > list_rank) {
        lists.add(next_rank, changed);
      } else {
        urgent.push((static_cast<std::uint64_t>(next_rank) << 32) | static_cast<std::uint32_t>(changed));
      }
    }
  };
  std::vector<std::int32_t> now;
  while (!lists.empty()) {
    const std::uint32_t rank = lists.lowest();
    lists.take_lowest(now);
    for (const std::int32_t at : now) {
      settle(at, rank, rank);
      while (!urgent.empty()) {
        const std::uint64_t first = urgent.top();
        urgent.pop();
        settle(static_cast<std::int32_t>(first & 0xFFFFFFFF), static_cast<std::uint32_t>(first >> 32), rank);
      }
    }
  }
  std::size_t kept = 0;
  for (std::int32_t at = 0; at >= 0; at = place(at).next) ids[kept++] = place(at).id;
  return kept;
}

}  // namespace corbel
