#include "corbel/text/jinja_filters.h"

#include <algorithm>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

Value trim(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("trim", args, {"chars"});
  const std::string chars = bound.given(0) != nullptr ? bound.text(0, "") : "";
  return interpreter.make_text(
      std::string(strip(to_text(input), bound.given(0) != nullptr ? &chars : nullptr, Side::both)), input.safe());
}

Value tojson(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  std::string indent;
  if (const Value* given = bound.given(1)) {
    indent = given->is_text() ? given->text()
                              : std::string(static_cast<std::size_t>(checked_width(bound.integer(1, 0))), ' ');
    style.indent = &indent;
    style.item_separator = ",";
  }
  if (const Value* given = bound.given(2)) {
    const std::vector<Value> both = iterate(*given);
    if (both.size() != 2 || !both[0].is_text() || !both[1].is_text()) raise("tojson() needs two separators");
    style.item_separator = both[0].text();
    style.key_separator = both[1].text();
  }
  return interpreter.make_text(to_json_text(interpreter, input, style));
}

Value upper(Interpreter& interpreter, const Value& input, CallArgs&) {
  return interpreter.make_text(to_upper(to_text(input)), input.safe());
}
Value lower(Interpreter& interpreter, const Value& input, CallArgs&) {
  return interpreter.make_text(to_lower(to_text(input)), input.safe());
}
Value capitalize_filter(Interpreter& interpreter, const Value& input, CallArgs&) {
  return interpreter.make_text(capitalize(to_text(input)), input.safe());
}

Value title(Interpreter& interpreter, const Value& input, CallArgs&) {
  std::string out;
  std::string word;
  // Words begin after - white space ( { [ <, and after nothing else.
  for (const std::string& c : characters(to_text(input))) {
    const char32_t code = utf8_at(c.data()).code;
    const bool border = code == '-' || code == '(' || code == '{' || code == '[' || code == '<' || is_space(code);
    if (border) {
      out += capitalize(word) + c;
      word.clear();
    } else {
      word += c;
    }
  }
  return interpreter.make_text(out + capitalize(word));
}

std::string replaced(Interpreter& interpreter, const std::string& text, const std::string& from, const std::string& to,
                     std::int64_t count) {
  std::string out;
  std::size_t at = 0;
  if (from.empty()) {
    for (const std::string& c : characters(text)) {
      if (count != 0) {
        interpreter.grow(out.size(), to.size());
        out += to;
        --count;
      }
      out += c;
    }
    return count != 0 ? out + to : out;
  }
  while (count != 0) {
    const std::size_t found = text.find(from, at);
    if (found == std::string::npos) break;
    out.append(text, at, found - at);
    interpreter.grow(out.size(), found - at + to.size());
    out += to;
    at = found + from.size();
    --count;
  }
  return out.append(text, at);
}

Value replace(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("replace", args, {"old", "new", "count"}, 2);
  const std::string text = to_text(input);
  const std::string to = to_text(bound[1]);
  const std::int64_t count = bound.given(2) != nullptr ? bound.integer(2, -1) : -1;
  return interpreter.make_text(replaced(interpreter, text, to_text(bound[0]), to, count));
}

Value string(Interpreter&, const Value& input, CallArgs&) {
  return input.is_text() ? input : Value::text(to_text(input));
}
Value default_filter(Interpreter&, const Value& input, CallArgs& args) {
  const Arguments bound("default", args, {"default_value", "boolean"});
  const bool replace_it = input.is_undefined() || (bound.truth(1, false) && !is_true(input));
  if (!replace_it) return input;
  return bound.get(0) != nullptr ? bound[0] : Value::text("");
}

Value format(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Value text = Value::text(to_text(input), input.safe());
  if (args.named.empty()) return format_percent(interpreter, text, Value::list(args.positional, ListKind::tuple));
  if (!args.positional.empty()) raise("format() takes positional or named arguments, not both");
  Dict dict;
  for (auto& [name, value] : args.named) dict.set(Value::text(name), value);
  return format_percent(interpreter, text, Value::dict(std::move(dict)));
}

Value random(Interpreter&, const Value&, CallArgs&) { raise("random is refused: a prompt is always the same"); }
Value urlize(Interpreter&, const Value&, CallArgs&) { raise("urlize is not supported here"); }

constexpr Filter kTextFilters[] = {
    {"trim", trim},
    {"tojson", tojson, kWalksCharacters},
    {"upper", upper, kWalksCharacters},
    {"lower", lower, kWalksCharacters},
    {"title", title, kWalksCharacters},
    {"replace", replace},
    {"string", string, kWalksCharacters},
    {"default", default_filter},
    {"d", default_filter},
    {"format", format, kWalksCharacters},
    {"capitalize", capitalize_filter, kWalksCharacters},
    {"random", random},
    {"urlize", urlize},
};

}  // namespace

std::span<const Filter> text_filters() { return kTextFilters; }

const Filter* find_filter(std::string_view name) {
  for (const std::span<const Filter> table :
       {text_filters(), list_filters(), number_filters(), layout_filters(), markup_filters()}) {
    for (const Filter& filter : table) {
      if (filter.name == name) return &filter;
    }
  }
  return nullptr;
}

Value Interpreter::apply_filter(std::string_view name, const Value& input, CallArgs& args) {
  const Filter* filter = find_filter(name);
  if (filter == nullptr) raise(cat("no filter is named '", name, "'"));
  if (input.is_text()) {
    charge(input.text().size() * filter->cost);
  } else {
    step(filter->cost > 1 ? weight_of(input) : weight_of(input) / 4);
  }
  return filter->function(*this, input, args);
}

}  // namespace corbel::jinja
