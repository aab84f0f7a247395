#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "corbel/engine/page_pool.h"

namespace corbel {

/// What the scheduler knows of one sequence: its tokens and how far they are in the cache. No text, no sampling.
///
/// tokens[0, cached) have keys and values in the cache; the others wait to be run. All but the last token cached: the
/// sequence decodes. A preempted sequence has lost its pages and keeps its tokens: it runs them again.
struct Sequence {
  std::uint64_t id = 0;
  std::int32_t priority = 0;  // higher goes first
  std::uint64_t arrival = 0;
  std::vector<std::int32_t> tokens;
  std::int64_t cached = 0;
  SequencePages pages;
  std::string salt;  // of the prefix cache
  bool shares_prefix = true;
  std::int32_t slot = -1;  // row of the page tables; -1: waits
  bool was_admitted = false;
  std::int64_t prefix_tokens = 0;  // found in the cache when it was first admitted
  std::int64_t waited_steps = 0;   // since it last was given rows

  std::int64_t length() const noexcept { return static_cast<std::int64_t>(tokens.size()); }
  bool runs() const noexcept { return slot >= 0; }
  bool decodes() const noexcept { return cached + 1 == length(); }
};

}  // namespace corbel
