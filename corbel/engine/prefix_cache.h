#pragma once
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "corbel/base/checksum.h"
#include "corbel/engine/page_pool.h"

namespace corbel {

/// Full pages of tokens that were run before, found again by what they hold: a page's key is the hash of its 64 tokens
/// and of the key of the page before it, so equal keys mean equal prefixes. Holds pages of the pool, and gives back
/// those that were not used for longest when the pool runs dry. Keys and values of a prefix do not depend on what
/// follows or on how it was run, so a hit changes no bit. One thread: the scheduler's.
class PrefixCache {
 public:
  explicit PrefixCache(PagePool& pool) : pool_(&pool) {}
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;
  ~PrefixCache() { clear(); }

  struct Counts {
    std::int64_t asked_tokens = 0;  // of prompts
    std::int64_t hit_tokens = 0;
    std::int64_t pages = 0;  // held, per group
    std::int64_t dropped_pages = 0;
  };

  /// The pages of the longest known prefix of `tokens`, one more user each; only whole pages, and never all of
  /// `tokens`: the last one's logits are wanted. `salt` keeps tenants apart: it is part of every key.
  SequencePages find(std::span<const std::int32_t> tokens, const std::string& salt);

  /// Remembers the pages that `tokens` fill.
  void add(std::span<const std::int32_t> tokens, const std::string& salt, const SequencePages& pages);

  /// Gives back the page that was not used for longest and that no sequence uses; false when there is none.
  bool drop_oldest();
  void clear();

  /// What was found for a sequence that was admitted: who has to wait asks again at every step.
  void count(std::int64_t asked_tokens, std::int64_t hit_tokens) noexcept {
    counts_.asked_tokens += asked_tokens;
    counts_.hit_tokens += hit_tokens;
  }
  const Counts& counts() const noexcept { return counts_; }

 private:
  struct HashOfKey {
    std::size_t operator()(const Checksum& key) const noexcept;
  };
  struct Entry {
    Checksum key;
    std::vector<std::int32_t> pages;  // per group
  };
  using Entries = std::list<Entry>;  // the one used last in front

  PagePool* pool_;
  Entries entries_;
  std::unordered_map<Checksum, Entries::iterator, HashOfKey> by_key_;
  Counts counts_;
};

}  // namespace corbel
