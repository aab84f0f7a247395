#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "corbel/grammar/grammar.h"

namespace corbel {

/// Nodes of an automaton, each stored once, in a grammar that grows. Constructors keep a normal form: what comes next
/// is always at the left end, so that a step costs the same at any depth.
class NodeStore {
 public:
  using Id = std::uint32_t;
  using Kind = Grammar::Kind;
  static constexpr Id kNothing = 0;
  static constexpr Id kEpsilon = 1;
  static constexpr std::uint32_t kUnbounded = UINT32_MAX;

  /// Goes on from `grammar`'s nodes.
  explicit NodeStore(Grammar grammar);
  NodeStore() : NodeStore(Grammar{}) {}

  const Grammar& grammar() const { return grammar_; }
  Grammar& grammar() { return grammar_; }
  const Grammar::Node& node(Id id) const { return grammar_.nodes[id]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(grammar_.nodes.size()); }
  bool nullable(Id id) const { return grammar_.nodes[id].nullable; }
  std::span<const Id> children(Id id) const {
    return std::span<const Id>(grammar_.children).subspan(node(id).a, node(id).b);
  }

  Id table(std::uint32_t table, std::uint32_t state);
  Id text(std::uint32_t table, std::uint32_t min, std::uint32_t max);
  Id rule(std::uint32_t rule);
  Id repeat(Id inner, std::uint32_t min, std::uint32_t max);
  Id concat(Id first, Id second);
  /// In the order given, which is therefore the order of everything derived from it. More than kMaxChoices are cut:
  /// fewer texts remain, none of them wrong.
  Id either(std::span<const Id> choices);
  static constexpr std::size_t kMaxChoices = 4096;

  /// Forgets every node from `size` on.
  void shrink(std::uint32_t size, std::uint32_t children);

 private:
  Id intern(const Grammar::Node& node);
  Id raw_concat(Id first, Id second);
  Id raw_either(std::span<const Id> choices);
  void reserve_slot();
  void remember(Id id, std::uint64_t key);
  std::uint64_t key_of(const Grammar::Node& node) const;

  Grammar grammar_;
  std::vector<Id> slots_;  // open addressing; kNothing is free
  std::uint32_t used_ = 0;
};

}  // namespace corbel
