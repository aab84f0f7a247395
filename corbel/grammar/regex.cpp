#include "corbel/grammar/regex.h"

#include "corbel/grammar/regex_tree.h"

namespace corbel {
namespace {

constexpr int kMaxPlacements = 1000;  // alternatives that differ in their anchors

/// Turns a tree into an expression. Anchors are resolved by writing out, per alternative, what may stand around it.
class RegexWriter {
 public:
  RegexWriter(Regular& regular, const RegexTree& tree, RegexAnchoring anchoring, Spelling spelling)
      : regular_(regular), tree_(tree), spelling_(spelling) {
    around_ = anchoring == RegexAnchoring::whole ? regular_.epsilon()
                                                 : regular_.star(spell(regular_, CodePoints{}.complement(), spelling));
  }

  Result<Regular::Id> whole() { return placed({{tree_.root}}); }

 private:
  using Kind = RegexTree::Kind;
  using Items = std::vector<std::uint32_t>;

  const RegexTree::Node& node(std::uint32_t index) const { return tree_.nodes[index]; }

  Regular::Id plain(std::uint32_t index) {
    const RegexTree::Node& at = node(index);
    switch (at.kind) {
      case Kind::characters: return spell(regular_, at.characters, spelling_);
      case Kind::repeat: return regular_.repeat(plain(at.children[0]), at.min, at.max);
      case Kind::sequence: return joined(at.children);
      case Kind::choice: {
        std::vector<Regular::Id> choices;
        for (const std::uint32_t child : at.children) choices.push_back(plain(child));
        return regular_.either(std::move(choices));
      }
      default: return regular_.epsilon();
    }
  }

  Regular::Id joined(const Items& items) {
    Regular::Id id = regular_.epsilon();
    for (std::size_t i = items.size(); i-- > 0;) id = regular_.concat(plain(items[i]), id);
    return id;
  }

  /// Opens sequences at position `at` until something else, or nothing, stands there.
  void open(Items& items, bool front) const {
    while (!items.empty()) {
      const std::size_t at = front ? 0 : items.size() - 1;
      const RegexTree::Node& edge = node(items[at]);
      if (edge.kind != Kind::sequence) return;
      items.erase(items.begin() + static_cast<std::ptrdiff_t>(at));
      items.insert(items.begin() + static_cast<std::ptrdiff_t>(at), edge.children.begin(), edge.children.end());
    }
  }

  /// A sequence, and which ends of the text it is already bound to.
  struct Placed {
    Items items;
    bool begin = false;
    bool end = false;
  };

  /// (^a|b)c is ^ac|bc: an anchor inside a choice at an end is brought to the end itself.
  Result<Regular::Id> distributed(const Placed& place, std::size_t at) {
    std::vector<Regular::Id> choices;
    for (const std::uint32_t branch : node(place.items[at]).children) {
      Placed copy = place;
      copy.items[at] = branch;
      CORBEL_ASSIGN(const Regular::Id id, placed(std::move(copy)));
      choices.push_back(id);
    }
    return regular_.either(std::move(choices));
  }

  Result<Regular::Id> placed(Placed place) {
    if (++placements_ > kMaxPlacements) return fail(Code::bad_request, "its anchors stand in too many alternatives");
    Items& items = place.items;
    for (open(items, true); !items.empty() && node(items[0]).kind == Kind::begin; open(items, true)) {
      place.begin = true;
      items.erase(items.begin());
    }
    for (open(items, false); !items.empty() && node(items.back()).kind == Kind::end; open(items, false)) {
      place.end = true;
      items.pop_back();
    }
    for (const std::size_t at : {std::size_t{0}, items.size() - 1}) {
      if (!items.empty() && node(items[at]).anchored && node(items[at]).kind == Kind::choice)
        return distributed(place, at);
    }
    for (const std::uint32_t item : items) {
      if (node(item).anchored) return fail(Code::bad_request, "an anchor (^ or $) in the middle is not supported");
    }
    return regular_.concat(
        {place.begin ? regular_.epsilon() : around_, joined(items), place.end ? regular_.epsilon() : around_});
  }

  Regular& regular_;
  const RegexTree& tree_;
  Spelling spelling_;
  Regular::Id around_ = 0;
  int placements_ = 0;
};

}  // namespace

Result<Regular::Id> parse_regex(Regular& regular, std::string_view pattern, RegexAnchoring anchoring,
                                Spelling spelling) {
  CORBEL_ASSIGN(const RegexTree tree, parse_regex_tree(pattern));
  return RegexWriter(regular, tree, anchoring, spelling).whole();
}

}  // namespace corbel
