#include "corbel/text/byte_trie.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <utility>

namespace corbel {
namespace {

constexpr std::size_t kBlock = 256;
// Where a node with several children is placed: only the newest blocks are searched, and only this many free units.
// Older holes are left to the many nodes with one child, which fit anywhere.
constexpr std::size_t kOpenBlocks = 16;
constexpr int kMaxTrials = 256;

struct Sortable {
  std::uint64_t head;  // the first 8 bytes, the first one highest, zeros behind a shorter key
  const char* data;
  std::uint32_t bytes;
  std::int32_t value;
  std::string_view key() const noexcept { return {data, bytes}; }
};

std::uint64_t head_of(std::string_view bytes) noexcept {
  std::uint64_t head = 0;
  for (std::size_t i = 0; i < 8; ++i) head = (head << 8) | (i < bytes.size() ? static_cast<std::uint8_t>(bytes[i]) : 0);
  return head;
}

/// By heads, least significant byte first: a comparison sort of 150k keys takes four times as long.
void radix_sort(std::vector<Sortable>& items) {
  std::vector<std::array<std::size_t, 256>> begins(8);
  for (const Sortable& item : items) {
    for (unsigned byte = 0; byte < 8; ++byte) ++begins[byte][(item.head >> (8 * byte)) & 255];
  }
  std::vector<Sortable> other(items.size());
  for (unsigned byte = 0; byte < 8; ++byte) {
    std::array<std::size_t, 256>& begin = begins[byte];
    if (std::ranges::find(begin, items.size()) != begin.end()) continue;  // all alike
    std::size_t sum = 0;
    for (std::size_t& count : begin) count = std::exchange(sum, sum + count);
    for (const Sortable& item : items) other[begin[(item.head >> (8 * byte)) & 255]++] = item;
    items.swap(other);
  }
}

/// Sorts keys with the same first 8 bytes, by the next 8.
void sort_alike(std::span<Sortable> items) {
  const std::uint64_t head = items.front().head;
  for (Sortable& item : items) item.head = item.bytes > 8 ? head_of(item.key().substr(8)) : 0;
  std::ranges::sort(items, [](const Sortable& a, const Sortable& b) {
    return a.head != b.head ? a.head < b.head : a.key() < b.key();
  });
  for (Sortable& item : items) item.head = head;
}

std::vector<Sortable> sorted(const std::vector<ByteTrie::Key>& keys) {
  std::vector<Sortable> items;
  items.reserve(keys.size());
  for (const ByteTrie::Key& key : keys) {
    if (key.bytes.empty()) continue;
    items.push_back({head_of(key.bytes), key.bytes.data(), static_cast<std::uint32_t>(key.bytes.size()), key.value});
  }
  radix_sort(items);
  for (std::size_t first = 0; first < items.size();) {
    std::size_t last = first + 1;
    while (last < items.size() && items[last].head == items[first].head) ++last;
    if (last - first > 1) sort_alike({items.data() + first, last - first});
    first = last;
  }
  return items;
}

}  // namespace

class ByteTrie::Builder {
 public:
  Builder(ByteTrie& trie, const std::vector<Key>& keys) : trie_(trie), items_(sorted(keys)) {
    trie_.units_.reserve(items_.size() * 2);
  }

  void run() {
    add_block();
    take(0);
    if (items_.empty()) return;
    open_.push_back({0, items_.size(), 0, 0});
    while (!open_.empty()) {
      const Range range = open_.back();
      open_.pop_back();
      place_children(range);
    }
  }

 private:
  /// Items [first, last) agree in their first `depth` bytes, which lead to `node`.
  struct Range {
    std::size_t first;
    std::size_t last;
    std::size_t depth;
    std::uint32_t node;
  };

  void place_children(Range range) {
    std::array<Range, 256> children;
    std::array<std::uint8_t, 256> labels;
    std::size_t count = 0;
    for (std::size_t i = range.first; i < range.last; ++i) {
      if (items_[i].bytes == range.depth) continue;  // the key that ends at the node itself
      const std::uint8_t label = byte_of(items_[i], range.depth);
      if (count == 0 || labels[count - 1] != label) {
        labels[count] = label;
        children[count++] = {i, i, range.depth + 1, 0};
      }
      children[count - 1].last = i + 1;
    }
    const std::uint32_t base = find_base({labels.data(), count});
    trie_.units_[range.node].base = base;
    for (std::size_t i = 0; i < count; ++i) {
      Range& child = children[i];
      child.node = base ^ labels[i];
      take(child.node);
      Unit& unit = trie_.units_[child.node];
      unit.parent = range.node;
      const bool alone = child.last - child.first == 1;
      if (items_[child.first].bytes == child.depth) {
        unit.value = items_[child.first].value;
      } else if (alone) {
        unit.value = add_tail(items_[child.first], child.depth);
      }
      if (!alone) open_.push_back(child);
    }
  }

  static std::uint8_t byte_of(const Sortable& item, std::size_t at) noexcept {
    if (at < 8) return static_cast<std::uint8_t>(item.head >> (56 - 8 * at));
    return static_cast<std::uint8_t>(item.data[at]);
  }

  std::int32_t add_tail(const Sortable& item, std::size_t depth) {
    const std::string_view rest = item.key().substr(depth);
    trie_.tails_.push_back(
        {static_cast<std::uint32_t>(trie_.tail_bytes_.size()), static_cast<std::uint32_t>(rest.size()), item.value});
    trie_.tail_bytes_.append(rest);
    return kFirstTail - static_cast<std::int32_t>(trie_.tails_.size() - 1);
  }

  std::uint32_t find_base(std::span<const std::uint8_t> labels) {
    while (first_free_ < free_.size() && free_[first_free_] == 0) ++first_free_;
    std::size_t word = first_free_;
    const std::size_t open_words = kOpenBlocks * kBlock / 64;
    if (labels.size() > 1 && free_.size() > open_words) word = std::max(word, free_.size() - open_words);
    int trials = 0;
    for (; word < free_.size() && trials < kMaxTrials; ++word) {
      for (std::uint64_t bits = free_[word]; bits != 0 && trials < kMaxTrials; bits &= bits - 1, ++trials) {
        const auto unit = static_cast<std::uint32_t>(word * 64) + static_cast<std::uint32_t>(std::countr_zero(bits));
        const std::uint32_t base = unit ^ labels[0];
        if (std::ranges::all_of(labels, [&](std::uint8_t label) { return is_free(base ^ label); })) return base;
      }
    }
    const auto base = static_cast<std::uint32_t>(trie_.units_.size());
    add_block();
    return base;
  }

  bool is_free(std::uint32_t unit) const noexcept { return ((free_[unit / 64] >> (unit % 64)) & 1) != 0; }
  void take(std::uint32_t unit) noexcept { free_[unit / 64] &= ~(1ULL << (unit % 64)); }
  void add_block() {
    trie_.units_.resize(trie_.units_.size() + kBlock);
    free_.resize(free_.size() + kBlock / 64, ~0ULL);
  }

  ByteTrie& trie_;
  const std::vector<Sortable> items_;
  std::vector<Range> open_;
  std::vector<std::uint64_t> free_;  // one bit per unit
  std::size_t first_free_ = 0;       // no word before it has a free unit
};

ByteTrie::ByteTrie(const std::vector<Key>& keys) { Builder(*this, keys).run(); }

}  // namespace corbel
