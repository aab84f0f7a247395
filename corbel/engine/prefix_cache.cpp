#include "corbel/engine/prefix_cache.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace corbel {

Checksum PrefixCache::key_of_tokens(const Checksum& before, std::span<const std::int32_t> page) noexcept {
  std::array<std::byte, sizeof(Checksum) + kPageTokens * sizeof(std::int32_t)> bytes;
  std::memcpy(bytes.data(), before.bytes.data(), sizeof(Checksum));
  std::memcpy(bytes.data() + sizeof(Checksum), page.data(), page.size_bytes());
  return checksum_of(std::span<const std::byte>(bytes));
}

PrefixCache::PrefixCache(PagePool& pool, int groups, KeyOf key_of)
    : pool_(&pool), groups_(static_cast<std::size_t>(groups)), key_of_(key_of) {
  const auto total = static_cast<std::size_t>(pool.total());
  entries_.resize(total);
  for (std::size_t i = total; i > 0; --i) {
    entries_[i - 1].older = free_;
    free_ = static_cast<std::int32_t>(i - 1);
  }
  pages_.resize(total * groups_);
  tokens_.resize(total * kPageTokens);
  buckets_.assign(std::bit_ceil(std::max<std::size_t>(total, 1) * 2), -1);
  path_.reserve(total);
}

std::size_t PrefixCache::bucket_of(const Checksum& key) const noexcept {
  std::size_t hash = 0;
  std::memcpy(&hash, key.bytes.data(), sizeof hash);
  return hash & (buckets_.size() - 1);
}

std::int32_t PrefixCache::find_page(const Checksum& key, const Checksum& before,
                                    std::span<const std::int32_t> tokens) const noexcept {
  std::int32_t entry = buckets_[bucket_of(key)];
  while (entry >= 0 && !(entries_[entry].key == key && entries_[entry].before == before &&
                         std::ranges::equal(tokens_of(entry), tokens)))
    entry = entries_[entry].chain;
  return entry;
}

/// The tail behind `before` that agrees with most of `tokens`.
std::int32_t PrefixCache::find_tail(const Checksum& before, std::span<const std::int32_t> tokens,
                                    std::int64_t& common) const noexcept {
  std::int32_t best = -1;
  common = 0;
  for (std::int32_t entry = buckets_[bucket_of(before)]; entry >= 0; entry = entries_[entry].chain) {
    const Entry& one = entries_[entry];
    if (one.tokens == kPageTokens || one.before != before) continue;
    const std::span<const std::int32_t> tail = tokens_of(entry);
    const auto agree = std::ranges::mismatch(tail, tokens).in1 - tail.begin();
    if (agree <= common) continue;
    common = agree;
    best = entry;
  }
  return best;
}

PrefixCache::Tail PrefixCache::find(std::span<const std::int32_t> tokens, Place& place, SequencePages& pages) {
  path_.clear();
  pages.groups.resize(groups_);
  const std::span<const std::int32_t> usable = tokens.first(tokens.size() - 1);
  auto rest = usable.subspan(static_cast<std::size_t>(place.pages * kPageTokens));
  while (rest.size() >= kPageTokens) {
    const Checksum key = key_of_(place.key, rest.first(kPageTokens));
    const std::int32_t entry = find_page(key, place.key, rest.first(kPageTokens));
    if (entry < 0) break;
    path_.push_back(entry);
    place = {key, place.pages + 1};
    rest = rest.subspan(kPageTokens);
    for (std::size_t group = 0; group < groups_; ++group) {
      const std::int32_t page = pages_of(entry)[group];
      pool_->retain(static_cast<int>(group), page);
      pages.groups[group].push_back(page);
    }
  }
  Tail tail;
  if (const std::int32_t entry = find_tail(place.key, rest, tail.tokens); entry >= 0) {
    tail.pages.assign(pages_of(entry).begin(), pages_of(entry).end());
    make_newest(entry);
  }
  for (auto entry = path_.rbegin(); entry != path_.rend(); ++entry) make_newest(*entry);
  return tail;
}

void PrefixCache::add(std::span<const std::int32_t> tokens, Place& place, const SequencePages& pages) {
  while ((place.pages + 1) * kPageTokens <= std::ssize(tokens)) {
    const auto page = tokens.subspan(static_cast<std::size_t>(place.pages * kPageTokens), kPageTokens);
    const Checksum key = key_of_(place.key, page);
    if (find_page(key, place.key, page) < 0) insert({.key = key, .before = place.key}, page, pages, place.pages);
    place = {key, place.pages + 1};
  }
}

void PrefixCache::add_tail(std::span<const std::int32_t> tokens, const Place& place, const SequencePages& pages) {
  const auto tail = tokens.subspan(std::min(tokens.size(), static_cast<std::size_t>(place.pages * kPageTokens)));
  if (tail.empty() || tail.size() >= kPageTokens) return;
  std::int64_t common = 0;
  const std::int32_t known = find_tail(place.key, tail, common);
  if (known >= 0 && common == std::ssize(tail)) return make_newest(known);
  // Its beginning is of no more use.
  if (known >= 0 && common == entries_[known].tokens) erase(known);
  insert({.key = place.key, .before = place.key}, tail, pages, place.pages);
}

void PrefixCache::insert(const Entry& made, std::span<const std::int32_t> tokens, const SequencePages& pages,
                         std::int64_t page) noexcept {
  const std::int32_t entry = free_;
  if (entry < 0) return;
  free_ = entries_[entry].older;
  entries_[entry] = made;
  entries_[entry].tokens = static_cast<std::int32_t>(tokens.size());
  std::ranges::copy(tokens, tokens_.begin() + std::ptrdiff_t{entry} * kPageTokens);
  for (std::size_t group = 0; group < groups_; ++group) {
    pages_of(entry)[group] = pages.groups[group][static_cast<std::size_t>(page)];
    pool_->retain(static_cast<int>(group), pages_of(entry)[group]);
  }
  std::int32_t parent = buckets_[bucket_of(made.before)];
  while (parent >= 0 && !(entries_[parent].key == made.before && entries_[parent].tokens == kPageTokens))
    parent = entries_[parent].chain;
  entries_[entry].parent = parent;
  if (parent >= 0) ++entries_[parent].children;
  std::int32_t& bucket = buckets_[bucket_of(made.key)];
  entries_[entry].chain = bucket;
  bucket = entry;
  if (newest_ >= 0) entries_[newest_].newer = entry;
  entries_[entry].older = newest_;
  newest_ = entry;
  if (oldest_ < 0) oldest_ = entry;
  ++counts_.pages;
}

void PrefixCache::unlink(std::int32_t entry) noexcept {
  const Entry& one = entries_[entry];
  (one.newer >= 0 ? entries_[one.newer].older : newest_) = one.older;
  (one.older >= 0 ? entries_[one.older].newer : oldest_) = one.newer;
}

void PrefixCache::make_newest(std::int32_t entry) noexcept {
  if (entry == newest_) return;
  unlink(entry);
  entries_[entry].newer = -1;
  entries_[entry].older = newest_;
  entries_[newest_].newer = entry;
  newest_ = entry;
}

void PrefixCache::erase(std::int32_t entry) noexcept {
  for (std::size_t group = 0; group < groups_; ++group) pool_->release(static_cast<int>(group), pages_of(entry)[group]);
  std::int32_t* link = &buckets_[bucket_of(entries_[entry].key)];
  while (*link != entry) link = &entries_[*link].chain;
  *link = entries_[entry].chain;
  unlink(entry);
  if (entries_[entry].parent >= 0) --entries_[entries_[entry].parent].children;
  if (entries_[entry].children > 0) {
    for (Entry& other : entries_) other.parent = other.parent == entry ? -1 : other.parent;
  }
  entries_[entry].older = free_;
  free_ = entry;
  --counts_.pages;
}

void PrefixCache::forget(std::span<const std::int32_t> tokens, const std::string& salt) noexcept {
  Checksum before = start(salt).key;
  for (std::size_t at = 0; at + kPageTokens <= tokens.size(); at += kPageTokens) {
    const auto page = tokens.subspan(at, kPageTokens);
    const Checksum key = key_of_(before, page);
    if (const std::int32_t entry = find_page(key, before, page); entry >= 0) erase(entry);
    before = key;
  }
}

bool PrefixCache::drop_oldest() noexcept {
  for (std::int32_t entry = oldest_; entry >= 0; entry = entries_[entry].newer) {
    if (entries_[entry].children > 0 || pool_->users(0, pages_of(entry)[0]) > 1) continue;
    erase(entry);
    ++counts_.dropped_pages;
    return true;
  }
  return false;
}

void PrefixCache::clear() noexcept {
  for (Entry& entry : entries_) entry.parent = -1, entry.children = 0;
  while (oldest_ >= 0) erase(oldest_);
}

}  // namespace corbel
