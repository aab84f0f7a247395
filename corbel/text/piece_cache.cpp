#include "corbel/text/piece_cache.h"

#include <algorithm>

namespace corbel {

PieceCache::PieceCache() : entries_(std::size_t{1} << kSlotBits) { long_ids_.reserve(kMaxLongIds); }

void PieceCache::keep(Key key, std::span<const std::int32_t> ids) noexcept {
  Entry entry{key.low, key.high, static_cast<std::uint32_t>(ids.size()), {}};
  if (ids.size() <= kInline) {
    std::ranges::copy(ids, entry.ids);
  } else {
    if (long_ids_.size() + ids.size() > kMaxLongIds) {
      std::ranges::fill(entries_, Entry{});
      long_ids_.clear();
    }
    entry.ids[0] = static_cast<std::int32_t>(long_ids_.size());
    long_ids_.insert(long_ids_.end(), ids.begin(), ids.end());
  }
  entries_[slot_of(key)] = entry;
}

PieceCachePool::~PieceCachePool() {
  for (auto& slot : spare_) delete slot.load(std::memory_order_acquire);
}

std::unique_ptr<PieceCache> PieceCachePool::take() {
  for (auto& slot : spare_) {
    if (slot.load(std::memory_order_relaxed) == nullptr) continue;
    if (PieceCache* found = slot.exchange(nullptr, std::memory_order_acquire); found != nullptr) {
      return std::unique_ptr<PieceCache>(found);
    }
  }
  return std::make_unique<PieceCache>();
}

void PieceCachePool::give_back(std::unique_ptr<PieceCache> cache) noexcept {
  for (auto& slot : spare_) {
    PieceCache* none = nullptr;
    if (slot.compare_exchange_strong(none, cache.get(), std::memory_order_release, std::memory_order_relaxed)) {
      static_cast<void>(cache.release());
      return;
    }
  }
}

}  // namespace corbel
