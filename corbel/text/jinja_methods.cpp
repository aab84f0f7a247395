#include <algorithm>
#include <span>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_filters.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

using MethodFunction = Value (*)(Interpreter& interpreter, const Value& self, CallArgs& args);
struct MethodEntry {
  std::string_view name;
  MethodFunction function;
};

class BoundMethod final : public Object {
 public:
  BoundMethod(Value self, const MethodEntry& entry) : self_(std::move(self)), entry_(entry) {}
  Value call(Interpreter& interpreter, CallArgs& args) override {
    if (self_.is_text()) interpreter.charge(self_.text().size());
    return entry_.function(interpreter, self_, args);
  }
  std::string describe() const override { return cat("<method ", entry_.name, ">"); }

 private:
  Value self_;
  const MethodEntry& entry_;
};

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

bool is_blank(const Utf8Char& c) { return is_space(c.code) || (c.code >= 0x1C && c.code <= 0x1F); }

/// split() without a separator: at runs of white space, the ends trimmed.
std::vector<std::string_view> split_blank(std::string_view text, std::int64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, nullptr, Side::left);
  while (!text.empty()) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back(strip(text, nullptr, Side::right));
      break;
    }
    std::size_t at = 0;
    while (at < text.size()) {
      const Utf8Char c = utf8_at(text.data() + at);
      if (is_blank(c)) break;
      at += c.bytes;
    }
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
        parts.push_back(strip(text, nullptr, Side::left));
        break;
      }
      std::size_t at = text.size();
      while (at > 0) {
        const Utf8Char c = utf8_before(text.data() + at);
        if (is_blank(c)) break;
        at -= c.bytes;
      }
      parts.push_back(text.substr(at));
      text = strip(text.substr(0, at), nullptr, Side::right);
    }
  } else {
    const std::string separator = bound.text(0, "");
    if (separator.empty()) raise("rsplit() needs a separator that is not empty");
    while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
      const std::size_t found = text.rfind(separator);
      if (found == std::string_view::npos) break;
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
  if (bound.truth(0, false)) raise("splitlines() with keepends is not supported");
  const std::vector<std::string> lines = split_lines(self.text());
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

template <bool kEnd>
Value begins_or_ends(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments bound(kEnd ? "endswith" : "startswith", args, {"affix"}, 1);
  const std::string_view text = self.text();
  const auto matches = [&](const Value& affix) {
    if (!affix.is_text()) raise(cat("startswith() and endswith() need a string, found '", type_name(affix), "'"));
    return kEnd ? text.ends_with(affix.text()) : text.starts_with(affix.text());
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
    if (!first) out += self.text();
    first = false;
    out += self.safe() && !item.safe() ? escape_html(item.text()) : item.text();
    interpreter.charge(item.text().size() + self.text().size());
  }
  return same_kind(interpreter, self, std::move(out));
}

/// find, rfind, index, rindex: places count characters.
template <bool kLast, bool kRaises>
Value find(Interpreter&, const Value& self, CallArgs& args) {
  const std::string what = Arguments("find", args, {"sub"}, 1).text(0, "");
  const std::string_view text = self.text();
  const std::size_t found = kLast ? text.rfind(what) : text.find(what);
  if (found != std::string_view::npos)
    return Value::integer(static_cast<std::int64_t>(count_characters(text.substr(0, found))));
  if (kRaises) raise("substring not found");
  return Value::integer(-1);
}

Value count(Interpreter&, const Value& self, CallArgs& args) {
  const std::string what = Arguments("count", args, {"sub"}, 1).text(0, "");
  const std::string& text = self.text();
  if (what.empty()) return Value::integer(static_cast<std::int64_t>(count_characters(text)) + 1);
  std::int64_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++found;
  return Value::integer(found);
}

template <typename Test>
Value all_characters(const Value& self, Test&& test) {
  const std::vector<std::string> all = characters(self.text());
  return Value::boolean(!all.empty() && std::all_of(all.begin(), all.end(), [&](const std::string& c) {
    return test(utf8_at(c.data()).code);
  }));
}

Value isdigit(Interpreter&, const Value& self, CallArgs&) {
  return all_characters(self, [](char32_t c) { return (c >= '0' && c <= '9') || (c >= 0x80 && is_number(c)); });
}
Value isalpha(Interpreter&, const Value& self, CallArgs&) { return all_characters(self, is_letter); }
Value isalnum(Interpreter&, const Value& self, CallArgs&) {
  return all_characters(self, [](char32_t c) { return is_letter(c) || is_number(c); });
}
Value isspace(Interpreter&, const Value& self, CallArgs&) { return all_characters(self, is_space); }
Value islower(Interpreter& interpreter, const Value& self, CallArgs& args) {
  return Value::boolean(interpreter.apply_test("lower", self, args));
}
Value isupper(Interpreter& interpreter, const Value& self, CallArgs& args) {
  return Value::boolean(interpreter.apply_test("upper", self, args));
}

Value upper(Interpreter& interpreter, const Value& self, CallArgs&) {
  return same_kind(interpreter, self, to_upper(self.text()));
}
Value lower(Interpreter& interpreter, const Value& self, CallArgs&) {
  return same_kind(interpreter, self, to_lower(self.text()));
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

template <bool kLeft>
Value justify(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("justify", args, {"width", "fillchar"}, 1);
  const std::string fill = bound.text(1, " ");
  const std::int64_t width = std::clamp<std::int64_t>(bound.integer(0, 0), 0, 10000);
  std::string padding;
  for (auto i = static_cast<std::int64_t>(count_characters(self.text())); i < width; ++i) padding += fill;
  return same_kind(interpreter, self, kLeft ? self.text() + padding : padding + self.text());
}

Value zfill(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const std::int64_t width = std::clamp<std::int64_t>(Arguments("zfill", args, {"width"}, 1).integer(0, 0), 0, 10000);
  std::string text = self.text();
  const auto size = static_cast<std::int64_t>(count_characters(text));
  const std::size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  if (width > size) text.insert(sign, static_cast<std::size_t>(width - size), '0');
  return same_kind(interpreter, self, std::move(text));
}

Value format(Interpreter& interpreter, const Value& self, CallArgs& args) {
  return format_braces(interpreter, self, args);
}

constexpr MethodEntry kTextMethods[] = {
    {"split", split},
    {"strip", strip_method<Side::both>},
    {"lstrip", strip_method<Side::left>},
    {"rstrip", strip_method<Side::right>},
    {"startswith", begins_or_ends<false>},
    {"endswith", begins_or_ends<true>},
    {"replace", replace},
    {"upper", upper},
    {"lower", lower},
    {"casefold", lower},
    {"title", title},
    {"capitalize", capitalize_method},
    {"swapcase", swapcase},
    {"find", find<false, false>},
    {"rfind", find<true, false>},
    {"index", find<false, true>},
    {"rindex", find<true, true>},
    {"count", count},
    {"join", join},
    {"format", format},
    {"rsplit", rsplit},
    {"splitlines", splitlines},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"isdigit", isdigit},
    {"isdecimal", isdigit},
    {"isnumeric", isdigit},
    {"isalpha", isalpha},
    {"isalnum", isalnum},
    {"isspace", isspace},
    {"islower", islower},
    {"isupper", isupper},
    {"ljust", justify<true>},
    {"rjust", justify<false>},
    {"zfill", zfill},
};

Value get(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments bound("get", args, {"key", "default"}, 1);
  if (const Value* found = (*self.as<DictPtr>())->find(bound[0])) return *found;
  return bound.get(1) != nullptr ? bound[1] : Value::none();
}

template <ListKind kKind>
Value view(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments none("items", args, {});
  std::vector<Value> out;
  for (const auto& [key, value] : (*self.as<DictPtr>())->items) {
    if (kKind == ListKind::keys) {
      out.push_back(key);
    } else if (kKind == ListKind::values) {
      out.push_back(value);
    } else {
      out.push_back(Value::list({key, value}, ListKind::tuple));
    }
  }
  return interpreter.make_list(std::move(out), kKind);
}

Value copy(Interpreter&, const Value& self, CallArgs&) { return self; }

Value refused(Interpreter&, const Value&, CallArgs&) { raise("a template may not change a value"); }

constexpr MethodEntry kDictMethods[] = {
    {"get", get},
    {"items", view<ListKind::items>},
    {"keys", view<ListKind::keys>},
    {"values", view<ListKind::values>},
    {"copy", copy},
    {"update", refused},
    {"pop", refused},
    {"popitem", refused},
    {"clear", refused},
    {"setdefault", refused},
};

Value list_index(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments bound("index", args, {"value"}, 1);
  const auto& all = (*self.as<ListPtr>())->items;
  const auto found = std::find_if(all.begin(), all.end(), [&](const Value& item) { return equal(item, bound[0]); });
  if (found == all.end()) raise(cat(to_repr(bound[0]), " is not in the list"));
  return Value::integer(found - all.begin());
}

Value list_count(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments bound("count", args, {"value"}, 1);
  const auto& all = (*self.as<ListPtr>())->items;
  return Value::integer(
      std::count_if(all.begin(), all.end(), [&](const Value& item) { return equal(item, bound[0]); }));
}

constexpr MethodEntry kListMethods[] = {
    {"index", list_index}, {"count", list_count}, {"copy", copy},     {"append", refused},
    {"extend", refused},   {"insert", refused},   {"pop", refused},   {"remove", refused},
    {"sort", refused},     {"reverse", refused},  {"clear", refused},
};

}  // namespace

Value method_of(const Value& object, std::string_view name) {
  std::span<const MethodEntry> table;
  if (object.is_text()) table = kTextMethods;
  if (object.as<DictPtr>() != nullptr) table = kDictMethods;
  if (const auto* list = object.as<ListPtr>(); list != nullptr && (*list)->kind == ListKind::list) table = kListMethods;
  for (const MethodEntry& entry : table) {
    if (entry.name == name) return Value::object(std::make_shared<BoundMethod>(object, entry));
  }
  return {};
}

}  // namespace corbel::jinja
