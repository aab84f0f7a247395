#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "corbel/grammar/node_store.h"
#include "corbel/grammar/regular.h"

namespace corbel {

/// What the compilers of schemas, regexes and parts have in common: nodes, tables (each once), limits.
class GrammarBuilder {
 public:
  using Id = NodeStore::Id;

  explicit GrammarBuilder(const GrammarOptions& options) : options_(options), work_left_(options.max_work) {
    nodes_.grammar().alphabet = options.alphabet;
  }

  const GrammarOptions& options() const { return options_; }
  NodeStore& nodes() { return nodes_; }
  const NodeStore& nodes() const { return nodes_; }
  /// Schemas that stand in the grammar already, by text and part.
  std::unordered_map<std::string, Id>& schemas() { return schemas_; }

  /// Counts work that is done outside of regular parts, about 0.1 us a unit; refuses when none is left.
  Result<void> spend(std::uint64_t units);
  std::uint64_t work_left() const { return work_left_; }

  /// A table as a node, at its start. Counts against the limit of states.
  Result<Id> add_table(Dfa dfa);
  /// `text` as it is; nothing when a byte of it is not in the alphabet.
  Result<Id> literal(std::string_view text);
  /// The language that `make` builds in a store of its own.
  Result<Id> regular(const std::function<Result<Regular::Id>(Regular&)>& make);
  /// The same, given up soon: where there is another way than a table.
  Result<Id> small_regular(const std::function<Result<Regular::Id>(Regular&)>& make);
  Result<Dfa> regular_table(const std::function<Result<Regular::Id>(Regular&)>& make);
  /// What both tables have; the limit of states is that of intersect().
  Result<Dfa> both(const Dfa& a, const Dfa& b, std::uint32_t max_states);
  /// A JSON string of min to max characters, with its marks.
  Result<Id> json_string(std::uint32_t min, std::uint32_t max);
  /// Whitespace between the tokens of JSON, as the options say.
  Result<Id> space();

  /// Any JSON value; any JSON object.
  Result<Id> any_value();
  Result<Id> any_object();
  /// `open`, then items with commas between and spaces around, then `close`. REQUIRES: items are not empty.
  Result<Id> list_of(std::string_view open, Id item, std::string_view close);

  std::uint32_t new_rule();
  void set_rule(std::uint32_t rule, Id body) { nodes_.grammar().rules[rule] = body; }

  Id concat(std::initializer_list<Id> parts);
  Id either(std::initializer_list<Id> parts) { return nodes_.either(std::span<const Id>(parts.begin(), parts.size())); }

  /// Takes out what has no end (a rule that needs itself), and rules that nothing uses.
  /// Refuses a grammar of no text, and a rule that begins with itself.
  Result<Grammar> finish(Id start);
  /// Is there no text at all that `start` stands for?
  bool has_no_text(Id start) const { return !productive_nodes()[start]; }
  /// By node: is there any text that it stands for?
  std::vector<bool> productive_nodes() const;

 private:
  Result<Dfa> table_within(const Regular::Limits& limits, const std::function<Result<Regular::Id>(Regular&)>& make);

  GrammarOptions options_;
  NodeStore nodes_;
  std::unordered_multimap<std::uint64_t, std::uint32_t> tables_;  // hash -> index
  std::unordered_map<std::string, Id> schemas_;
  std::uint64_t work_left_;
  std::uint64_t total_states_ = 0;
  std::int64_t character_table_ = -1;
  std::int64_t any_value_ = -1;  // a rule
};

/// Whether a rule of it is empty or may begin with itself: it would be called for ever.
bool begins_with_itself(const Grammar& grammar);

}  // namespace corbel
