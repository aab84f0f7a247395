#include "corbel/text/jinja_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

constexpr std::size_t kMaxWidth = 10000;
constexpr std::size_t kMaxPrecision = 1000;  // of real numbers: what their digits are printed into

[[noreturn]] void misfit(const FormatSpec& spec, const Value& value) {
  raise(cat("format '", spec.type == '\0' ? ' ' : spec.type, "' does not fit a '", type_name(value), "'"));
}

std::size_t sign_size(std::string_view text) {
  std::size_t size = !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ') ? 1 : 0;
  if (text.size() > size + 1 && text[size] == '0' &&
      std::string_view("xXob").find(text[size + 1]) != std::string_view::npos) {
    size += 2;
  }
  return size;
}

std::string grouped(const std::string& text, const FormatSpec& spec) {
  const std::size_t begin = sign_size(text);
  std::size_t end = begin;
  const auto is_digit = [&](char c) {
    return (c >= '0' && c <= '9') || (spec.type == 'x' && c >= 'a' && c <= 'f') ||
           (spec.type == 'X' && c >= 'A' && c <= 'F');
  };
  while (end < text.size() && is_digit(text[end])) ++end;
  std::string digits = text.substr(begin, end - begin);
  const std::size_t step =
      std::string_view("xXob").find(spec.type) != std::string_view::npos && spec.type != '\0' ? 4 : 3;
  const auto with_marks = [&] {
    std::string out = digits;
    for (std::size_t at = out.size(); at > step; at -= step) out.insert(at - step, 1, spec.grouping);
    return out;
  };
  std::string marked = with_marks();
  if (spec.align == '=' && spec.fill == "0") {
    const std::size_t around = text.size() - digits.size();
    while (marked.size() + around < spec.width) {
      digits.insert(0, 1, '0');
      marked = with_marks();
    }
  }
  return text.substr(0, begin) + marked + text.substr(end);
}

std::string finished_number(std::string text, const FormatSpec& spec) {
  if (spec.grouping != '\0') text = grouped(text, spec);
  return padded(std::move(text), spec, '>');
}

std::string with_sign(const std::string& digits, bool negative, char sign) {
  if (negative) return "-" + digits;
  return sign == '+' || sign == ' ' ? std::string(1, sign) + digits : digits;
}

std::string formatted_integer(const Value& value, const FormatSpec& spec) {
  if (spec.precision) raise("a format of whole numbers has no precision");
  if (spec.type == 'c') {
    const std::int64_t code = *value.to_integer();
    if (spec.sign != '\0' || spec.alternate || spec.grouping != '\0' || code < 0 || code > 0x10FFFF ||
        (code >= 0xD800 && code < 0xE000)) {
      misfit(spec, value);
    }
    std::string text;
    append_utf8(text, static_cast<char32_t>(code));
    return padded(std::move(text), spec, '<');
  }
  if (spec.grouping == ',' && spec.type != 'd' && spec.type != '\0') misfit(spec, value);
  if (spec.grouping != '\0' && spec.type == 'n') misfit(spec, value);
  if (spec.signed_zero) misfit(spec, value);
  return finished_number(integer_digits(*value.to_integer(), spec), spec);
}

std::string formatted_text(const std::string& text, const FormatSpec& spec) {
  if ((spec.type != '\0' && spec.type != 's') || spec.sign != '\0' || spec.alternate || spec.grouping != '\0' ||
      spec.signed_zero) {
    misfit(spec, Value::text(""));
  }
  FormatSpec own = spec;
  if (own.align == '=') {
    if (own.fill != "0") raise("a format of strings cannot align with '='");
    own.align = '<';
  }
  if (!spec.precision) return padded(text, own, '<');
  std::string cut;
  const std::vector<std::string> all = characters(text);
  for (std::size_t i = 0; i < std::min(*spec.precision, all.size()); ++i) cut += all[i];
  return padded(std::move(cut), own, '<');
}

FormatSpec parse_spec(std::string_view text) {
  FormatSpec spec;
  constexpr std::string_view kAligns = "<>^=";
  std::size_t at = 0;
  const std::size_t first = text.empty() ? 0 : utf8_at(text.data()).bytes;
  if (first > 0 && first < text.size() && kAligns.find(text[first]) != std::string_view::npos) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    at = first + 1;
  } else if (!text.empty() && kAligns.find(text[0]) != std::string_view::npos) {
    spec.align = text[at++];
  }
  const auto skip = [&](char c) { return at < text.size() && text[at] == c && (++at, true); };
  if (at < text.size() && (text[at] == '+' || text[at] == '-' || text[at] == ' ')) spec.sign = text[at++];
  spec.signed_zero = skip('z');
  spec.alternate = skip('#');
  const bool filled = spec.fill != " " || first < at;
  if (skip('0')) {
    if (!filled || spec.align == '\0') spec.fill = "0";
    if (spec.align == '\0') spec.align = '=';
  }
  spec.width = take_number(text, at);
  if (skip(',')) spec.grouping = ',';
  if (skip('_')) {
    if (spec.grouping != '\0') raise("a format cannot group by ',' and '_' both");
    spec.grouping = '_';
  }
  if (skip('.')) {
    if (at >= text.size() || text[at] < '0' || text[at] > '9') raise("a format lacks its precision");
    spec.precision = take_number(text, at);
  }
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) raise(cat("cannot read the format '", text, "'"));
  return spec;
}

std::string formatted(const Value& value, std::string_view spec_text) {
  if (spec_text.empty()) return to_text(value);
  const FormatSpec spec = parse_spec(spec_text);
  if (value.is_text()) return formatted_text(value.text(), spec);
  if (!value.is_number()) raise(cat("a '", type_name(value), "' takes no format"));
  constexpr std::string_view kRealTypes = "eEfFgG%";
  constexpr std::string_view kIntegerTypes = "bcdoxXn";
  const bool real_type = spec.type != '\0' && kRealTypes.find(spec.type) != std::string_view::npos;
  const bool integer_type = spec.type != '\0' && kIntegerTypes.find(spec.type) != std::string_view::npos;
  if (value.to_integer() && (spec.type == '\0' || integer_type)) return formatted_integer(value, spec);
  if (spec.type != '\0' && spec.type != 'n' && !real_type) misfit(spec, value);
  if (spec.grouping != '\0' && spec.type == 'n') misfit(spec, value);
  return finished_number(real_digits(value.to_real(), spec), spec);
}

/// Reads the fields of one str.format.
class BraceFormat {
 public:
  BraceFormat(Interpreter& interpreter, const CallArgs& args, bool safe)
      : interpreter_(interpreter), args_(args), safe_(safe) {}

  std::string format(std::string_view text, int depth) {
    if (depth > 2) raise("a format nests fields too deeply");
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const char c = text[at++];
      if (c != '{' && c != '}') {
        out.push_back(c);
      } else if (at < text.size() && text[at] == c) {
        out.push_back(text[at++]);
      } else if (c == '}') {
        raise("a format has a single brace");
      } else {
        out += field(take_field(text, at), depth);
        interpreter_.charge(out.size() / 8);
      }
    }
    return out;
  }

 private:
  /// The text up to the brace that closes the field; `at` stands behind it then.
  static std::string_view take_field(std::string_view text, std::size_t& at) {
    const std::size_t begin = at;
    int open = 1;
    for (bool bracket = false; at < text.size(); ++at) {
      if (text[at] == '[') bracket = true;
      if (text[at] == ']') bracket = false;
      if (bracket) continue;
      if (text[at] == '{') ++open;
      if (text[at] == '}' && --open == 0) return text.substr(begin, at++ - begin);
    }
    raise("a format has a single brace");
  }

  std::string field(std::string_view field, int depth) {
    std::size_t end = 0;
    for (bool bracket = false; end < field.size(); ++end) {
      if (field[end] == '[') bracket = true;
      if (field[end] == ']') bracket = false;
      if (!bracket && (field[end] == '!' || field[end] == ':')) break;
      if (field[end] == '{' && !bracket) raise("a format has a brace within a field's name");
    }
    Value value = named_value(field.substr(0, end));
    if (!value.is_text()) interpreter_.step(weight_of(value));
    std::size_t at = end;
    if (at < field.size() && field[at] == '!') {
      if (at + 1 >= field.size() || (at + 2 < field.size() && field[at + 2] != ':'))
        raise("a format's conversion is one letter");
      const char conversion = field[at + 1];
      at += 2;
      if (conversion != 'r' && conversion != 's' && conversion != 'a')
        raise(cat("a format has no conversion '", conversion, "'"));
      value = Value::text(conversion == 's' ? to_text(value) : conversion == 'r' ? to_repr(value) : ascii_repr(value));
    }
    const std::string spec = at < field.size() ? format(field.substr(at + 1), depth + 1) : std::string();
    const std::string shown = formatted(value, spec);
    return safe_ && !value.safe() ? escape_html(shown) : shown;
  }

  const Value& first_value(std::string_view first) {
    const bool digits = !first.empty() && first.find_first_not_of("0123456789") == std::string_view::npos;
    if (!first.empty() && !digits) {
      const auto found =
          std::find_if(args_.named.begin(), args_.named.end(), [&](const auto& named) { return named.first == first; });
      if (found == args_.named.end()) raise(cat("format() has no argument '", first, "'"));
      return found->second;
    }
    if ((first.empty() && next_ < 0) || (digits && next_ > 0))
      raise("format() numbers its fields by hand and by itself");
    std::size_t at = 0;
    const std::size_t index = first.empty() ? static_cast<std::size_t>(next_++) : take_number(first, at);
    if (digits) next_ = -1;
    if (index >= args_.positional.size()) raise(cat("format() has no argument ", index));
    return args_.positional[index];
  }

  /// "", "0", "name", with .attributes and [items].
  Value named_value(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = first_value(name.substr(0, end));
    for (std::size_t at = end; at < name.size();) {
      const bool item = name[at] == '[';
      if (!item && name[at] != '.') raise(cat("cannot read the field '", name, "'"));
      const std::size_t stop = item ? name.find(']', at) : std::min(name.find_first_of(".[", at + 1), name.size());
      if (stop == std::string_view::npos || stop == at + 1) raise(cat("cannot read the field '", name, "'"));
      const std::string key(name.substr(at + 1, stop - at - 1));
      value = item ? item_of(value, key) : interpreter_.attribute_of(value, key);
      at = item ? stop + 1 : stop;
    }
    return value;
  }

  Value item_of(const Value& value, const std::string& key) {
    std::size_t at = 0;
    const bool digits = key.find_first_not_of("0123456789") == std::string::npos;
    return interpreter_.item_of(
        value, digits ? Value::integer(static_cast<std::int64_t>(take_number(key, at))) : Value::text(key));
  }

  Interpreter& interpreter_;
  const CallArgs& args_;
  bool safe_;
  std::int64_t next_ = 0;  // of the fields without a name; -1 once one has a number
};

}  // namespace

std::size_t take_number(std::string_view text, std::size_t& at) {
  std::size_t value = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value = std::min(value * 10 + static_cast<std::size_t>(text[at++] - '0'), kMaxWidth + 1);
  }
  if (value > kMaxWidth) raise(cat("a format's width is beyond ", kMaxWidth));
  return value;
}

std::string padded(std::string text, const FormatSpec& spec, char fallback_align) {
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
  if (align == '=') {
    const std::size_t sign = sign_size(text);
    return text.substr(0, sign) + fill(missing) + text.substr(sign);
  }
  return fill(missing) + text;
}

std::string real_digits(double value, const FormatSpec& spec) {
  const double size = std::fabs(spec.type == '%' ? value * 100 : value);
  const bool negative = std::signbit(value) && !std::isnan(value);
  const bool upper = spec.type == 'E' || spec.type == 'F' || spec.type == 'G';
  if (!std::isfinite(size)) {
    const std::string_view name = std::isnan(size) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf");
    return with_sign(cat(name, spec.type == '%' ? "%" : ""), negative, spec.sign);
  }
  if (spec.type == '\0' && !spec.precision && !spec.alternate) return with_sign(real_repr(size), negative, spec.sign);
  std::size_t precision = spec.precision.value_or(6);
  if (precision > kMaxPrecision) raise(cat("a format's precision is beyond ", kMaxPrecision));
  const bool plain = spec.type == '\0';
  char type = spec.type == '%' ? 'f' : plain || spec.type == 'n' ? 'g' : spec.type;
  if (type == 'F') type = 'f';
  if (plain && !spec.precision) precision = 17;
  // Without a type Python shows at least one digit behind the point, so the exponent comes one digit earlier.
  std::array<char, 1500> buffer{};
  char format[] = {'%', '#', '.', '*', type, '\0'};
  char plain_format[] = {'%', '.', '*', type, '\0'};
  if (plain && precision > 0) {
    char exponent_format[] = "%.*e";
    std::snprintf(buffer.data(), buffer.size(), exponent_format, static_cast<int>(precision) - 1, size);
    const std::string_view shown = buffer.data();
    int exponent = 0;
    const std::size_t at = shown.find('e') + (shown[shown.find('e') + 1] == '+' ? 2 : 1);
    std::from_chars(shown.data() + at, shown.data() + shown.size(), exponent);
    if (exponent == static_cast<int>(precision) - 1 && !spec.alternate) {
      std::string digits(shown.substr(0, shown.find('e')));
      while (digits.find('.') != std::string::npos && (digits.back() == '0' || digits.back() == '.')) {
        const bool point = digits.back() == '.';
        digits.pop_back();
        if (point) break;
      }
      return with_sign(cat(digits, shown.substr(shown.find('e'))), negative, spec.sign);
    }
  }
  std::snprintf(buffer.data(), buffer.size(), spec.alternate ? format : plain_format, static_cast<int>(precision),
                size);
  std::string text = buffer.data();
  if (plain && text.find_first_of(".e") == std::string::npos) text += ".0";
  if (spec.type == '%') text += '%';
  bool minus = negative;
  if (minus && spec.signed_zero && text.find_first_of("123456789") == std::string::npos) minus = false;
  return with_sign(text, minus, spec.sign);
}

std::string integer_digits(std::int64_t value, const FormatSpec& spec) {
  const int base = spec.type == 'x' || spec.type == 'X' ? 16 : spec.type == 'o' ? 8 : spec.type == 'b' ? 2 : 10;
  std::array<char, 80> buffer{};
  const auto magnitude = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  std::string digits(buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), magnitude, base).ptr);
  if (spec.type == 'X') digits = to_upper(digits);
  if (spec.precision && digits.size() < *spec.precision) digits.insert(0, *spec.precision - digits.size(), '0');
  if (spec.alternate && base != 10) digits = cat("0", spec.type, digits);
  return with_sign(digits, value < 0, spec.sign);
}

std::string ascii_repr(const Value& value) {
  std::string out;
  for (const std::string& c : characters(to_repr(value))) {
    const char32_t code = utf8_at(c.data()).code;
    if (code < 0x80) {
      out += c;
      continue;
    }
    std::array<char, 16> buffer{};
    std::snprintf(buffer.data(), buffer.size(),
                  code < 0x100     ? "\\x%02x"
                  : code < 0x10000 ? "\\u%04x"
                                   : "\\U%08x",
                  static_cast<unsigned>(code));
    out += buffer.data();
  }
  return out;
}

Value format_braces(Interpreter& interpreter, const Value& format, const CallArgs& args) {
  return interpreter.make_text(BraceFormat(interpreter, args, format.safe()).format(format.text(), 0), format.safe());
}

}  // namespace corbel::jinja
