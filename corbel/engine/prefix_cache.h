#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "corbel/base/checksum.h"
#include "corbel/engine/page_pool.h"
#include "corbel/ops/step_inputs.h"

namespace corbel {

/// Pages of tokens that were run before, found again by what they hold: a full page's key is the hash of its 64 tokens
/// and of the key of the page before it, so equal keys mean equal prefixes. What a sequence had begun of a page when it
/// ended (a tail) is found through the key of the page before; its tokens are compared, and whoever uses it copies it.
/// Holds pages of the pool, and gives back those that were not used for longest when the pool runs dry. Keys and values
/// of a prefix do not depend on what follows or on how it was run, so a hit changes no bit. Hashes find, tokens decide:
/// every hit is compared with the tokens themselves, so a forged collision shares nothing. All memory is taken at the
/// start. One thread: the scheduler's.
class PrefixCache {
 public:
  /// The key of a page from that of the page before it.
  using KeyOf = Checksum (*)(const Checksum& before, std::span<const std::int32_t> page) noexcept;
  static Checksum key_of_tokens(const Checksum& before, std::span<const std::int32_t> page) noexcept;

  /// Another `key_of` may give unequal pages equal keys, which a test does.
  PrefixCache(PagePool& pool, int groups, KeyOf key_of = key_of_tokens);
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;
  ~PrefixCache() { clear(); }

  struct Counts {
    std::int64_t asked_tokens = 0;  // of prompts
    std::int64_t hit_tokens = 0;
    std::int64_t pages = 0;  // held, per group
    std::int64_t dropped_pages = 0;
  };

  /// How far the full pages of a sequence are known here.
  struct Place {
    Checksum key;
    std::int64_t pages = 0;
  };
  /// Before the first page; `salt` keeps tenants apart: it is part of every key.
  static Place start(const std::string& salt) { return {checksum_of(salt), 0}; }

  struct Tail {
    std::int64_t tokens = 0;          // that agree, of the page that begins where the full pages end; 0: none
    std::vector<std::int32_t> pages;  // to copy from, per group
  };

  /// Appends the pages of the longest known prefix of `tokens` to `pages`, one more user each, and moves `place` on.
  /// Never all of `tokens`: the last one's logits are wanted. The tail's pages stay as they are until the next call.
  Tail find(std::span<const std::int32_t> tokens, Place& place, SequencePages& pages);

  /// Remembers the pages behind `place` that `tokens` fill, and moves it on.
  void add(std::span<const std::int32_t> tokens, Place& place, const SequencePages& pages);
  /// Remembers the page that `tokens` have begun behind `place`, if they have.
  void add_tail(std::span<const std::int32_t> tokens, const Place& place, const SequencePages& pages);
  /// Forgets all pages of `tokens` and what follows them: they hold no good values.
  void forget(std::span<const std::int32_t> tokens, const std::string& salt) noexcept;

  /// Gives back the page that was not used for longest, of those that no sequence uses and that no other follows (it
  /// could not be found without them); false when there is none.
  bool drop_oldest() noexcept;
  void clear() noexcept;

  /// What was found for a sequence that was admitted: who has to wait asks again at every step.
  void count(std::int64_t asked_tokens, std::int64_t hit_tokens) noexcept {
    counts_.asked_tokens += asked_tokens;
    counts_.hit_tokens += hit_tokens;
  }
  const Counts& counts() const noexcept { return counts_; }

 private:
  struct Entry {
    Checksum key;              // of a tail: as `before`
    Checksum before;           // of the page before it
    std::int32_t tokens = 0;   // 64, or fewer: a tail
    std::int32_t parent = -1;  // the page before it; -1: there is none, or it was forgotten
    std::int32_t children = 0;
    std::int32_t newer = -1;  // in the order of use
    std::int32_t older = -1;  // or the next one that is not used
    std::int32_t chain = -1;  // the next one of the bucket
  };

  std::size_t bucket_of(const Checksum& key) const noexcept;
  std::int32_t find_page(const Checksum& key, const Checksum& before,
                         std::span<const std::int32_t> tokens) const noexcept;
  std::int32_t find_tail(const Checksum& before, std::span<const std::int32_t> tokens,
                         std::int64_t& common) const noexcept;
  void insert(const Entry& entry, std::span<const std::int32_t> tokens, const SequencePages& pages,
              std::int64_t page) noexcept;
  void erase(std::int32_t entry) noexcept;
  void unlink(std::int32_t entry) noexcept;
  void make_newest(std::int32_t entry) noexcept;
  std::span<std::int32_t> pages_of(std::int32_t entry) noexcept {
    return std::span(pages_).subspan(static_cast<std::size_t>(entry) * groups_, groups_);
  }
  std::span<const std::int32_t> tokens_of(std::int32_t entry) const noexcept {
    return std::span(tokens_).subspan(static_cast<std::size_t>(entry) * kPageTokens,
                                      static_cast<std::size_t>(entries_[entry].tokens));
  }

  PagePool* pool_;
  std::size_t groups_;
  KeyOf key_of_;
  std::vector<Entry> entries_;         // as many as there are pages
  std::vector<std::int32_t> pages_;    // [entries, groups]
  std::vector<std::int32_t> tokens_;   // [entries, 64]
  std::vector<std::int32_t> buckets_;  // first entry of each
  std::vector<std::int32_t> path_;     // scratch of find()
  std::int32_t free_ = -1;
  std::int32_t newest_ = -1;
  std::int32_t oldest_ = -1;
  Counts counts_;
};

}  // namespace corbel
