#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_filters.h"
#include "corbel/text/jinja_text.h"

namespace corbel::jinja {
namespace {

/// Without the underscores that Python allows between two digits; nothing where one stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto alphanumeric = [&](std::size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (text[i] != '_') {
      out.push_back(text[i]);
    } else if (i == 0 || !alphanumeric(i - 1) || !alphanumeric(i + 1)) {
      return std::nullopt;
    }
  }
  return out;
}

/// Python's int(text, base). Raises where the number is one and has more than 64 bits.
std::optional<std::int64_t> parse_integer(const std::string& source, std::int64_t base) {
  std::string_view text = strip(source, nullptr, Side::both);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const std::int64_t prefixed = text.size() < 2 || text[0] != '0'  ? 0
                                : text[1] == 'x' || text[1] == 'X' ? 16
                                : text[1] == 'o' || text[1] == 'O' ? 8
                                : text[1] == 'b' || text[1] == 'B' ? 2
                                                                   : 0;
  if (prefixed != 0 && (base == 0 || base == prefixed)) {
    base = prefixed;
    text.remove_prefix(text.size() > 2 && text[2] == '_' ? 3 : 2);
  } else if (base == 0) {
    base = 10;
    if (text.starts_with('0') && text.find_first_not_of("0_") != std::string_view::npos) return std::nullopt;
  }
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty() || (*digits)[0] == '-') return std::nullopt;
  std::uint64_t magnitude = 0;
  const auto parsed =
      std::from_chars(digits->data(), digits->data() + digits->size(), magnitude, static_cast<int>(base));
  if (parsed.ptr != digits->data() + digits->size()) return std::nullopt;
  constexpr std::uint64_t kMost = INT64_MAX;
  if (parsed.ec != std::errc() || magnitude > kMost + (negative ? 1 : 0)) raise("a whole number is beyond 64 bits");
  return static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
}

std::optional<double> parse_real(const std::string& source) {
  const std::optional<std::string> text = without_underscores(strip(source, nullptr, Side::both));
  if (!text || text->empty() || text->find_first_of("xXpP(") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text->c_str(), &end);
  if (end != text->c_str() + text->size()) return std::nullopt;
  return value;
}

std::int64_t whole_part(double value) {
  if (std::fabs(value) >= 9223372036854775808.0) raise("a whole number is beyond 64 bits");
  return static_cast<std::int64_t>(value);
}

/// An undefined value is no number to fall back from.
void require_defined(const Value& value) {
  if (const auto* undefined = value.as<Undefined>())
    raise(undefined->what != nullptr ? *undefined->what : "a value is undefined");
}

Value int_filter(Interpreter&, const Value& input, CallArgs& args) {
  require_defined(input);
  const Arguments bound("int", args, {"default", "base"});
  const Value fallback = bound.get(0) != nullptr ? bound[0] : Value::integer(0);
  if (const auto integer = input.to_integer()) return Value::integer(*integer);
  if (input.is_number()) {
    if (std::isinf(input.to_real())) raise("int() finds infinity");
    return std::isnan(input.to_real()) ? fallback : Value::integer(whole_part(input.to_real()));
  }
  if (!input.is_text()) return fallback;
  const std::int64_t base = bound.integer(1, 10);
  if (base == 0 || (base >= 2 && base <= 36)) {
    if (const auto parsed = parse_integer(input.text(), base)) return Value::integer(*parsed);
  }
  const auto real = parse_real(input.text());
  return real && std::isfinite(*real) ? Value::integer(whole_part(*real)) : fallback;
}

Value float_filter(Interpreter&, const Value& input, CallArgs& args) {
  require_defined(input);
  const Arguments bound("float", args, {"default"});
  if (input.is_number()) return Value::real(input.to_real());
  if (input.is_text()) {
    if (const auto parsed = parse_real(input.text())) return Value::real(*parsed);
  }
  return bound.get(0) != nullptr ? bound[0] : Value::real(0);
}

Value abs_filter(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments none("abs", args, {});
  if (!input.is_number()) raise(cat("abs() needs a number, found '", type_name(input), "'"));
  if (input.as<double>() != nullptr) return Value::real(std::fabs(input.to_real()));
  const bool negative = *input.to_integer() < 0;
  return binary(interpreter, negative ? "neg" : "+", Value::integer(0), input);
}

/// To a multiple of 10^places, ties to the even one.
Value rounded_integer(std::int64_t value, std::int64_t places) {
  if (places <= 0) return Value::integer(value);
  if (places > 19) return Value::integer(0);
  __extension__ using Wide = __int128;
  Wide unit = 1;
  for (std::int64_t i = 0; i < places; ++i) unit *= 10;
  Wide quotient = value / unit;
  const Wide rest = value - quotient * unit;
  const Wide twice = (rest < 0 ? -rest : rest) * 2;
  if (twice > unit || (twice == unit && quotient % 2 != 0)) quotient += value < 0 ? -1 : 1;
  const Wide result = quotient * unit;
  if (result > INT64_MAX || result < INT64_MIN) raise("a whole number is beyond 64 bits");
  return Value::integer(static_cast<std::int64_t>(result));
}

/// As Python does: the exact value's digits, ties to even, read back.
Value rounded_real(double value, std::int64_t precision) {
  if (!std::isfinite(value) || value == 0) return Value::real(value);
  std::array<char, 800> buffer{};
  if (precision >= 0) {
    std::snprintf(buffer.data(), buffer.size(), "%.*f", static_cast<int>(precision), value);
    return Value::real(std::strtod(buffer.data(), nullptr));
  }
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  const double size = std::fabs(value);
  if (size < unit) return Value::real(std::copysign(size > unit / 2 ? unit : 0.0, value));
  std::snprintf(buffer.data(), buffer.size(), "%.0e", size);
  const int exponent = std::atoi(buffer.data() + 2);
  std::snprintf(buffer.data(), buffer.size(), "%.*e", std::max(exponent + static_cast<int>(precision), 0), value);
  return Value::real(std::strtod(buffer.data(), nullptr));
}

Value round_filter(Interpreter&, const Value& input, CallArgs& args) {
  const Arguments bound("round", args, {"precision", "method"});
  const std::int64_t precision = bound.integer(0, 0);
  const std::string method = bound.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor")
    raise("round() knows the methods common, ceil and floor");
  if (!input.is_number()) raise(cat("round() needs a number, found '", type_name(input), "'"));
  if (precision < -300 || precision > 300) raise("round() needs a precision between -300 and 300");
  if (method == "common") {
    const auto integer = input.to_integer();
    return integer ? rounded_integer(*integer, -precision) : rounded_real(input.to_real(), precision);
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.to_real() * scale;
  if (!std::isfinite(scaled)) raise("round() finds a number out of range");
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale + 0.0);
}

Value filesizeformat(Interpreter&, const Value& input, CallArgs& args) {
  const Arguments bound("filesizeformat", args, {"binary"});
  const bool binary_units = bound.truth(0, false);
  std::optional<double> bytes;
  if (input.is_number()) bytes = input.to_real();
  if (input.is_text()) bytes = parse_real(input.text());
  if (!bytes) raise(cat("filesizeformat() needs a number, found '", type_name(input), "'"));
  const double base = binary_units ? 1024 : 1000;
  if (*bytes == 1) return Value::text("1 Byte");
  if (*bytes < base) return Value::text(cat(whole_part(*bytes), " Bytes"));
  if (std::isnan(*bytes)) return Value::text(cat("nan Y", binary_units ? "iB" : "B"));
  constexpr std::string_view kUnits = "kMGTPEZY";
  double unit = base * base;
  std::size_t i = 0;
  for (; i + 1 < kUnits.size() && *bytes >= unit; ++i) unit *= base;
  std::array<char, 400> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.1f ", base * *bytes / unit);
  const char letter = binary_units && kUnits[i] == 'k' ? 'K' : kUnits[i];
  return Value::text(cat(std::string_view(buffer.data()), letter, binary_units ? "iB" : "B"));
}

constexpr Filter kNumberFilters[] = {
    {"int", int_filter},
    {"float", float_filter},
    {"abs", abs_filter},
    {"round", round_filter},
    {"filesizeformat", filesizeformat},
};

}  // namespace

std::span<const Filter> number_filters() { return kNumberFilters; }

}  // namespace corbel::jinja
