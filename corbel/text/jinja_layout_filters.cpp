#include <algorithm>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_filters.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

Value indent(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("indent", args, {"width", "first", "blank"});
  if (!input.is_text()) raise(cat("indent() needs a string, found '", type_name(input), "'"));
  const std::string margin = bound.get(0) != nullptr && bound[0].is_text()
                                 ? bound[0].text()
                                 : std::string(static_cast<std::size_t>(checked_width(bound.integer(0, 4))), ' ');
  const bool blank = bound.truth(2, false);
  std::string out = bound.truth(1, false) ? margin : "";
  const std::vector<std::string> lines = split_lines(input.text() + "\n");
  interpreter.charge(lines.size() * margin.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += margin;
    out += lines[i];
  }
  return interpreter.make_text(std::move(out), input.safe());
}

Value wordcount(Interpreter&, const Value& input, CallArgs&) {
  std::int64_t count = 0;
  bool inside = false;
  for (const std::string& c : characters(to_text(input))) {
    const char32_t code = utf8_at(c.data()).code;
    const bool word = is_word(code) || code == '_';
    count += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::integer(count);
}

Value truncate(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("truncate", args, {"length", "killwords", "end", "leeway"});
  const std::string end = bound.text(2, "...");
  const std::int64_t room = bound.integer(0, 255) - static_cast<std::int64_t>(count_characters(end));
  const std::int64_t leeway = bound.given(3) != nullptr ? bound.integer(3, 5) : 5;
  if (room < 0) raise("truncate() needs a length beyond that of its end");
  if (leeway < 0) raise("truncate() needs a leeway of at least 0");
  const auto size = length(input);
  if (!size) raise(cat("truncate() needs a string, found '", type_name(input), "'"));
  if (*size <= bound.integer(0, 255) + leeway) return input;
  if (!input.is_text()) raise(cat("truncate() needs a string, found '", type_name(input), "'"));
  const std::vector<std::string> all = characters(input.text());
  std::string out;
  for (std::int64_t i = 0; i < room; ++i) out += all[static_cast<std::size_t>(i)];
  if (!bound.truth(1, false)) {
    if (const std::size_t space = out.rfind(' '); space != std::string::npos) out.resize(space);
  }
  return interpreter.make_text(out + end, input.safe());
}

Value center(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("center", args, {"width"});
  const std::string text = to_text(input);
  const std::int64_t width = checked_width(bound.integer(0, 80));
  const std::int64_t missing = width - static_cast<std::int64_t>(count_characters(text));
  if (missing <= 0) return interpreter.make_text(text, input.safe());
  // Python puts the odd space on the left when the width is odd.
  const std::int64_t left = missing / 2 + (missing & width & 1);
  return interpreter.make_text(std::string(static_cast<std::size_t>(left), ' ') + text +
                                   std::string(static_cast<std::size_t>(missing - left), ' '),
                               input.safe());
}

using Characters = std::vector<std::string>;

bool is_wrap_space(const std::string& c) {
  return c.size() == 1 && std::string_view("\t\n\x0b\x0c\r ").find(c[0]) != std::string_view::npos;
}
char32_t code_of(const std::string& c) { return utf8_at(c.data()).code; }
bool is_word_character(const std::string& c) { return c == "_" || is_word(code_of(c)); }
bool is_wrap_letter(const std::string& c) { return is_word_character(c) && c != "_" && !is_number(code_of(c)); }
bool is_word_or_mark(const std::string& c) {
  return is_word_character(c) || (c.size() == 1 && std::string_view("!\"'&.,?").find(c[0]) != std::string_view::npos);
}

/// Cuts a line where Python's textwrap may break it: at white space, behind the hyphens of words, around long dashes.
class WrapPieces {
 public:
  WrapPieces(const Characters& line, bool hyphens) : line_(line), hyphens_(hyphens) {}

  std::vector<Characters> run() const {
    std::vector<Characters> pieces;
    for (std::size_t at = 0; at < line_.size();) {
      const std::size_t end = end_of_piece(at);
      pieces.emplace_back(line_.begin() + static_cast<std::ptrdiff_t>(at),
                          line_.begin() + static_cast<std::ptrdiff_t>(end));
      at = end;
    }
    return pieces;
  }

 private:
  bool space(std::size_t i) const { return is_wrap_space(line_[i]); }
  bool hyphen(std::size_t i) const { return i < line_.size() && line_[i] == "-"; }
  bool letter(std::size_t i) const { return i < line_.size() && is_wrap_letter(line_[i]); }

  /// Behind two or more hyphens at `at` that stand between words; `at` where there are none.
  std::size_t end_of_dash(std::size_t at) const {
    if (at == 0 || !is_word_or_mark(line_[at - 1])) return at;
    std::size_t end = at;
    while (hyphen(end)) ++end;
    return end - at >= 2 && end < line_.size() && is_word_character(line_[end]) ? end : at;
  }

  bool breaks_behind_hyphen(std::size_t begin, std::size_t at) const {
    if (!hyphen(at) || at < begin + 1) return false;
    const bool before = (at >= 2 && letter(at - 1) && letter(at - 2)) ||
                        (at >= 3 && is_word_or_mark(line_[at - 1]) && line_[at - 2] == "-" && letter(at - 3));
    return before && letter(at + 1) && (letter(at + 2) || (hyphen(at + 2) && letter(at + 3)));
  }

  std::size_t end_of_piece(std::size_t begin) const {
    std::size_t at = begin;
    if (space(at)) {
      while (at < line_.size() && space(at)) ++at;
      return at;
    }
    if (!hyphens_) {
      while (at < line_.size() && !space(at)) ++at;
      return at;
    }
    if (const std::size_t dash = end_of_dash(at); dash > at) return dash;
    for (++at; at < line_.size() && !space(at); ++at) {
      if (breaks_behind_hyphen(begin, at)) return at + 1;
      if (end_of_dash(at) > at) return at;
    }
    return at;
  }

  const Characters& line_;
  bool hyphens_;
};

struct Wrapping {
  std::size_t width;
  bool long_words;
  bool hyphens;
};

bool blank(const Characters& piece) {
  return std::all_of(piece.begin(), piece.end(),
                     [](const std::string& c) { return strip(c, nullptr, Side::both).empty(); });
}

/// Moves what fits of a piece longer than a line into `line`.
void split_long_word(Characters& piece, Characters& line, const Wrapping& wrapping) {
  const std::size_t room = wrapping.width - line.size();
  std::size_t end = room;
  if (wrapping.hyphens && piece.size() > room) {
    for (std::size_t i = room; i-- > 1;) {
      if (piece[i] != "-") continue;
      const bool word = std::any_of(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(i),
                                    [](const std::string& c) { return c != "-"; });
      if (word) end = i + 1;
      break;
    }
  }
  line.insert(line.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(end));
  piece.erase(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(end));
}

std::vector<Characters> wrapped(const std::string& text, const Wrapping& wrapping) {
  const Characters all = characters(text);
  std::vector<Characters> pieces = WrapPieces(all, wrapping.hyphens).run();
  std::reverse(pieces.begin(), pieces.end());
  std::vector<Characters> lines;
  while (!pieces.empty()) {
    Characters line;
    std::vector<std::size_t> ends;  // of the pieces on the line
    if (!lines.empty() && blank(pieces.back())) pieces.pop_back();
    while (!pieces.empty() && line.size() + pieces.back().size() <= wrapping.width) {
      ends.push_back(line.size());
      line.insert(line.end(), pieces.back().begin(), pieces.back().end());
      pieces.pop_back();
    }
    if (!pieces.empty() && pieces.back().size() > wrapping.width) {
      if (wrapping.long_words) {
        ends.push_back(line.size());
        split_long_word(pieces.back(), line, wrapping);
      } else if (line.empty()) {
        ends.push_back(0);
        line = std::move(pieces.back());
        pieces.pop_back();
      }
    }
    if (!ends.empty() && blank({line.begin() + static_cast<std::ptrdiff_t>(ends.back()), line.end()}))
      line.resize(ends.back());
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

Value wordwrap(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("wordwrap", args, {"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  const std::int64_t width = bound.integer(0, 79);
  if (!input.is_text()) raise(cat("wordwrap() needs a string, found '", type_name(input), "'"));
  if (width <= 0) raise("wordwrap() needs a width of at least 1");
  const std::string between = bound.given(2) != nullptr ? bound.text(2, "") : "\n";
  const Wrapping wrapping{static_cast<std::size_t>(width), bound.truth(1, true), bound.truth(3, true)};
  std::string out;
  bool first = true;
  for (const std::string& paragraph : split_lines(input.text())) {
    interpreter.charge(paragraph.size() * sizeof(std::string));
    if (!first) out += between;
    first = false;
    bool first_line = true;
    for (const Characters& line : wrapped(paragraph, wrapping)) {
      interpreter.charge(line.size() + between.size());
      if (!first_line) out += between;
      first_line = false;
      for (const std::string& c : line) out += c;
    }
  }
  return interpreter.make_text(std::move(out));
}

/// Dicts by their keys, as pprint shows them.
Value sorted_keys(const Value& value) {
  if (const auto* list = value.as<ListPtr>();
      list != nullptr && ((*list)->kind == ListKind::list || (*list)->kind == ListKind::tuple)) {
    std::vector<Value> items;
    for (const Value& item : (*list)->items) items.push_back(sorted_keys(item));
    return Value::list(std::move(items), (*list)->kind);
  }
  const auto* dict = value.as<DictPtr>();
  if (dict == nullptr) return value;
  Dict sorted = **dict;
  for (auto& [key, held] : sorted.items) held = sorted_keys(held);
  std::stable_sort(sorted.items.begin(), sorted.items.end(), [](const auto& a, const auto& b) {
    const bool ordered = (a.first.is_number() && b.first.is_number()) || (a.first.is_text() && b.first.is_text());
    return ordered ? less(a.first, b.first) : type_name(a.first) < type_name(b.first);
  });
  return Value::dict(std::move(sorted));
}

Value pprint(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments none("pprint", args, {});
  constexpr std::size_t kLine = 80;
  std::string shown = to_repr(sorted_keys(input));
  const bool one_piece = input.is_number() || input.is_none() || input.is_undefined();
  if (!one_piece && count_characters(shown) > kLine)
    raise(cat("pprint() of more than a line of ", kLine, " characters is not supported here"));
  return interpreter.make_text(std::move(shown));
}

constexpr Filter kLayoutFilters[] = {
    {"indent", indent, kWalksCharacters},     {"wordcount", wordcount, kWalksCharacters},
    {"truncate", truncate, kWalksCharacters}, {"center", center, kWalksCharacters},
    {"wordwrap", wordwrap, kWalksCharacters}, {"pprint", pprint, kWalksCharacters},
};

}  // namespace

std::span<const Filter> layout_filters() { return kLayoutFilters; }

}  // namespace corbel::jinja
