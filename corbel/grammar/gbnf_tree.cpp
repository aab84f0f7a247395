#include "corbel/grammar/gbnf_tree.h"

#include <unordered_map>

#include "corbel/base/quote.h"
#include "corbel/grammar/regular.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::size_t kMostBytes = 256 << 10;
constexpr std::size_t kMostRules = 2000;
constexpr std::uint32_t kMostCount = 10'000;
constexpr int kMostDepth = 64;  // groups inside each other

bool is_name(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

int hex_value(char32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A' + 10);
  return -1;
}

class Parser {
 public:
  explicit Parser(std::u32string_view text) : text_(text) {}

  Result<GbnfTree> parse() {
    for (space(true); at_ < text_.size(); space(true)) CORBEL_TRY(rule());
    for (const GbnfTree::Rule& rule : tree_.rules) {
      if (!rule.defined) return wrong(rule.place, cat("the rule ", quote(rule.name), " is used and not defined"));
    }
    const auto root = rules_.find("root");
    if (root == rules_.end())
      return fail(Code::bad_request, "it has no rule \"root\", which is what is written: root ::= ...");
    tree_.root = root->second;
    return std::move(tree_);
  }

 private:
  using Kind = GbnfTree::Kind;
  using Node = GbnfTree::Node;
  using Place = GbnfTree::Place;

  static Failure wrong(const Place& place, std::string_view what) {
    return fail(Code::bad_request, cat(place_text(place), ": ", what));
  }
  Failure wrong_here(std::string_view what) const { return wrong(place_, what); }

  bool ahead(char32_t c) const { return at_ < text_.size() && text_[at_] == c; }
  char32_t take() {
    const char32_t c = text_[at_++];
    if (c == '\n') {
      ++place_.line;
      place_.column = 1;
    } else {
      ++place_.column;
    }
    return c;
  }
  void space(bool lines) {
    while (at_ < text_.size()) {
      const char32_t c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') take();
      } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
        take();
      } else {
        return;
      }
    }
  }
  /// What stands here, for messages.
  std::string found() const {
    if (at_ == text_.size()) return "the end";
    if (text_[at_] == '\n' || text_[at_] == '\r') return "the line's end";
    std::string utf8;
    append_utf8(utf8, text_[at_]);
    return quote(utf8);
  }

  std::uint32_t add(Node node) {
    tree_.nodes.push_back(std::move(node));
    return static_cast<std::uint32_t>(tree_.nodes.size() - 1);
  }

  Result<std::uint32_t> named_rule() {
    const Place place = place_;
    std::string name;
    while (at_ < text_.size() && is_name(text_[at_])) name += static_cast<char>(take());
    const auto [known, is_new] = rules_.try_emplace(name, static_cast<std::uint32_t>(tree_.rules.size()));
    if (is_new) {
      if (tree_.rules.size() == kMostRules) return wrong(place, cat("more than ", kMostRules, " rules"));
      tree_.rules.push_back({.name = std::move(name), .place = place});
    }
    return known->second;
  }

  Result<void> rule() {
    const Place place = place_;
    if (!is_name(text_[at_])) return wrong_here(cat("a rule's name is expected, found ", found()));
    CORBEL_ASSIGN(const std::uint32_t index, named_rule());
    if (tree_.rules[index].defined)
      return wrong(place, cat("the rule ", quote(tree_.rules[index].name), " was defined at ",
                              place_text(tree_.rules[index].place)));
    tree_.rules[index].defined = true;
    tree_.rules[index].place = place;
    space(false);
    for (const char32_t c : std::u32string_view(U"::=")) {
      if (!ahead(c)) return wrong_here(cat("\"::=\" is expected behind a rule's name, found ", found()));
      take();
    }
    space(true);
    CORBEL_ASSIGN(tree_.rules[index].body, choice());
    if (at_ < text_.size() && !ahead('\n') && !ahead('\r'))
      return wrong_here(cat("the rule's end or a further item is expected, found ", found()));
    return {};
  }

  Result<std::uint32_t> choice() {
    Node node{.kind = Kind::choice, .place = place_};
    for (;;) {
      CORBEL_ASSIGN(const std::uint32_t branch, sequence());
      node.children.push_back(branch);
      if (!ahead('|')) break;
      take();
      space(true);
    }
    return node.children.size() == 1 ? node.children[0] : add(std::move(node));
  }

  Result<std::uint32_t> sequence() {
    Node node{.kind = Kind::sequence, .place = place_};
    while (at_ < text_.size()) {
      const char32_t c = text_[at_];
      if (c == '*' || c == '+' || c == '?' || c == '{') {
        if (node.children.empty()) return wrong_here(cat(found(), " without anything before it"));
        CORBEL_ASSIGN(node.children.back(), repeated(node.children.back()));
      } else if (c == '"' || c == '[' || c == '(' || c == '.' || is_name(c)) {
        CORBEL_ASSIGN(const std::uint32_t item, this->item());
        node.children.push_back(item);
      } else if (c == '<' || c == '!') {
        return wrong_here("tokens by name or number (<...>) are not supported; write the text that they stand for");
      } else {
        break;
      }
      space(depth_ > 0);
    }
    return node.children.size() == 1 ? node.children[0] : add(std::move(node));
  }

  Result<std::uint32_t> item() {
    Node node{.place = place_};
    const char32_t c = text_[at_];
    if (is_name(c)) {
      node.kind = Kind::rule;
      CORBEL_ASSIGN(node.rule, named_rule());
      return add(std::move(node));
    }
    take();
    if (c == '(') return group(node.place);
    if (c == '.') {
      node.kind = Kind::characters;
      node.characters = CodePoints{}.complement();
    } else if (c == '[') {
      node.kind = Kind::characters;
      CORBEL_ASSIGN(node.characters, character_class(node.place));
    } else {
      node.kind = Kind::text;
      while (!ahead('"')) {
        if (at_ == text_.size()) return wrong(node.place, "a text without its closing \"");
        CORBEL_ASSIGN(const char32_t one, character());
        append_utf8(node.text, one);
      }
      take();
    }
    return add(std::move(node));
  }

  Result<std::uint32_t> group(const Place& place) {
    if (++depth_ > kMostDepth) return wrong(place, cat("more than ", kMostDepth, " groups inside each other"));
    space(true);
    CORBEL_ASSIGN(const std::uint32_t inner, choice());
    if (!ahead(')')) return wrong_here(cat("the ) of the ( at ", place_text(place), " is expected, found ", found()));
    take();
    --depth_;
    return inner;
  }

  Result<char32_t> character() {
    const Place place = place_;
    const char32_t c = take();
    if (c != '\\') return c;
    if (at_ == text_.size()) return wrong(place, "a backslash ends the grammar");
    const char32_t kind = take();
    switch (kind) {
      case 'n': return U'\n';
      case 'r': return U'\r';
      case 't': return U'\t';
      case '\\':
      case '"':
      case '[':
      case ']': return kind;
      case 'x': return hex(place, 2);
      case 'u': return hex(place, 4);
      case 'U': return hex(place, 8);
      default: return wrong(place, R"(an unknown escape; known: \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH)");
    }
  }

  Result<char32_t> hex(const Place& place, int digits) {
    std::uint32_t value = 0;
    for (int i = 0; i < digits; ++i) {
      const int digit = at_ < text_.size() ? hex_value(text_[at_]) : -1;
      if (digit < 0) return wrong(place, cat("an escape that needs ", digits, " hexadecimal digits"));
      value = value * 16 + static_cast<std::uint32_t>(digit);
      take();
    }
    if (value > CodePoints::kLast || (value >= 0xD800 && value < 0xE000))
      return wrong(place, "an escape of a surrogate or of no character");
    return static_cast<char32_t>(value);
  }

  Result<CodePoints> character_class(const Place& place) {
    CodePoints points;
    const bool inverted = ahead('^');
    if (inverted) take();
    while (!ahead(']')) {
      if (at_ == text_.size()) return wrong(place, "a class without its closing ]");
      CORBEL_ASSIGN(const char32_t low, character());
      char32_t high = low;
      if (ahead('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        take();
        CORBEL_ASSIGN(high, character());
      }
      if (high < low) return wrong(place, "a range of a class that runs backwards");
      points.add(low, high);
    }
    take();
    if (points.empty()) return wrong(place, "a class of no characters");
    points.normalize();
    return inverted ? points.complement() : points;
  }

  bool number(std::uint32_t& value) {
    bool any = false;
    for (value = 0; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; any = true)
      value = std::min<std::uint32_t>(value * 10 + (take() - '0'), kMostCount + 1);
    return any;
  }

  Result<std::uint32_t> repeated(std::uint32_t item) {
    Node node{.kind = Kind::repeat, .children = {item}, .max = Regular::kUnbounded, .place = place_};
    const char32_t c = take();
    if (c == '+') node.min = 1;
    if (c == '?') node.max = 1;
    if (c == '{') {
      space(false);
      if (!number(node.min)) return wrong(node.place, "a { without a count: {m}, {m,} or {m,n}");
      space(false);
      node.max = node.min;
      if (ahead(',')) {
        take();
        space(false);
        if (!number(node.max)) node.max = Regular::kUnbounded;
        space(false);
      }
      if (!ahead('}')) return wrong(node.place, "a { without }: {m}, {m,} or {m,n}");
      take();
      if (node.min > kMostCount || (node.max > kMostCount && node.max != Regular::kUnbounded))
        return wrong(node.place, cat("a count above ", kMostCount));
      if (node.min > node.max) return wrong(node.place, "a count whose least is above its most");
    }
    return add(std::move(node));
  }

  std::u32string_view text_;
  std::size_t at_ = 0;
  Place place_;
  int depth_ = 0;
  GbnfTree tree_;
  std::unordered_map<std::string, std::uint32_t> rules_;
};

}  // namespace

std::string place_text(const GbnfTree::Place& place) { return cat("line ", place.line, ", column ", place.column); }

Result<GbnfTree> parse_gbnf(std::string_view text) {
  if (text.size() > kMostBytes)
    return fail(Code::bad_request, cat("it has ", text.size(), " bytes; at most ", kMostBytes, " are compiled"));
  if (valid_utf8_prefix(text) != text.size()) return fail(Code::bad_request, "it is not valid UTF-8");
  std::u32string characters;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text.data() + at);
    characters += c.code;
    at += c.bytes;
  }
  return Parser(characters).parse();
}

}  // namespace corbel
