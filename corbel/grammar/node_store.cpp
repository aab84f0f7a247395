#include "corbel/grammar/node_store.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace corbel {
namespace {

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  a = (a ^ b) * 0x9E3779B97F4A7C15ULL;
  return a ^ (a >> 31);
}

}  // namespace

NodeStore::NodeStore(Grammar grammar) : grammar_(std::move(grammar)), slots_(256, kNothing) {
  if (grammar_.nodes.empty()) grammar_.nodes = {{Kind::nothing, false}, {Kind::epsilon, true}};
  for (Id id = 2; id < size(); ++id) {
    reserve_slot();
    remember(id, key_of(node(id)));
  }
}

std::uint64_t NodeStore::key_of(const Grammar::Node& node) const {
  std::uint64_t key = mix(static_cast<std::uint64_t>(node.kind) + 1, node.b);
  if (node.kind != Kind::either) {
    return mix(mix(key, node.a), (std::uint64_t{node.min} << 32) | node.max);
  }
  for (std::uint32_t i = 0; i < node.b; ++i) key = mix(key, grammar_.children[node.a + i]);
  return key;
}

void NodeStore::reserve_slot() {
  if (2 * (used_ + 1) <= slots_.size()) return;
  const std::vector<Id> old = std::exchange(slots_, std::vector<Id>(slots_.size() * 2, kNothing));
  used_ = 0;
  for (const Id id : old) {
    if (id != kNothing) remember(id, key_of(node(id)));
  }
}

void NodeStore::remember(Id id, std::uint64_t key) {
  std::size_t at = key & (slots_.size() - 1);
  while (slots_[at] != kNothing) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = id;
  ++used_;
}

NodeStore::Id NodeStore::intern(const Grammar::Node& fresh) {
  const std::uint64_t key = key_of(fresh);
  for (std::size_t at = key & (slots_.size() - 1); slots_[at] != kNothing; at = (at + 1) & (slots_.size() - 1)) {
    if (node(slots_[at]) == fresh) return slots_[at];
  }
  reserve_slot();
  const Id id = size();
  grammar_.nodes.push_back(fresh);
  remember(id, key);
  return id;
}

NodeStore::Id NodeStore::table(std::uint32_t table, std::uint32_t state) {
  const Dfa& dfa = grammar_.tables[table];
  if (dfa.empty() || state == Dfa::kDead) return kNothing;
  const bool accepts = dfa.accepts[state] != 0;
  if (accepts && !dfa.has_exit(state)) return kEpsilon;
  return intern({Kind::table, accepts, table, state});
}

NodeStore::Id NodeStore::text(std::uint32_t table, std::uint32_t min, std::uint32_t max) {
  if (min > max) return kNothing;
  return intern({Kind::text, false, table, 0, min, max});
}

NodeStore::Id NodeStore::rule(std::uint32_t rule) { return intern({Kind::rule, false, rule}); }

NodeStore::Id NodeStore::repeat(Id inner, std::uint32_t min, std::uint32_t max) {
  if (min > max) return kNothing;
  if (max == 0 || inner == kEpsilon) return kEpsilon;
  if (inner == kNothing) return min == 0 ? kEpsilon : kNothing;
  if (nullable(inner)) min = 0;
  if (min == 1 && max == 1) return inner;
  return intern({Kind::repeat, min == 0, inner, 0, min, max});
}

NodeStore::Id NodeStore::raw_concat(Id first, Id second) {
  return intern({Kind::concat, nullable(first) && nullable(second), first, second});
}

NodeStore::Id NodeStore::concat(Id first, Id second) {
  if (first == kNothing || second == kNothing) return kNothing;
  if (second == kEpsilon) return first;
  while (first > kEpsilon && node(first).kind == Kind::concat) {
    second = raw_concat(node(first).b, second);
    first = node(first).a;
  }
  if (first != kEpsilon) return raw_concat(first, second);
  // What was kept aside becomes the front, and is brought into form.
  if (node(second).kind == Kind::concat && node(node(second).a).kind == Kind::concat) {
    const Grammar::Node front = node(second);
    return concat(front.a, front.b);
  }
  return second;
}

NodeStore::Id NodeStore::raw_either(std::span<const Id> choices) {
  if (choices.size() == 1) return choices[0];
  const auto start = static_cast<std::uint32_t>(grammar_.children.size());
  bool empty = false;
  for (const Id id : choices) empty = empty || nullable(id);
  grammar_.children.insert(grammar_.children.end(), choices.begin(), choices.end());
  const Grammar::Node fresh{Kind::either, empty, start, static_cast<std::uint32_t>(choices.size())};
  const std::uint64_t key = key_of(fresh);
  for (std::size_t at = key & (slots_.size() - 1); slots_[at] != kNothing; at = (at + 1) & (slots_.size() - 1)) {
    const Grammar::Node& other = node(slots_[at]);
    if (other.kind != Kind::either || other.b != fresh.b) continue;
    if (std::equal(choices.begin(), choices.end(), grammar_.children.begin() + other.a)) {
      grammar_.children.resize(start);
      return slots_[at];
    }
  }
  reserve_slot();
  grammar_.nodes.push_back(fresh);
  remember(size() - 1, key);
  return size() - 1;
}

NodeStore::Id NodeStore::either(std::span<const Id> choices) {
  std::vector<Id> flat;
  for (const Id choice : choices) {
    if (choice > kEpsilon && node(choice).kind == Kind::either) {
      const std::span<const Id> inner = children(choice);
      flat.insert(flat.end(), inner.begin(), inner.end());
    } else if (choice != kNothing) {
      flat.push_back(choice);
    }
  }
  if (flat.empty()) return kNothing;
  // Alternatives with the same front share it: h x | h y = h (x | y). Stacks that agree at the top stay one stack.
  struct Group {
    Id front;
    std::vector<Id> rests;
  };
  std::vector<Group> groups;
  std::unordered_map<Id, std::size_t> group_of;
  for (const Id id : flat) {
    const bool joined = node(id).kind == Kind::concat;
    const Id front = joined ? node(id).a : id;
    const Id rest = joined ? node(id).b : kEpsilon;
    const auto [found, fresh] = group_of.emplace(front, groups.size());
    if (fresh) groups.push_back({front, {}});
    std::vector<Id>& rests = groups[found->second].rests;
    if (std::find(rests.begin(), rests.end(), rest) == rests.end()) rests.push_back(rest);
  }
  std::vector<Id> out;
  for (const Group& group : groups) {
    if (out.size() == kMaxChoices) break;
    out.push_back(concat(group.front, raw_either(group.rests)));
  }
  return raw_either(out);
}

void NodeStore::shrink(std::uint32_t size, std::uint32_t children) {
  grammar_.nodes.resize(size);
  grammar_.children.resize(children);
  slots_.assign(256, kNothing);
  used_ = 0;
  for (Id id = 2; id < size; ++id) {
    reserve_slot();
    remember(id, key_of(node(id)));
  }
}

}  // namespace corbel
