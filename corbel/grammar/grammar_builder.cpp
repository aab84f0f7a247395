#include "corbel/grammar/grammar_builder.h"

#include <algorithm>
#include <optional>

#include "corbel/grammar/json_text.h"
#include "corbel/grammar/number_range.h"

namespace corbel {
namespace {

constexpr std::uint64_t kCellsOfUnit = 16;     // of a table that is hashed and compared
constexpr std::uint64_t kMadeCellsOfUnit = 4;  // of a table that is made

using Id = NodeStore::Id;
using Kind = Grammar::Kind;

/// Copies a grammar without its unproductive rules, from the start on.
class Pruner {
 public:
  Pruner(const Grammar& old, const std::vector<bool>& productive) : old_(old), productive_(productive) {
    Grammar fresh;
    fresh.tables = old.tables;
    fresh.alphabet = old.alphabet;
    nodes_ = NodeStore(std::move(fresh));
    rule_of_.assign(old.rules.size(), UINT32_MAX);
    copy_of_.assign(old.nodes.size(), UINT32_MAX);
  }

  Grammar run(Id start) {
    const Id fresh = copy(start);
    nodes_.grammar().start = fresh;
    for (std::size_t i = 0; i < reached_.size(); ++i) {  // grows while it runs
      const Id body = copy(old_.rules[reached_[i]]);
      nodes_.grammar().rules[i] = body;
    }
    return nodes_.grammar();
  }

 private:
  Id rule(std::uint32_t index) {
    if (!productive_[old_.rules[index]]) return NodeStore::kNothing;
    if (rule_of_[index] == UINT32_MAX) {
      rule_of_[index] = static_cast<std::uint32_t>(reached_.size());
      reached_.push_back(index);
      nodes_.grammar().rules.push_back(NodeStore::kNothing);
    }
    return nodes_.rule(rule_of_[index]);
  }

  /// Without recursion down its tail: sequences are long.
  Id copy_sequence(Id id) {
    std::vector<Id> parts;
    for (; old_.nodes[id].kind == Kind::concat && copy_of_[id] == UINT32_MAX; id = old_.nodes[id].b)
      parts.push_back(id);
    Id fresh = copy(id);
    for (auto part = parts.rbegin(); part != parts.rend(); ++part)
      fresh = copy_of_[*part] = nodes_.concat(copy(old_.nodes[*part].a), fresh);
    return fresh;
  }

  Id copy(Id id) {
    if (copy_of_[id] != UINT32_MAX) return copy_of_[id];
    const Grammar::Node& node = old_.nodes[id];
    Id fresh = id;
    switch (node.kind) {
      case Kind::table: fresh = nodes_.table(node.a, node.b); break;
      case Kind::text: fresh = nodes_.text(node.a, node.min, node.max); break;
      case Kind::rule: fresh = rule(node.a); break;
      case Kind::repeat: fresh = nodes_.repeat(copy(node.a), node.min, node.max); break;
      case Kind::concat: return copy_sequence(id);
      case Kind::either: {
        std::vector<Id> choices;
        for (std::uint32_t i = 0; i < node.b; ++i) choices.push_back(copy(old_.children[node.a + i]));
        fresh = nodes_.either(choices);
        break;
      }
      default: break;
    }
    return copy_of_[id] = fresh;
  }

  const Grammar& old_;
  const std::vector<bool>& productive_;
  NodeStore nodes_;
  std::vector<std::uint32_t> rule_of_;
  std::vector<std::uint32_t> copy_of_;
  std::vector<std::uint32_t> reached_;
};

/// Rules that a node may begin with.
void fronts(const Grammar& grammar, Id id, std::vector<std::uint32_t>& rules) {
  for (; grammar.nodes[id].kind == Kind::concat && grammar.nodes[grammar.nodes[id].a].nullable;
       id = grammar.nodes[id].b)
    fronts(grammar, grammar.nodes[id].a, rules);
  const Grammar::Node& node = grammar.nodes[id];
  if (node.kind == Kind::rule) rules.push_back(node.a);
  if (node.kind == Kind::repeat || node.kind == Kind::concat) fronts(grammar, node.a, rules);
  if (node.kind == Kind::either) {
    for (std::uint32_t i = 0; i < node.b; ++i) fronts(grammar, grammar.children[node.a + i], rules);
  }
}

}  // namespace

/// Rules in an order where each comes after those it begins with exist exactly when none does.
bool begins_with_itself(const Grammar& grammar) {
  std::vector<std::vector<std::uint32_t>> users(grammar.rules.size());
  std::vector<std::uint32_t> waits(grammar.rules.size());
  std::vector<std::uint32_t> open;
  for (std::uint32_t rule = 0; rule < grammar.rules.size(); ++rule) {
    if (grammar.nodes[grammar.rules[rule]].nullable) return true;
    std::vector<std::uint32_t> first;
    fronts(grammar, grammar.rules[rule], first);
    waits[rule] = static_cast<std::uint32_t>(first.size());
    for (const std::uint32_t other : first) users[other].push_back(rule);
    if (first.empty()) open.push_back(rule);
  }
  std::size_t done = 0;
  for (; !open.empty(); ++done) {
    const std::uint32_t rule = open.back();
    open.pop_back();
    for (const std::uint32_t user : users[rule]) {
      if (--waits[user] == 0) open.push_back(user);
    }
  }
  return done != grammar.rules.size();
}

Result<void> GrammarBuilder::spend(std::uint64_t units) {
  if (units < work_left_) {
    work_left_ -= units;
    return {};
  }
  work_left_ = 0;
  return fail(Code::bad_request, cat("it needs more than ", options_.max_work,
                                     " units of work; use fewer alternatives, references and tables"));
}

Result<Id> GrammarBuilder::add_table(Dfa dfa) {
  if (dfa.empty()) return NodeStore::kNothing;
  CORBEL_TRY(spend(dfa.next.size() / kCellsOfUnit));
  const std::uint64_t hash = dfa.hash();
  const auto [first, last] = tables_.equal_range(hash);
  std::vector<Dfa>& tables = nodes_.grammar().tables;
  for (auto it = first; it != last; ++it) {
    if (tables[it->second] == dfa) return nodes_.table(it->second, 0);
  }
  total_states_ += dfa.states();
  if (total_states_ > options_.max_total_states) {
    return fail(Code::bad_request, cat("it needs more than ", options_.max_total_states,
                                       " states in all; use fewer keywords and smaller counts"));
  }
  const auto index = static_cast<std::uint32_t>(tables.size());
  tables.push_back(std::move(dfa));
  tables_.emplace(hash, index);
  return nodes_.table(index, 0);
}

Result<Id> GrammarBuilder::literal(std::string_view text) {
  if (text.empty()) return NodeStore::kEpsilon;
  for (const char c : text) {
    if (!options_.alphabet.has(static_cast<std::uint8_t>(c))) return NodeStore::kNothing;
  }
  return add_table(dfa_of_literals({std::string(text)}));
}

Result<Dfa> GrammarBuilder::regular_table(const std::function<Result<Regular::Id>(Regular&)>& make) {
  return table_within({options_.max_table_states, options_.max_table_states * 20, work_left_}, make);
}

Result<Dfa> GrammarBuilder::table_within(const Regular::Limits& limits,
                                         const std::function<Result<Regular::Id>(Regular&)>& make) {
  Regular regular(limits, options_.alphabet);
  CORBEL_ASSIGN(const Regular::Id id, make(regular));
  Result<Dfa> table = regular.determinize(id);
  work_left_ -= std::min(work_left_, regular.work());
  return table;
}

Result<Id> GrammarBuilder::regular(const std::function<Result<Regular::Id>(Regular&)>& make) {
  CORBEL_ASSIGN(Dfa dfa, regular_table(make));
  return add_table(std::move(dfa));
}

Result<Dfa> GrammarBuilder::both(const Dfa& a, const Dfa& b, std::uint32_t max_states) {
  std::uint64_t cells = 0;
  Result<Dfa> table = intersect(a, b, max_states, cells);
  CORBEL_TRY(spend(cells / kMadeCellsOfUnit));
  return table;
}

Result<Id> GrammarBuilder::small_regular(const std::function<Result<Regular::Id>(Regular&)>& make) {
  constexpr std::uint32_t kStates = 2000;
  constexpr std::uint64_t kWork = 400'000;
  const std::uint32_t states = std::min(options_.max_table_states, kStates);
  CORBEL_ASSIGN(Dfa dfa, table_within({states, states * 20, std::min(work_left_, kWork)}, make));
  return add_table(std::move(dfa));
}

Result<Id> GrammarBuilder::json_string(std::uint32_t min, std::uint32_t max) {
  if (character_table_ < 0) {
    CORBEL_ASSIGN(const Id id, regular([](Regular& r) { return Result<Regular::Id>(json_character(r)); }));
    if (id == NodeStore::kNothing) return min == 0 ? literal("\"\"") : Result<Id>(id);
    character_table_ = nodes_.node(id).a;
  }
  CORBEL_ASSIGN(const Id mark, literal("\""));
  if (mark == NodeStore::kNothing) return mark;
  return nodes_.concat(mark, nodes_.text(static_cast<std::uint32_t>(character_table_), min, max));
}

Result<Id> GrammarBuilder::space() {
  if (options_.whitespace == Whitespace::compact) return NodeStore::kEpsilon;
  return regular([](Regular& r) -> Result<Regular::Id> {
    const Regular::Id indent = r.either({r.repeat(r.literal(" "), 0, 40), r.repeat(r.literal("\t"), 0, 10)});
    return r.either({r.epsilon(), r.literal(" "), r.concat(r.literal("\n"), indent)});
  });
}

std::uint32_t GrammarBuilder::new_rule() {
  nodes_.grammar().rules.push_back(NodeStore::kNothing);
  return static_cast<std::uint32_t>(nodes_.grammar().rules.size() - 1);
}

Id GrammarBuilder::concat(std::initializer_list<Id> parts) {
  Id id = NodeStore::kEpsilon;
  for (const Id* part = parts.end(); part != parts.begin();) id = nodes_.concat(*--part, id);
  return id;
}

std::vector<bool> GrammarBuilder::productive_nodes() const {
  const Grammar& grammar = nodes_.grammar();
  // A node becomes productive once what it waits for has: users are woken, so that the whole is linear.
  std::vector<std::uint32_t> waits(grammar.nodes.size(), 1);
  std::vector<std::vector<std::uint32_t>> users(grammar.nodes.size());
  std::vector<std::vector<std::uint32_t>> calls(grammar.rules.size());  // nodes that call a rule
  std::vector<std::vector<std::uint32_t>> bodies(grammar.nodes.size());
  std::vector<Id> open;
  for (Id id = 1; id < grammar.nodes.size(); ++id) {
    const Grammar::Node& node = grammar.nodes[id];
    if (node.kind == Kind::epsilon || node.kind == Kind::table || node.kind == Kind::text || node.nullable) {
      waits[id] = 0;
      open.push_back(id);
    } else if (node.kind == Kind::rule) {
      calls[node.a].push_back(id);
    } else if (node.kind == Kind::either) {
      for (std::uint32_t i = 0; i < node.b; ++i) users[grammar.children[node.a + i]].push_back(id);
    } else {
      users[node.a].push_back(id);
      if (node.kind == Kind::concat) {
        users[node.b].push_back(id);
        waits[id] = 2;
      }
    }
  }
  for (std::uint32_t rule = 0; rule < grammar.rules.size(); ++rule) bodies[grammar.rules[rule]].push_back(rule);
  std::vector<bool> productive(grammar.nodes.size(), false);
  const auto wake = [&](Id id) {
    if (waits[id] > 0 && --waits[id] == 0) open.push_back(id);
  };
  while (!open.empty()) {
    const Id id = open.back();
    open.pop_back();
    productive[id] = true;
    for (const Id user : users[id]) wake(user);
    for (const std::uint32_t rule : bodies[id]) std::for_each(calls[rule].begin(), calls[rule].end(), wake);
  }
  return productive;
}

Result<Grammar> GrammarBuilder::finish(Id start) {
  const std::vector<bool> productive = productive_nodes();
  Grammar grammar = Pruner(nodes_.grammar(), productive).run(start);
  if (grammar.start == NodeStore::kNothing) {
    return fail(Code::bad_request,
                "no text satisfies it: its keywords contradict each other, a value needs itself without end, or the "
                "vocabulary lacks bytes that it needs");
  }
  if (begins_with_itself(grammar)) return fail(Code::bad_request, "a part of it may begin with itself");
  return grammar;
}

}  // namespace corbel
