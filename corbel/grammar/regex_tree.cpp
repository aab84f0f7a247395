#include "corbel/grammar/regex_tree.h"

#include <string>

#include "corbel/grammar/regular.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxPatternBytes = 16 << 10;
constexpr std::uint32_t kMaxCount = 10'000;
constexpr int kMaxGroups = 100;  // inside each other

class TreeParser {
 public:
  explicit TreeParser(std::u32string_view pattern) : pattern_(pattern) {}

  Result<RegexTree> parse() {
    CORBEL_ASSIGN(tree_.root, choice());
    if (at_ < pattern_.size()) return wrong(at_, "a ) without (");
    return std::move(tree_);
  }

 private:
  using Kind = RegexTree::Kind;
  using Node = RegexTree::Node;

  static Failure wrong(std::size_t at, std::string_view what) {
    return fail(Code::bad_request, cat(what, " at character ", at));
  }
  bool ahead(char32_t c) const { return at_ < pattern_.size() && pattern_[at_] == c; }

  std::uint32_t add(Node node) {
    node.anchored = node.kind == Kind::begin || node.kind == Kind::end;
    for (const std::uint32_t child : node.children) node.anchored = node.anchored || tree_.nodes[child].anchored;
    tree_.nodes.push_back(std::move(node));
    return static_cast<std::uint32_t>(tree_.nodes.size() - 1);
  }

  Result<std::uint32_t> choice() {
    Node node;
    node.kind = Kind::choice;
    for (;;) {
      CORBEL_ASSIGN(const std::uint32_t branch, sequence());
      node.children.push_back(branch);
      if (!ahead('|')) break;
      ++at_;
    }
    return node.children.size() == 1 ? node.children[0] : add(std::move(node));
  }

  Result<std::uint32_t> sequence() {
    Node node;
    node.kind = Kind::sequence;
    while (at_ < pattern_.size() && pattern_[at_] != '|' && pattern_[at_] != ')') {
      CORBEL_ASSIGN(std::uint32_t item, atom());
      CORBEL_ASSIGN(item, quantified(item));
      node.children.push_back(item);
    }
    return add(std::move(node));
  }

  Result<std::uint32_t> atom() {
    Node node;
    node.kind = Kind::characters;
    const char32_t c = pattern_[at_++];
    switch (c) {
      case '^': node.kind = Kind::begin; break;
      case '$': node.kind = Kind::end; break;
      case '.': node.characters = ecma_dot(); break;
      case '(': return group();
      case '[': {
        CORBEL_ASSIGN(node.characters, parse_regex_class(pattern_, at_));
        break;
      }
      case '\\': {
        if (ahead('A') || ahead('Z') || ahead('z')) {  // Python's and PCRE's names of the ends
          if (ahead('Z')) return wrong(at_ - 1, "\\Z means different things in different dialects; use $");
          node.kind = ahead('A') ? Kind::begin : Kind::end;
          ++at_;
          break;
        }
        CORBEL_ASSIGN(RegexEscape escape, parse_regex_escape(pattern_, at_));
        node.characters = std::move(escape.characters);
        break;
      }
      case '*':
      case '+':
      case '?': return wrong(at_ - 1, "a quantifier without anything before it");
      default: node.characters = CodePoints::single(c);
    }
    return add(std::move(node));
  }

  Result<std::uint32_t> group() {
    if (ahead('?')) {
      const std::size_t start = at_ - 1;
      const std::u32string_view rest = pattern_.substr(at_ + 1);
      if (rest.starts_with(U"=") || rest.starts_with(U"!")) return wrong(start, "a lookahead is not supported");
      if (rest.starts_with(U"<=") || rest.starts_with(U"<!")) return wrong(start, "a lookbehind is not supported");
      if (rest.starts_with(U">")) return wrong(start, "an atomic group is not supported");
      if (rest.starts_with(U"P=")) return wrong(start, "a backreference is not supported");
      if (rest.starts_with(U":")) {
        at_ += 2;
      } else if (rest.starts_with(U"<") || rest.starts_with(U"P<")) {
        while (at_ < pattern_.size() && pattern_[at_] != '>' && pattern_[at_] != ')') ++at_;
        if (!ahead('>')) return wrong(start, "a group's name without >");
        ++at_;
      } else {
        return wrong(start, "inline flags and other (?...) are not supported");
      }
    }
    if (++depth_ > kMaxGroups) return wrong(at_, cat("more than ", kMaxGroups, " groups inside each other"));
    CORBEL_ASSIGN(const std::uint32_t inner, choice());
    --depth_;
    if (!ahead(')')) return wrong(at_, "a group without )");
    ++at_;
    return inner;
  }

  bool number(std::uint32_t& value) {
    const std::size_t start = at_;
    value = 0;
    while (at_ < pattern_.size() && pattern_[at_] >= '0' && pattern_[at_] <= '9') {
      value = std::min<std::uint32_t>(value * 10 + (pattern_[at_] - '0'), kMaxCount + 1);
      ++at_;
    }
    return at_ > start;
  }

  /// {n}, {n,} or {n,m}; anything else in braces is plain text, as ECMA-262 has it without the u flag.
  bool counted(Node& node) {
    const std::size_t start = at_++;
    bool good = number(node.min);
    node.max = node.min;
    if (good && ahead(',')) {
      ++at_;
      if (!number(node.max)) node.max = Regular::kUnbounded;
    }
    good = good && ahead('}');
    at_ = good ? at_ + 1 : start;
    return good;
  }

  Result<std::uint32_t> quantified(std::uint32_t item) {
    Node node;
    node.kind = Kind::repeat;
    node.children = {item};
    node.max = Regular::kUnbounded;
    const std::size_t start = at_;
    if (ahead('*') || ahead('+') || ahead('?')) {
      node.min = pattern_[at_] == '+' ? 1 : 0;
      if (pattern_[at_] == '?') node.max = 1;
      ++at_;
    } else if (!ahead('{') || !counted(node)) {
      return item;
    }
    if (node.min > kMaxCount || (node.max > kMaxCount && node.max != Regular::kUnbounded)) {
      return wrong(start, cat("a count above ", kMaxCount));
    }
    if (node.min > node.max) return wrong(start, "a count whose least is above its most");
    if (ahead('?')) ++at_;
    if (ahead('+')) return wrong(at_, "a possessive quantifier is not supported");
    if (ahead('*') || ahead('?')) return wrong(at_, "a quantifier after a quantifier");
    if (tree_.nodes[item].anchored) return wrong(start, "a quantifier after an anchor");
    return add(std::move(node));
  }

  std::u32string_view pattern_;
  std::size_t at_ = 0;
  int depth_ = 0;
  RegexTree tree_;
};

}  // namespace

Result<RegexTree> parse_regex_tree(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return fail(Code::bad_request,
                cat("it has ", pattern.size(), " bytes; at most ", kMaxPatternBytes, " are compiled"));
  }
  if (valid_utf8_prefix(pattern) != pattern.size()) return fail(Code::bad_request, "it is not valid UTF-8");
  std::u32string characters;
  for (std::size_t at = 0; at < pattern.size();) {
    const Utf8Char c = utf8_at(pattern.data() + at);
    characters += c.code;
    at += c.bytes;
  }
  return TreeParser(characters).parse();
}

}  // namespace corbel
