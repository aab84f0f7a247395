#include "corbel/grammar/gbnf_rules.h"

#include <algorithm>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

using Kind = GbnfTree::Kind;
using Lists = std::vector<std::vector<std::uint32_t>>;

/// Rules that stand anywhere in a node.
void find_rules(const GbnfTree& tree, std::uint32_t node, std::vector<std::uint32_t>& rules) {
  const GbnfTree::Node& at = tree.nodes[node];
  if (at.kind == Kind::rule) rules.push_back(at.rule);
  for (const std::uint32_t child : at.children) find_rules(tree, child, rules);
}

/// Rules that a node may begin with.
void find_fronts(const GbnfTree& tree, const GbnfRules& known, std::uint32_t node, std::vector<std::uint32_t>& rules) {
  const GbnfTree::Node& at = tree.nodes[node];
  if (at.kind == Kind::rule) rules.push_back(at.rule);
  if (at.kind == Kind::repeat && at.max == 0) return;
  for (const std::uint32_t child : at.children) {
    find_fronts(tree, known, child, rules);
    if (at.kind == Kind::sequence && !known.is_nullable(tree, child)) return;
  }
}

/// Rules in an order where each comes behind those it uses; those that come to themselves are left out.
std::vector<std::uint32_t> order_by_use(const Lists& uses) {
  Lists users(uses.size());
  std::vector<std::size_t> waits(uses.size());
  std::vector<std::uint32_t> order;
  for (std::uint32_t rule = 0; rule < uses.size(); ++rule) {
    waits[rule] = uses[rule].size();
    for (const std::uint32_t used : uses[rule]) users[used].push_back(rule);
    if (uses[rule].empty()) order.push_back(rule);
  }
  for (std::size_t i = 0; i < order.size(); ++i) {  // grows while it runs
    for (const std::uint32_t user : users[order[i]]) {
      if (--waits[user] == 0) order.push_back(user);
    }
  }
  return order;
}

void find_nullable(const GbnfTree& tree, const Lists& uses, GbnfRules& known) {
  Lists users(uses.size());
  std::vector<std::uint32_t> open;
  for (std::uint32_t rule = 0; rule < uses.size(); ++rule) {
    for (const std::uint32_t used : uses[rule]) users[used].push_back(rule);
    open.push_back(rule);
  }
  while (!open.empty()) {
    const std::uint32_t rule = open.back();
    open.pop_back();
    if (known.nullable[rule] || !known.is_nullable(tree, tree.rules[rule].body)) continue;
    known.nullable[rule] = true;
    open.insert(open.end(), users[rule].begin(), users[rule].end());
  }
}

Result<void> refuse_left_recursion(const GbnfTree& tree, const GbnfRules& known) {
  Lists fronts(tree.rules.size());
  for (std::uint32_t rule = 0; rule < tree.rules.size(); ++rule)
    find_fronts(tree, known, tree.rules[rule].body, fronts[rule]);
  const std::vector<std::uint32_t> order = order_by_use(fronts);
  if (order.size() == tree.rules.size()) return {};
  std::vector<bool> ends(tree.rules.size());
  for (const std::uint32_t rule : order) ends[rule] = true;
  auto at = static_cast<std::uint32_t>(std::ranges::find(ends, false) - ends.begin());
  std::vector<bool> seen(tree.rules.size());
  while (!seen[at]) {
    seen[at] = true;
    at = *std::ranges::find_if(fronts[at], [&ends](std::uint32_t rule) { return !ends[rule]; });
  }
  return fail(Code::bad_request,
              cat(place_text(tree.rules[at].place), ": the rule ", quote(tree.rules[at].name),
                  " may begin with itself; write the repetition with * or +, or with the rule at its end"));
}

}  // namespace

bool GbnfRules::is_nullable(const GbnfTree& tree, std::uint32_t node) const {
  const GbnfTree::Node& at = tree.nodes[node];
  const auto empty = [&](std::uint32_t child) { return is_nullable(tree, child); };
  switch (at.kind) {
    case Kind::characters: return false;
    case Kind::text: return at.text.empty();
    case Kind::sequence: return std::ranges::all_of(at.children, empty);
    case Kind::choice: return std::ranges::any_of(at.children, empty);
    case Kind::repeat: return at.min == 0 || empty(at.children[0]);
    case Kind::rule: return nullable[at.rule];
  }
  return false;
}

bool GbnfRules::is_recursive(const GbnfTree& tree, std::uint32_t node) const {
  const GbnfTree::Node& at = tree.nodes[node];
  if (at.kind == Kind::rule) return recursive[at.rule];
  return std::ranges::any_of(at.children, [&](std::uint32_t child) { return is_recursive(tree, child); });
}

std::uint32_t GbnfRules::size_of(const GbnfTree& tree, std::uint32_t node) const {
  const GbnfTree::Node& at = tree.nodes[node];
  std::uint64_t all = 0;
  if (at.kind == Kind::characters) all = 1;
  if (at.kind == Kind::text) all = at.text.size();
  if (at.kind == Kind::rule) all = size[at.rule];
  for (const std::uint32_t child : at.children) all = std::min<std::uint64_t>(all + size_of(tree, child), kHuge);
  if (at.kind == Kind::repeat) all *= std::max<std::uint64_t>(1, at.max == UINT32_MAX ? at.min : at.max);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(all, kHuge));
}

std::uint32_t GbnfRules::height_of(const GbnfTree& tree, std::uint32_t node) const {
  const GbnfTree::Node& at = tree.nodes[node];
  if (at.kind == Kind::rule) return height[at.rule] + 1;
  std::uint32_t most = 0;
  for (const std::uint32_t child : at.children) most = std::max(most, height_of(tree, child));
  return most;
}

Result<GbnfRules> study_rules(const GbnfTree& tree) {
  const std::size_t count = tree.rules.size();
  GbnfRules known{.nullable = std::vector<bool>(count),
                  .recursive = std::vector<bool>(count, true),
                  .size = std::vector<std::uint32_t>(count, GbnfRules::kHuge),
                  .height = std::vector<std::uint32_t>(count)};
  Lists uses(count);
  for (std::uint32_t rule = 0; rule < count; ++rule) find_rules(tree, tree.rules[rule].body, uses[rule]);
  find_nullable(tree, uses, known);
  CORBEL_TRY(refuse_left_recursion(tree, known));
  for (const std::uint32_t rule : order_by_use(uses)) {
    known.recursive[rule] = false;
    known.size[rule] = known.size_of(tree, tree.rules[rule].body);
    known.height[rule] = known.height_of(tree, tree.rules[rule].body);
  }
  return known;
}

}  // namespace corbel
