#include "corbel/engine/prefix_cache.h"

#include <cstring>

#include "corbel/ops/step_inputs.h"

namespace corbel {
namespace {

Checksum first_key(const std::string& salt) { return checksum_of(salt); }

Checksum next_key(const Checksum& before, std::span<const std::int32_t> page) {
  RunningChecksum running;
  running.add(before.bytes);
  running.add(std::as_bytes(page));
  return running.value();
}

}  // namespace

std::size_t PrefixCache::HashOfKey::operator()(const Checksum& key) const noexcept {
  std::size_t hash = 0;
  std::memcpy(&hash, key.bytes.data(), sizeof hash);
  return hash;
}

SequencePages PrefixCache::find(std::span<const std::int32_t> tokens, const std::string& salt) {
  SequencePages found;
  Checksum key = first_key(salt);
  std::vector<Entries::iterator> path;
  for (std::size_t at = 0; at + kPageTokens < tokens.size(); at += kPageTokens) {
    key = next_key(key, tokens.subspan(at, kPageTokens));
    const auto entry = by_key_.find(key);
    if (entry == by_key_.end()) break;
    path.push_back(entry->second);
  }
  // The beginning last: without it nothing after it is found, so it has to stay longest.
  for (auto entry = path.rbegin(); entry != path.rend(); ++entry) entries_.splice(entries_.begin(), entries_, *entry);
  for (const Entries::iterator entry : path) {
    found.groups.resize(entry->pages.size());
    for (std::size_t group = 0; group < entry->pages.size(); ++group) {
      pool_->retain(static_cast<int>(group), entry->pages[group]);
      found.groups[group].push_back(entry->pages[group]);
    }
  }
  return found;
}

void PrefixCache::add(std::span<const std::int32_t> tokens, const std::string& salt, const SequencePages& pages) {
  Checksum key = first_key(salt);
  for (std::size_t page = 0; (page + 1) * kPageTokens <= tokens.size(); ++page) {
    key = next_key(key, tokens.subspan(page * kPageTokens, kPageTokens));
    if (by_key_.contains(key)) continue;
    Entry entry{key, {}};
    for (std::size_t group = 0; group < pages.groups.size(); ++group) {
      entry.pages.push_back(pages.groups[group][page]);
      pool_->retain(static_cast<int>(group), entry.pages.back());
    }
    entries_.push_front(std::move(entry));
    by_key_[key] = entries_.begin();
    ++counts_.pages;
  }
}

bool PrefixCache::drop_oldest() {
  for (auto entry = entries_.end(); entry != entries_.begin();) {
    --entry;
    if (pool_->users(0, entry->pages[0]) > 1) continue;
    for (std::size_t group = 0; group < entry->pages.size(); ++group)
      pool_->release(static_cast<int>(group), entry->pages[group]);
    by_key_.erase(entry->key);
    entries_.erase(entry);
    --counts_.pages;
    ++counts_.dropped_pages;
    return true;
  }
  return false;
}

void PrefixCache::clear() {
  for (const Entry& entry : entries_) {
    for (std::size_t group = 0; group < entry.pages.size(); ++group)
      pool_->release(static_cast<int>(group), entry.pages[group]);
  }
  entries_.clear();
  by_key_.clear();
  counts_.pages = 0;
}

}  // namespace corbel
