#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_interpreter.h"
#include "corbel/text/jinja_text.h"

namespace corbel::jinja {
namespace {

constexpr std::size_t kMaxWidth = 10000;

/// [[fill]align][sign][#][0][width][,][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = '\0';
  char sign = '-';
  bool grouped = false;
  std::size_t width = 0;
  std::optional<std::size_t> precision;
  char type = '\0';
};

std::size_t take_number(std::string_view text, std::size_t& at) {
  std::size_t value = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value = std::min(value * 10 + static_cast<std::size_t>(text[at++] - '0'), kMaxWidth + 1);
  }
  if (value > kMaxWidth) raise(cat("a format's width is beyond ", kMaxWidth));
  return value;
}

std::string pad(std::string text, const Spec& spec, char fallback_align) {
  const std::size_t size = count_characters(text);
  if (size >= spec.width) return text;
  const std::size_t missing = spec.width - size;
  const char align = spec.align != '\0' ? spec.align : fallback_align;
  const auto fill = [&](std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += spec.fill;
    return out;
  };
  if (align == '<') return text + fill(missing);
  if (align == '^') return fill(missing / 2) + text + fill(missing - missing / 2);
  if (align == '=' && !text.empty() && (text[0] == '-' || text[0] == '+'))
    return text[0] + fill(missing) + text.substr(1);
  return fill(missing) + text;
}

std::string grouped(std::string digits) {
  const std::size_t end = std::min(digits.find_first_of(".e"), digits.size());
  const std::size_t begin = !digits.empty() && (digits[0] == '-' || digits[0] == '+') ? 1 : 0;
  for (std::size_t at = end; at > begin + 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string signed_text(const std::string& text, bool negative, char sign) {
  if (negative) return "-" + text;
  return sign == '+' || sign == ' ' ? std::string(1, sign) + text : text;
}

std::string real_text(double value, const Spec& spec) {
  char buffer[512];
  const int precision = static_cast<int>(std::min<std::size_t>(spec.precision.value_or(6), 60));
  char format[] = "%.*f";
  format[3] = spec.type == '%' ? 'f' : spec.type;
  std::snprintf(buffer, sizeof buffer, format, precision, std::fabs(spec.type == '%' ? value * 100 : value));
  return signed_text(cat(std::string_view(buffer), spec.type == '%' ? "%" : ""), std::signbit(value), spec.sign);
}

std::string integer_text(std::int64_t value, const Spec& spec) {
  const int base = spec.type == 'x' || spec.type == 'X' ? 16 : spec.type == 'o' ? 8 : spec.type == 'b' ? 2 : 10;
  char buffer[80];
  const auto magnitude = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  std::string digits(buffer, std::to_chars(buffer, buffer + sizeof buffer, magnitude, base).ptr);
  if (spec.type == 'X') digits = to_upper(digits);
  return signed_text(std::move(digits), value < 0, spec.sign);
}

std::string formatted(const Value& value, const Spec& spec) {
  constexpr std::string_view kRealTypes = "fFeEgG%";
  const bool real_type = spec.type != '\0' && kRealTypes.find(spec.type) != std::string_view::npos;
  if (value.is_number() && spec.type != 's') {
    const auto integer = value.to_integer();
    std::string text;
    if (real_type) {
      text = real_text(value.to_real(), spec);
    } else if (integer && (value.as<bool>() == nullptr || spec.type != '\0')) {
      text = integer_text(*integer, spec);
    } else if (spec.type == '\0' && !spec.precision) {
      text = to_text(value);
    } else if (spec.type == '\0') {
      Spec general = spec;
      general.type = 'g';
      text = real_text(value.to_real(), general);
    } else {
      raise(cat("format '", spec.type, "' does not fit a '", type_name(value), "'"));
    }
    return pad(spec.grouped ? grouped(std::move(text)) : std::move(text), spec, '>');
  }
  if (real_type || (spec.type != '\0' && spec.type != 's')) {
    raise(cat("format '", spec.type, "' does not fit a '", type_name(value), "'"));
  }
  std::string text = to_text(value);
  if (spec.precision) {
    std::string cut;
    const std::vector<std::string> all = characters(text);
    for (std::size_t i = 0; i < std::min(*spec.precision, all.size()); ++i) cut += all[i];
    text = std::move(cut);
  }
  return pad(std::move(text), spec, '<');
}

Spec parse_spec(std::string_view text) {
  Spec spec;
  constexpr std::string_view kAligns = "<>^=";
  const std::vector<std::string> all = characters(text.substr(0, 8));
  std::size_t at = 0;
  if (all.size() >= 2 && all[1].size() == 1 && kAligns.find(all[1][0]) != std::string_view::npos) {
    spec.fill = all[0];
    spec.align = all[1][0];
    at = all[0].size() + 1;
  } else if (!text.empty() && kAligns.find(text[0]) != std::string_view::npos) {
    spec.align = text[at++];
  }
  if (at < text.size() && (text[at] == '+' || text[at] == '-' || text[at] == ' ')) spec.sign = text[at++];
  if (at < text.size() && text[at] == '#') ++at;
  if (at < text.size() && text[at] == '0') {
    ++at;
    if (spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
  }
  spec.width = take_number(text, at);
  if (at < text.size() && text[at] == ',') {
    spec.grouped = true;
    ++at;
  }
  if (at < text.size() && text[at] == '.') spec.precision = take_number(text, ++at);
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) raise(cat("cannot read the format '", text, "'"));
  if (spec.type == 'd' || spec.type == 'i') spec.type = 'd';
  return spec;
}

/// The value that a field of str.format names: "", "0", "name", with .attributes and [items].
Value field_value(Interpreter& interpreter, std::string_view name, const CallArgs& args, std::size_t& next) {
  const std::size_t end = std::min(name.find_first_of(".["), name.size());
  const std::string_view first = name.substr(0, end);
  Value value;
  if (first.empty() || (first[0] >= '0' && first[0] <= '9')) {
    std::size_t at = 0;
    const std::size_t index = first.empty() ? next++ : take_number(first, at);
    if (index >= args.positional.size()) raise(cat("format() has no argument ", index));
    value = args.positional[index];
  } else {
    const auto found =
        std::find_if(args.named.begin(), args.named.end(), [&](const auto& named) { return named.first == first; });
    if (found == args.named.end()) raise(cat("format() has no argument '", first, "'"));
    value = found->second;
  }
  for (std::size_t at = end; at < name.size();) {
    const bool item = name[at] == '[';
    const std::size_t stop = item ? name.find(']', at) : std::min(name.find_first_of(".[", at + 1), name.size());
    if (stop == std::string_view::npos) raise(cat("cannot read the field '", name, "'"));
    const std::string key(name.substr(at + 1, stop - at - 1));
    value = item ? interpreter.item_of(value, Value::text(key)) : interpreter.attribute_of(value, key);
    at = item ? stop + 1 : stop;
  }
  return value;
}

}  // namespace

Value format_percent(Interpreter& interpreter, const Value& format, const Value& values) {
  const std::string& text = format.text();
  const auto* list = values.as<ListPtr>();
  const bool tuple = list != nullptr && (*list)->kind == ListKind::tuple;
  const std::size_t count = tuple ? (*list)->items.size() : 1;
  std::size_t next = 0;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '%') {
      out.push_back(text[at++]);
      continue;
    }
    if (++at < text.size() && text[at] == '%') {
      out.push_back(text[at++]);
      continue;
    }
    Value value;
    bool named = false;
    if (at < text.size() && text[at] == '(') {
      const std::size_t end = text.find(')', at);
      if (end == std::string::npos || values.as<DictPtr>() == nullptr) raise("a format with names needs a mapping");
      value = interpreter.item_of(values, Value::text(text.substr(at + 1, end - at - 1)));
      at = end + 1;
      named = true;
    }
    Spec spec;
    for (; at < text.size() && std::string_view("-+ 0#").find(text[at]) != std::string_view::npos; ++at) {
      if (text[at] == '-') spec.align = '<';
      if (text[at] == '+' || text[at] == ' ') spec.sign = text[at];
      if (text[at] == '0' && spec.align == '\0') {
        spec.fill = "0";
        spec.align = '=';
      }
    }
    if (spec.align == '<') spec.fill = " ";
    if (spec.align == '\0') spec.align = '>';
    spec.width = take_number(text, at);
    if (at < text.size() && text[at] == '.') spec.precision = take_number(text, ++at);
    if (at >= text.size()) raise("a format ends within a field");
    const char type = text[at++];
    if (!named) {
      if (next >= count) raise("not enough values for a format");
      value = tuple ? (*list)->items[next] : values;
      ++next;
    }
    if (type == 's' || type == 'r' || type == 'a') {
      spec.type = 's';
      value = Value::text(type == 's' ? to_text(value) : to_repr(value));
      if (format.safe()) value = Value::text(escape_html(value.text()));
    } else {
      if (!value.is_number()) raise(cat("format '%", type, "' needs a number, found '", type_name(value), "'"));
      spec.type = type == 'i' || type == 'u' ? 'd' : type;
      if (spec.type == 'd' && !value.to_integer()) value = Value::integer(static_cast<std::int64_t>(value.to_real()));
    }
    out += formatted(value, spec);
    interpreter.charge(out.size() / 8);
  }
  if (next < count && values.as<DictPtr>() == nullptr) raise("not all values of a format are used");
  return interpreter.make_text(std::move(out), format.safe());
}

Value format_braces(Interpreter& interpreter, const Value& format, const CallArgs& args) {
  const std::string& text = format.text();
  std::string out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at++];
    if (c != '{' && c != '}') {
      out.push_back(c);
      continue;
    }
    if (at < text.size() && text[at] == c) {
      out.push_back(text[at++]);
      continue;
    }
    const std::size_t end = text.find('}', at);
    if (c == '}' || end == std::string::npos) raise("a format has a single brace");
    std::string_view field = std::string_view(text).substr(at, end - at);
    at = end + 1;
    std::string_view spec_text;
    if (const std::size_t colon = field.find(':'); colon != std::string_view::npos) {
      spec_text = field.substr(colon + 1);
      field = field.substr(0, colon);
    }
    char conversion = '\0';
    if (field.size() >= 2 && field[field.size() - 2] == '!') {
      conversion = field.back();
      field.remove_suffix(2);
    }
    Value value = field_value(interpreter, field, args, next);
    if (conversion != '\0') value = Value::text(conversion == 'r' ? to_repr(value) : to_text(value));
    std::string shown = formatted(value, parse_spec(spec_text));
    out += format.safe() ? escape_html(shown) : shown;
    interpreter.charge(out.size() / 8);
  }
  return interpreter.make_text(std::move(out), format.safe());
}

}  // namespace corbel::jinja
