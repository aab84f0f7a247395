#include "corbel/text/jinja_filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

constexpr std::int64_t kMaxIndent = 1000;

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
    indent =
        given->is_text()
            ? given->text()
            : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(bound.integer(1, 0), 0, kMaxIndent)), ' ');
    style.indent = &indent;
    style.item_separator = ",";
  }
  if (const Value* given = bound.given(2)) {
    const std::vector<Value> both = iterate(*given);
    if (both.size() != 2 || !both[0].is_text() || !both[1].is_text()) raise("tojson() needs two separators");
    style.item_separator = both[0].text();
    style.key_separator = both[1].text();
  }
  return interpreter.make_text(to_json_text(input, style));
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

std::string replaced(const std::string& text, const std::string& from, const std::string& to, std::int64_t count) {
  std::string out;
  std::size_t at = 0;
  if (from.empty()) {
    for (const std::string& c : characters(text)) {
      if (count != 0) {
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
  interpreter.charge(text.size() + (to.size() > 1 ? to.size() * 16 : 0));
  return interpreter.make_text(replaced(text, to_text(bound[0]), to, count));
}

Value string(Interpreter&, const Value& input, CallArgs&) {
  return input.is_text() ? input : Value::text(to_text(input));
}
Value safe(Interpreter&, const Value& input, CallArgs&) { return Value::text(to_text(input), true); }
Value escape(Interpreter& interpreter, const Value& input, CallArgs&) {
  return input.safe() ? input : interpreter.make_text(escape_html(to_text(input)), true);
}
Value force_escape(Interpreter& interpreter, const Value& input, CallArgs&) {
  return interpreter.make_text(escape_html(to_text(input)), true);
}

Value default_filter(Interpreter&, const Value& input, CallArgs& args) {
  const Arguments bound("default", args, {"default_value", "boolean"});
  const bool replace_it = input.is_undefined() || (bound.truth(1, false) && !is_true(input));
  if (!replace_it) return input;
  return bound.get(0) != nullptr ? bound[0] : Value::text("");
}

/// Python's int(text, base), without the exotic forms.
std::optional<std::int64_t> parse_integer(const std::string& source, int base) {
  std::string text(strip(source, nullptr, Side::both));
  std::erase(text, '_');
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (begin != end && *begin == '+') ++begin;
  std::int64_t value = 0;
  const auto parsed = std::from_chars(begin, end, value, base);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

std::optional<double> parse_real(const std::string& source) {
  std::string text(strip(source, nullptr, Side::both));
  if (text.empty() || text.find_first_of("xXpP") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size()) return std::nullopt;
  return value;
}

Value int_filter(Interpreter&, const Value& input, CallArgs& args) {
  const Arguments bound("int", args, {"default", "base"});
  Value fallback = bound.get(0) != nullptr ? bound[0] : Value::integer(0);
  if (const auto integer = input.to_integer()) return Value::integer(*integer);
  std::optional<double> real;
  if (input.is_number()) real = input.to_real();
  if (input.is_text()) {
    const std::int64_t base = bound.integer(1, 10);
    if (base < 2 || base > 36) raise("int() needs a base between 2 and 36");
    if (const auto parsed = parse_integer(input.text(), static_cast<int>(base))) return Value::integer(*parsed);
    real = parse_real(input.text());
  }
  if (!real || !(std::fabs(*real) < 9.2e18)) return fallback;
  return Value::integer(static_cast<std::int64_t>(*real));
}

Value float_filter(Interpreter&, const Value& input, CallArgs& args) {
  const Arguments bound("float", args, {"default"});
  if (input.is_number()) return Value::real(input.to_real());
  if (input.is_text()) {
    if (const auto parsed = parse_real(input.text())) return Value::real(*parsed);
  }
  return bound.get(0) != nullptr ? bound[0] : Value::real(0);
}

Value abs_filter(Interpreter& interpreter, const Value& input, CallArgs&) {
  if (!input.is_number()) raise(cat("abs() needs a number, found '", type_name(input), "'"));
  const bool negative = input.to_real() < 0;
  return binary(interpreter, negative ? "neg" : "+", Value::integer(0), input);
}

Value round_filter(Interpreter&, const Value& input, CallArgs& args) {
  const Arguments bound("round", args, {"precision", "method"});
  const std::int64_t precision = bound.integer(0, 0);
  const std::string method = bound.text(1, "common");
  if (!input.is_number()) raise(cat("round() needs a number, found '", type_name(input), "'"));
  if (precision < 0 || precision > 300) raise("round() needs a precision between 0 and 300");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value::real(std::ceil(input.to_real() * scale) / scale);
  if (method == "floor") return Value::real(std::floor(input.to_real() * scale) / scale);
  if (method != "common") raise("round() knows the methods common, ceil and floor");
  if (input.to_integer()) return Value::integer(*input.to_integer());
  char buffer[700];  // printf rounds the exact value, ties to even, as Python does
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), input.to_real());
  return Value::real(std::strtod(buffer, nullptr));
}

Value indent(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("indent", args, {"width", "first", "blank"});
  if (!input.is_text()) raise(cat("indent() needs a string, found '", type_name(input), "'"));
  const std::string margin =
      bound.get(0) != nullptr && bound[0].is_text()
          ? bound[0].text()
          : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(bound.integer(0, 4), 0, kMaxIndent)), ' ');
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

Value format(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Value text = Value::text(to_text(input), input.safe());
  if (args.named.empty()) return format_percent(interpreter, text, Value::list(args.positional, ListKind::tuple));
  if (!args.positional.empty()) raise("format() takes positional or named arguments, not both");
  Dict dict;
  for (auto& [name, value] : args.named) dict.set(Value::text(name), value);
  return format_percent(interpreter, text, Value::dict(std::move(dict)));
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
  if (room < 0) raise("truncate() needs a length beyond that of its end");
  const std::vector<std::string> all = characters(to_text(input));
  if (static_cast<std::int64_t>(all.size()) <= bound.integer(0, 255) + bound.integer(3, 5)) return input;
  std::string out;
  for (std::int64_t i = 0; i < room; ++i) out += all[static_cast<std::size_t>(i)];
  if (!bound.truth(1, false)) {
    if (const std::size_t space = out.rfind(' '); space != std::string::npos) out.resize(space);
  }
  return interpreter.make_text(out + end);
}

Value center(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("center", args, {"width"});
  const std::string text = to_text(input);
  const auto size = static_cast<std::int64_t>(count_characters(text));
  const std::int64_t missing = std::clamp<std::int64_t>(bound.integer(0, 80), 0, 10000) - size;
  if (missing <= 0) return interpreter.make_text(text);
  // Python puts the odd space on the left when the width is odd.
  const std::int64_t left = missing / 2 + (missing & (missing + size) & 1);
  return interpreter.make_text(std::string(static_cast<std::size_t>(left), ' ') + text +
                               std::string(static_cast<std::size_t>(missing - left), ' '));
}

constexpr Filter kTextFilters[] = {
    {"trim", trim},
    {"tojson", tojson},
    {"upper", upper},
    {"lower", lower},
    {"title", title},
    {"replace", replace},
    {"string", string},
    {"safe", safe},
    {"escape", escape},
    {"e", escape},
    {"forceescape", force_escape},
    {"default", default_filter},
    {"d", default_filter},
    {"int", int_filter},
    {"float", float_filter},
    {"abs", abs_filter},
    {"round", round_filter},
    {"indent", indent},
    {"format", format},
    {"wordcount", wordcount},
    {"truncate", truncate},
    {"center", center},
    {"capitalize", capitalize_filter},
};

}  // namespace

std::span<const Filter> text_filters() { return kTextFilters; }

FilterFunction find_filter(std::string_view name) {
  for (const std::span<const Filter> table : {text_filters(), list_filters()}) {
    for (const Filter& filter : table) {
      if (filter.name == name) return filter.function;
    }
  }
  return nullptr;
}

Value Interpreter::apply_filter(std::string_view name, const Value& input, CallArgs& args) {
  const FilterFunction function = find_filter(name);
  if (function == nullptr) raise(cat("no filter is named '", name, "'"));
  if (const auto* list = input.as<ListPtr>()) step(static_cast<std::int64_t>((*list)->items.size() / 4));
  if (input.is_text()) charge(input.text().size());
  return function(*this, input, args);
}

}  // namespace corbel::jinja
