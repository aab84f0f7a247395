#pragma once
#include <cstdint>
#include <vector>

#include "corbel/grammar/gbnf_tree.h"

namespace corbel {

/// What the rules of a grammar are to each other.
struct GbnfRules {
  std::vector<bool> nullable;         // the empty text belongs to it
  std::vector<bool> recursive;        // it may come to itself, or to one that does
  std::vector<std::uint32_t> size;    // of the others: characters when all is written out; at most kHuge
  std::vector<std::uint32_t> height;  // and how many rules lie inside each other
  static constexpr std::uint32_t kHuge = 1 << 20;

  bool is_nullable(const GbnfTree& tree, std::uint32_t node) const;
  bool is_recursive(const GbnfTree& tree, std::uint32_t node) const;
  std::uint32_t size_of(const GbnfTree& tree, std::uint32_t node) const;
  std::uint32_t height_of(const GbnfTree& tree, std::uint32_t node) const;
};

/// Refuses a rule that may begin with itself: it would be called for ever.
Result<GbnfRules> study_rules(const GbnfTree& tree);

}  // namespace corbel
