#include "corbel/grammar/gbnf.h"

#include <algorithm>

#include "corbel/grammar/gbnf_rules.h"

namespace corbel {
namespace {

using Id = GrammarBuilder::Id;
using Kind = GbnfTree::Kind;
constexpr std::uint32_t kMostFused = 256;  // characters of a part that becomes one table
constexpr std::uint32_t kMostHeight = 64;  // rules inside each other in it

class GbnfCompiler {
 public:
  GbnfCompiler(GrammarBuilder& builder, const GbnfTree& tree, const GbnfRules& rules)
      : builder_(builder), tree_(tree), rules_(rules), called_(tree.rules.size(), kNotCalled) {}

  Result<Id> compile() {
    CORBEL_ASSIGN(const Id start, compile_node(tree_.rules[tree_.root].body));
    for (std::size_t i = 0; i < open_.size(); ++i) {  // grows while it runs
      const std::uint32_t rule = open_[i];
      CORBEL_ASSIGN(const Id body, compile_node(tree_.rules[rule].body));
      CORBEL_ASSIGN(const Id text, without_empty(body));
      builder_.set_rule(called_[rule], text);
    }
    return start;
  }

 private:
  static constexpr std::uint32_t kNotCalled = UINT32_MAX;
  using Items = std::vector<std::uint32_t>;

  const GbnfTree::Node& node(std::uint32_t index) const { return tree_.nodes[index]; }
  bool is_small(std::uint32_t index) const {
    return !rules_.is_recursive(tree_, index) && rules_.size_of(tree_, index) <= kMostFused &&
           rules_.height_of(tree_, index) <= kMostHeight;
  }

  Regular::Id expression(Regular& regular, std::uint32_t index) const {
    const GbnfTree::Node& at = node(index);
    switch (at.kind) {
      case Kind::characters: return spell(regular, at.characters, Spelling::plain);
      case Kind::text: return regular.literal(at.text);
      case Kind::sequence: return expression_of_all(regular, at.children);
      case Kind::repeat: return regular.repeat(expression(regular, at.children[0]), at.min, at.max);
      case Kind::rule: return expression(regular, tree_.rules[at.rule].body);
      case Kind::choice: {
        std::vector<Regular::Id> choices;
        for (const std::uint32_t child : at.children) choices.push_back(expression(regular, child));
        return regular.either(std::move(choices));
      }
    }
    return regular.nothing();
  }
  Regular::Id expression_of_all(Regular& regular, const Items& items) const {
    Regular::Id all = regular.epsilon();
    for (std::size_t i = items.size(); i-- > 0;) all = regular.concat(expression(regular, items[i]), all);
    return all;
  }

  /// Items one after the other, or one of them, as one table.
  Result<Id> fused(const Items& items, Kind kind) {
    return builder_.small_regular([&](Regular& regular) -> Result<Regular::Id> {
      if (kind == Kind::sequence) return expression_of_all(regular, items);
      std::vector<Regular::Id> choices;
      for (const std::uint32_t item : items) choices.push_back(expression(regular, item));
      return regular.either(std::move(choices));
    });
  }

  Result<Id> compile_node(std::uint32_t index) {
    if (is_small(index)) {
      auto table = fused({index}, Kind::sequence);
      if (table) return table;
      if (node(index).kind == Kind::characters || node(index).kind == Kind::text)
        return forward_failure(table, place_text(node(index).place));
    }
    const GbnfTree::Node& at = node(index);
    switch (at.kind) {
      case Kind::sequence: return compile_sequence(at.children);
      case Kind::choice: return compile_choice(at);
      case Kind::rule: return call(at.rule);
      case Kind::repeat: {
        CORBEL_ASSIGN(const Id inner, compile_node(at.children[0]));
        return builder_.nodes().repeat(inner, at.min, at.max);
      }
      default: return builder_.literal(at.text);
    }
  }

  /// From `first` on the items that fit one table together; at least one.
  Items small_run(const Items& items, std::size_t first) const {
    Items run = {items[first]};
    std::uint32_t size = rules_.size_of(tree_, items[first]);
    for (std::size_t i = first + 1; i < items.size() && is_small(items[first]) && is_small(items[i]); ++i) {
      size += rules_.size_of(tree_, items[i]);
      if (size > kMostFused) break;
      run.push_back(items[i]);
    }
    return run;
  }

  /// The runs of items as nodes, those of several items as tables where these stay small.
  Result<std::vector<Id>> compile_runs(const Items& items, Kind kind) {
    std::vector<Id> parts;
    for (std::size_t i = 0; i < items.size();) {
      const Items run = small_run(items, i);
      i += run.size();
      if (run.size() > 1) {
        if (const auto table = fused(run, kind)) {
          parts.push_back(*table);
          continue;
        }
      }
      for (const std::uint32_t item : run) {
        CORBEL_ASSIGN(const Id part, compile_node(item));
        parts.push_back(part);
      }
    }
    return parts;
  }

  Result<Id> compile_sequence(const Items& items) {
    CORBEL_ASSIGN(const std::vector<Id> parts, compile_runs(items, Kind::sequence));
    Id all = NodeStore::kEpsilon;
    for (std::size_t i = parts.size(); i-- > 0;) all = builder_.nodes().concat(parts[i], all);
    return all;
  }

  Result<Id> compile_choice(const GbnfTree::Node& at) {
    Items items = at.children;
    std::ranges::stable_partition(items, [this](std::uint32_t item) { return is_small(item); });
    CORBEL_ASSIGN(const std::vector<Id> parts, compile_runs(items, Kind::choice));
    if (parts.size() > NodeStore::kMaxChoices)
      return fail(Code::bad_request, cat(place_text(at.place), ": more than ", NodeStore::kMaxChoices,
                                         " alternatives that do not fit one table"));
    return builder_.nodes().either(parts);
  }

  Result<Id> call(std::uint32_t rule) {
    if (called_[rule] == kNotCalled) {
      called_[rule] = builder_.new_rule();
      open_.push_back(rule);
    }
    const Id called = builder_.nodes().rule(called_[rule]);
    return rules_.nullable[rule] ? builder_.either({NodeStore::kEpsilon, called}) : called;
  }

  /// All texts of a node but the empty one: rules never stand for that themselves.
  Result<Id> without_empty(Id id) {
    NodeStore& nodes = builder_.nodes();
    if (!nodes.nullable(id)) return id;
    const Grammar::Node at = nodes.node(id);  // a copy: the store grows
    switch (at.kind) {
      case Grammar::Kind::table: return without_empty_start(nodes.grammar().tables[at.a], at.b);
      case Grammar::Kind::repeat: {
        CORBEL_ASSIGN(const Id first, without_empty(at.a));
        return nodes.concat(first, nodes.repeat(at.a, 0, at.max == NodeStore::kUnbounded ? at.max : at.max - 1));
      }
      case Grammar::Kind::concat: {
        CORBEL_ASSIGN(const Id first, without_empty(at.a));
        CORBEL_ASSIGN(const Id second, without_empty(at.b));
        return builder_.either({nodes.concat(first, at.b), second});
      }
      case Grammar::Kind::either: {
        std::vector<Id> texts;
        const auto found = nodes.children(id);
        for (const Id choice : std::vector<Id>(found.begin(), found.end())) {
          CORBEL_ASSIGN(const Id text, without_empty(choice));
          texts.push_back(text);
        }
        return nodes.either(texts);
      }
      default: return NodeStore::kNothing;
    }
  }

  /// The table from `start` on, with a first state of its own that does not accept.
  Result<Id> without_empty_start(const Dfa& table, std::uint32_t start) {
    Dfa fresh;
    fresh.class_of = table.class_of;
    fresh.classes = table.classes;
    const auto moved = [](std::uint32_t state) { return state == Dfa::kDead ? state : state + 1; };
    for (std::uint32_t c = 0; c < table.classes; ++c)
      fresh.next.push_back(moved(table.next[start * table.classes + c]));
    for (const std::uint32_t to : table.next) fresh.next.push_back(moved(to));
    fresh.accepts.push_back(0);
    fresh.accepts.insert(fresh.accepts.end(), table.accepts.begin(), table.accepts.end());
    tidy(fresh);
    return builder_.add_table(std::move(fresh));
  }

  GrammarBuilder& builder_;
  const GbnfTree& tree_;
  const GbnfRules& rules_;
  std::vector<std::uint32_t> called_;  // per rule of the text, its number in the grammar
  std::vector<std::uint32_t> open_;    // rules that are called, in the order of their first calls
};

}  // namespace

Result<Id> compile_gbnf(GrammarBuilder& builder, std::string_view text) {
  CORBEL_ASSIGN(const GbnfTree tree, parse_gbnf(text));
  CORBEL_ASSIGN(const GbnfRules rules, study_rules(tree));
  return GbnfCompiler(builder, tree, rules).compile();
}

}  // namespace corbel
