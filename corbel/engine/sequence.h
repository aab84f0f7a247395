#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "corbel/engine/page_pool.h"
#include "corbel/engine/prefix_cache.h"

namespace corbel {

/// What the scheduler knows of one sequence: its tokens and how far they are in the cache. No text, no sampling.
///
/// tokens[0, cached) have keys and values in the cache; the others wait to be run. All but the last token cached: the
/// sequence decodes. A preempted sequence has lost its pages and keeps its tokens: it runs them again.
struct Sequence {
  std::uint64_t id = 0;
  std::int32_t priority = 0;  // higher goes first
  std::string salt;           // of the prefix cache
  bool shares_prefix = true;
  bool wants_prompt_logits = false;  // of every row of the prompt, not of the last one alone

  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> draft;  // guesses of what follows `tokens`: run in one step with the last token, if there
                                    // is room, and taken away again
  std::int64_t cached = 0;
  SequencePages pages;
  PrefixCache::Place known;  // full pages that the prefix cache has seen
  std::int32_t slot = -1;    // row of the page tables; -1: waits
  std::int64_t rank = 0;     // priority and age in one number: the larger one goes first
  bool was_admitted = false;
  std::int64_t prefix_tokens = 0;  // found in the cache when it was first admitted
  std::int64_t waited_steps = 0;   // since it last was given rows
  std::int64_t restarts = 0;       // times that it lost its pages and ran its tokens again

  std::int64_t length() const noexcept { return static_cast<std::int64_t>(tokens.size()); }
  bool runs() const noexcept { return slot >= 0; }
  bool decodes() const noexcept { return cached + 1 == length(); }
};

}  // namespace corbel
