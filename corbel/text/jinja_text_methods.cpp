#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_methods.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

Value same_kind(Interpreter& interpreter, const Value& self, std::string text) {
  return interpreter.make_text(std::move(text), self.safe());
}

template <Side kSide>
Value strip_method(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("strip", args, {"chars"});
  const std::string chars = bound.given(0) != nullptr ? bound.text(0, "") : "";
  return same_kind(interpreter, self,
                   std::string(strip(self.text(), bound.given(0) != nullptr ? &chars : nullptr, kSide)));
}

Value pieces(Interpreter& interpreter, const Value& self, const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(Value::text(std::string(part), self.safe()));
  return interpreter.make_list(std::move(items));
}

void check_count(const std::vector<std::string_view>& parts) {
  constexpr std::size_t kMostParts = 1 << 20;
  if (parts.size() >= kMostParts) raise(cat("a text is cut into too many parts; the limit is ", kMostParts));
}

bool is_blank(const Utf8Char& c) { return is_space(c.code) || (c.code >= 0x1C && c.code <= 0x1F); }

/// split() without a separator: at runs of white space, the ends trimmed.
std::vector<std::string_view> split_blank(std::string_view text, std::int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, nullptr, Side::left);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back(text);
      break;
    }
    std::size_t at = 0;
    while (at < text.size()) {
      const Utf8Char c = utf8_at(text.data() + at);
      if (is_blank(c)) break;
      at += c.bytes;
    }
    check_count(parts);
    parts.push_back(text.substr(0, at));
    text = strip(text.substr(at), nullptr, Side::left);
  }
  return parts;
}

Value split(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("split", args, {"sep", "maxsplit"});
  const std::int64_t limit = bound.integer(1, -1);
  std::string_view text = self.text();
  if (bound.given(0) == nullptr) return pieces(interpreter, self, split_blank(text, limit));
  const std::string separator = bound.text(0, "");
  if (separator.empty()) raise("split() needs a separator that is not empty");
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
    const std::size_t found = text.find(separator);
    if (found == std::string_view::npos) break;
    check_count(parts);
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return pieces(interpreter, self, parts);
}

Value rsplit(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("rsplit", args, {"sep", "maxsplit"});
  const std::int64_t limit = bound.integer(1, -1);
  std::string_view text = self.text();
  std::vector<std::string_view> parts;
  if (bound.given(0) == nullptr) {
    text = strip(text, nullptr, Side::right);
    while (!text.empty()) {
      if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
        parts.push_back(text);
        break;
      }
      std::size_t at = text.size();
      while (at > 0) {
        const Utf8Char c = utf8_before(text.data() + at);
        if (is_blank(c)) break;
        at -= c.bytes;
      }
      check_count(parts);
      parts.push_back(text.substr(at));
      text = strip(text.substr(0, at), nullptr, Side::right);
    }
  } else {
    const std::string separator = bound.text(0, "");
    if (separator.empty()) raise("rsplit() needs a separator that is not empty");
    while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
      const std::size_t found = text.rfind(separator);
      if (found == std::string_view::npos) break;
      check_count(parts);
      parts.push_back(text.substr(found + separator.size()));
      text = text.substr(0, found);
    }
    parts.push_back(text);
  }
  std::reverse(parts.begin(), parts.end());
  return pieces(interpreter, self, parts);
}

Value splitlines(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("splitlines", args, {"keepends"});
  const std::vector<std::string> lines = split_lines(self.text(), bound.truth(0, false));
  return pieces(interpreter, self, {lines.begin(), lines.end()});
}

template <bool kLast>
Value partition(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const std::string separator = Arguments("partition", args, {"sep"}, 1).text(0, "");
  if (separator.empty()) raise("partition() needs a separator that is not empty");
  const std::string_view text = self.text();
  const std::size_t found = kLast ? text.rfind(separator) : text.find(separator);
  std::vector<std::string_view> parts;
  if (found == std::string_view::npos) {
    parts = kLast ? std::vector<std::string_view>{"", "", text} : std::vector<std::string_view>{text, "", ""};
  } else {
    parts = {text.substr(0, found), separator, text.substr(found + separator.size())};
  }
  return interpreter.make_list(iterate(pieces(interpreter, self, parts)), ListKind::tuple);
}

/// The part of a text that start and stop choose, as in text[start:stop]; they count characters.
struct Window {
  std::string_view text;
  std::int64_t start = 0;  // in characters
  bool exists = true;      // false: it begins behind the text's end, and not even "" is found there
};

Window window_of(const std::string& text, const Arguments& bound) {
  Window window{text};
  if (bound.given(1) == nullptr && bound.given(2) == nullptr) return window;
  const auto size = static_cast<std::int64_t>(count_characters(text));
  const auto place = [&](std::size_t i, std::int64_t fallback) {
    const std::int64_t given = bound.given(i) != nullptr ? bound.integer(i, 0) : fallback;
    return given < 0 ? std::max<std::int64_t>(given + size, 0) : given;
  };
  window.start = place(1, 0);
  const std::int64_t stop = std::min(place(2, size), size);
  window.exists = window.start <= stop;
  if (!window.exists) return window;
  const auto byte_at = [&](std::int64_t character) {
    std::size_t at = 0;
    for (std::int64_t i = 0; i < character; ++i) at += utf8_at(text.data() + at).bytes;
    return at;
  };
  const std::size_t begin = byte_at(window.start);
  window.text = std::string_view(text).substr(begin, byte_at(stop) - begin);
  return window;
}

template <bool kEnd>
Value begins_or_ends(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments bound(kEnd ? "endswith" : "startswith", args, {"affix", "start", "end"}, 1);
  const Window window = window_of(self.text(), bound);
  const auto matches = [&](const Value& affix) {
    if (!affix.is_text()) raise(cat("startswith() and endswith() need a string, found '", type_name(affix), "'"));
    return window.exists && (kEnd ? window.text.ends_with(affix.text()) : window.text.starts_with(affix.text()));
  };
  const auto* list = bound[0].as<ListPtr>();
  if (list == nullptr || (*list)->kind != ListKind::tuple) return Value::boolean(matches(bound[0]));
  return Value::boolean(std::any_of((*list)->items.begin(), (*list)->items.end(), matches));
}

template <bool kEnd>
Value remove_affix(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const std::string affix = Arguments(kEnd ? "removesuffix" : "removeprefix", args, {"affix"}, 1).text(0, "");
  std::string_view text = self.text();
  if (kEnd && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!kEnd && text.starts_with(affix)) text.remove_prefix(affix.size());
  return same_kind(interpreter, self, std::string(text));
}

Value replace(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("replace", args, {"old", "new", "count"}, 2);
  CallArgs plain;
  plain.positional = {Value::text(bound.text(0, "")), Value::text(bound.text(1, ""))};
  if (self.safe() && !bound[1].safe()) plain.positional[1] = Value::text(escape_html(bound.text(1, "")));
  if (bound.get(2) != nullptr) plain.positional.push_back(bound[2]);
  const Value out = interpreter.apply_filter("replace", self, plain);
  return Value::text(out.text(), self.safe());
}

Value join(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("join", args, {"items"}, 1);
  std::string out;
  bool first = true;
  for (const Value& item : iterate(bound[0])) {
    if (!item.is_text()) raise(cat("join() needs strings, found '", type_name(item), "'"));
    interpreter.grow(out.size(), item.text().size() + self.text().size());
    if (!first) out += self.text();
    first = false;
    out += self.safe() && !item.safe() ? escape_html(item.text()) : item.text();
  }
  return same_kind(interpreter, self, std::move(out));
}

/// find, rfind, index, rindex: places count characters.
template <bool kLast, bool kRaises>
Value find(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments bound("find", args, {"sub", "start", "end"}, 1);
  const std::string what = bound.text(0, "");
  const Window window = window_of(self.text(), bound);
  const std::size_t found = kLast ? window.text.rfind(what) : window.text.find(what);
  if (window.exists && found != std::string_view::npos) {
    return Value::integer(window.start + static_cast<std::int64_t>(count_characters(window.text.substr(0, found))));
  }
  if (kRaises) raise("substring not found");
  return Value::integer(-1);
}

Value count(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments bound("count", args, {"sub", "start", "end"}, 1);
  const std::string what = bound.text(0, "");
  const Window window = window_of(self.text(), bound);
  if (!window.exists) return Value::integer(0);
  const std::string_view text = window.text;
  if (what.empty()) return Value::integer(static_cast<std::int64_t>(count_characters(text)) + 1);
  std::int64_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++found;
  return Value::integer(found);
}

Value expandtabs(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const std::int64_t size = checked_width(Arguments("expandtabs", args, {"tabsize"}).integer(0, 8));
  std::string out;
  std::int64_t column = 0;
  for (const std::string& c : characters(self.text())) {
    if (c == "\t") {
      const std::int64_t fill = size > 0 ? size - column % size : 0;
      interpreter.charge(static_cast<std::size_t>(fill));
      out.append(static_cast<std::size_t>(fill), ' ');
      column += fill;
    } else {
      out += c;
      column = c == "\n" || c == "\r" ? 0 : column + 1;
    }
  }
  return same_kind(interpreter, self, std::move(out));
}

Value upper(Interpreter& interpreter, const Value& self, CallArgs&) {
  return same_kind(interpreter, self, to_upper(self.text()));
}
Value lower(Interpreter& interpreter, const Value& self, CallArgs&) {
  return same_kind(interpreter, self, to_lower(self.text()));
}
Value casefold(Interpreter& interpreter, const Value& self, CallArgs&) {
  std::string out;
  for (const std::string& c : characters(self.text())) {
    std::array<utf8proc_int32_t, 8> folded{};
    int boundary = UTF8PROC_BOUNDCLASS_START;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(utf8_at(c.data()).code), folded.data(),
                                               folded.size(), UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t i = 0; i < count; ++i)
      append_utf8(out, static_cast<char32_t>(folded[static_cast<std::size_t>(i)]));
  }
  return same_kind(interpreter, self, std::move(out));
}
Value capitalize_method(Interpreter& interpreter, const Value& self, CallArgs&) {
  return same_kind(interpreter, self, capitalize(self.text()));
}

/// Upper case where a letter follows something that is none.
Value title(Interpreter& interpreter, const Value& self, CallArgs&) {
  std::string out;
  bool in_word = false;
  for (const std::string& c : characters(self.text())) {
    const bool cased = to_lower(c) != to_upper(c);
    out += !cased ? c : in_word ? to_lower(c) : to_upper(c);
    in_word = cased;
  }
  return same_kind(interpreter, self, std::move(out));
}

Value swapcase(Interpreter& interpreter, const Value& self, CallArgs&) {
  std::string out;
  for (const std::string& c : characters(self.text())) out += c == to_lower(c) ? to_upper(c) : to_lower(c);
  return same_kind(interpreter, self, std::move(out));
}

template <Side kSide>
Value justify(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("center(), ljust() or rjust", args, {"width", "fillchar"}, 1);
  const std::string fill = bound.text(1, " ");
  if (count_characters(fill) != 1) raise("a string is filled with one character");
  const std::int64_t width = checked_width(bound.integer(0, 0));
  const std::int64_t missing =
      std::max<std::int64_t>(width - static_cast<std::int64_t>(count_characters(self.text())), 0);
  // Python puts the odd one on the left when the width is odd.
  const std::int64_t before = kSide == Side::left    ? 0
                              : kSide == Side::right ? missing
                                                     : missing / 2 + (missing & width & 1);
  std::string out;
  for (std::int64_t i = 0; i < before; ++i) out += fill;
  out += self.text();
  for (std::int64_t i = before; i < missing; ++i) out += fill;
  return same_kind(interpreter, self, std::move(out));
}

Value zfill(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const std::int64_t width = checked_width(Arguments("zfill", args, {"width"}, 1).integer(0, 0));
  std::string text = self.text();
  const auto size = static_cast<std::int64_t>(count_characters(text));
  const std::size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  if (width > size) text.insert(sign, static_cast<std::size_t>(width - size), '0');
  return same_kind(interpreter, self, std::move(text));
}

Value format(Interpreter& interpreter, const Value& self, CallArgs& args) {
  return format_braces(interpreter, self, args);
}

Value format_map(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("format_map", args, {"mapping"}, 1);
  const auto* dict = bound[0].as<DictPtr>();
  if (dict == nullptr) raise(cat("format_map() needs a mapping, found '", type_name(bound[0]), "'"));
  CallArgs named;
  for (const auto& [key, value] : (*dict)->items) {
    if (key.is_text()) named.named.emplace_back(key.text(), value);
  }
  return format_braces(interpreter, self, named);
}

Value refused(Interpreter&, const Value&, CallArgs&) { raise("bytes and translation tables are not supported here"); }

constexpr MethodEntry kTextMethods[] = {
    {"split", split, kWalksCharacters},
    {"strip", strip_method<Side::both>},
    {"lstrip", strip_method<Side::left>},
    {"rstrip", strip_method<Side::right>},
    {"startswith", begins_or_ends<false>},
    {"endswith", begins_or_ends<true>},
    {"replace", replace},
    {"upper", upper, kWalksCharacters},
    {"lower", lower, kWalksCharacters},
    {"casefold", casefold, kWalksCharacters},
    {"title", title, kWalksCharacters},
    {"capitalize", capitalize_method, kWalksCharacters},
    {"swapcase", swapcase, kWalksCharacters},
    {"find", find<false, false>},
    {"rfind", find<true, false>},
    {"index", find<false, true>},
    {"rindex", find<true, true>},
    {"count", count},
    {"join", join},
    {"format", format},
    {"rsplit", rsplit, kWalksCharacters},
    {"splitlines", splitlines, kWalksCharacters},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"expandtabs", expandtabs, kWalksCharacters},
    {"format_map", format_map},
    {"encode", refused},
    {"translate", refused, kWalksCharacters},
    {"center", justify<Side::both>},
    {"ljust", justify<Side::left>},
    {"rjust", justify<Side::right>},
    {"zfill", zfill},
};

}  // namespace

std::span<const MethodEntry> text_methods() { return kTextMethods; }

}  // namespace corbel::jinja
