#include <algorithm>
#include <cmath>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_interpreter.h"

namespace corbel::jinja {
namespace {

constexpr std::size_t kMaxRepeatedBytes = 64 << 20;

[[noreturn]] void unsupported(std::string_view op, const Value& left, const Value& right) {
  raise(cat("'", op, "' is not supported between '", type_name(left), "' and '", type_name(right), "'"));
}

std::int64_t checked(bool overflowed, std::int64_t value) {
  if (overflowed) raise("a whole number is beyond 64 bits");
  return value;
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (b == -1) {
    std::int64_t out = 0;
    const bool overflowed = __builtin_sub_overflow(std::int64_t{0}, a, &out);
    return checked(overflowed, out);
  }
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t out = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0) {
      const bool overflowed = __builtin_mul_overflow(out, base, &out);
      checked(overflowed, out);
    }
    exponent >>= 1;
    if (exponent > 0) {
      const bool overflowed = __builtin_mul_overflow(base, base, &base);
      checked(overflowed, base);
    }
  }
  return out;
}

Value integer_arithmetic(std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  bool overflowed = false;
  if (op == "+" || op == "-" || op == "neg" || op == "*") {
    if (op == "+") overflowed = __builtin_add_overflow(a, b, &out);
    if (op == "-" || op == "neg") overflowed = __builtin_sub_overflow(a, b, &out);
    if (op == "*") overflowed = __builtin_mul_overflow(a, b, &out);
    return Value::integer(checked(overflowed, out));
  }
  if (op == "**") {
    if (b >= 0) return Value::integer(integer_power(a, b));
    if (a == 0) raise("division by zero: 0 to a negative power");
    return Value::real(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
  if (b == 0) raise("division by zero");
  // long double holds every whole number: rounded once, as Python does.
  if (op == "/") return Value::real(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
  const std::int64_t quotient = floor_divide(a, b);
  return Value::integer(op == "//" ? quotient : b == -1 ? 0 : a - quotient * b);
}

Value real_power(double a, double b) {
  if (a == 0 && b < 0) raise("division by zero: 0 to a negative power");
  const double out = std::pow(a, b);
  if (std::isnan(out) && !std::isnan(a) && !std::isnan(b)) raise("a root of a negative number is not supported here");
  if (std::isinf(out) && std::isfinite(a) && std::isfinite(b)) raise("a power is out of range");
  return Value::real(out);
}

Value real_arithmetic(std::string_view op, double a, double b) {
  if (op == "+") return Value::real(a + b);
  if (op == "neg") return Value::real(-b);
  if (op == "-") return Value::real(a - b);
  if (op == "*") return Value::real(a * b);
  if (op == "**") return real_power(a, b);
  if (b == 0) raise("division by zero");
  if (op == "/") return Value::real(a / b);
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) {
    rest += b;
    quotient -= 1;
  }
  if (op == "%") return Value::real(rest != 0 ? rest : std::copysign(0.0, b));
  if (quotient == 0) return Value::real(std::copysign(0.0, a / b));
  const double whole = std::floor(quotient);
  return Value::real(quotient - whole > 0.5 ? whole + 1 : whole);
}

Value repeat(Interpreter& interpreter, const Value& value, std::int64_t times) {
  times = std::max<std::int64_t>(times, 0);
  const auto* list = value.as<ListPtr>();
  const std::size_t unit = list != nullptr ? (*list)->items.size() * sizeof(Value) : value.text().size();
  if (unit > 0 && static_cast<std::size_t>(times) > kMaxRepeatedBytes / unit) raise("a repeated value is too big");
  if (list == nullptr) {
    std::string text;
    if (unit > 0) {
      for (std::int64_t i = 0; i < times; ++i) text += value.text();
    }
    return interpreter.make_text(std::move(text), value.safe());
  }
  std::vector<Value> items;
  if (unit > 0) {
    for (std::int64_t i = 0; i < times; ++i) items.insert(items.end(), (*list)->items.begin(), (*list)->items.end());
  }
  return interpreter.make_list(std::move(items), (*list)->kind);
}

bool is_sequence(const Value& value) {
  const auto* list = value.as<ListPtr>();
  return value.is_text() || (list != nullptr && ((*list)->kind == ListKind::list || (*list)->kind == ListKind::tuple));
}

Value add(Interpreter& interpreter, const Value& left, const Value& right) {
  if (left.is_text() && right.is_text()) {
    const bool safe = left.safe() || right.safe();
    const auto shown = [safe](const Value& value) {
      return safe && !value.safe() ? escape_html(value.text()) : value.text();
    };
    interpreter.charge(left.text().size());
    return interpreter.make_text(shown(left) + shown(right), safe);
  }
  const auto* a = left.as<ListPtr>();
  const auto* b = right.as<ListPtr>();
  if (a == nullptr || b == nullptr || (*a)->kind != (*b)->kind || !is_sequence(left)) unsupported("+", left, right);
  std::vector<Value> items = (*a)->items;
  items.insert(items.end(), (*b)->items.begin(), (*b)->items.end());
  return interpreter.make_list(std::move(items), (*a)->kind);
}

}  // namespace

Value binary(Interpreter& interpreter, std::string_view op, const Value& left, const Value& right) {
  // Python asks the left side first, and a format shows an undefined value as nothing.
  if (op == "%" && left.is_text()) return format_percent(interpreter, left, right);
  for (const Value* side : {&left, &right}) {
    if (const auto* undefined = side->as<Undefined>()) {
      raise(undefined->what != nullptr ? *undefined->what : "a value is undefined");
    }
  }
  if (left.is_number() && right.is_number()) {
    const auto a = left.to_integer();
    const auto b = right.to_integer();
    return a && b ? integer_arithmetic(op, *a, *b) : real_arithmetic(op, left.to_real(), right.to_real());
  }
  if (op == "+") return add(interpreter, left, right);
  if (op == "*") {
    if (is_sequence(left) && right.to_integer()) return repeat(interpreter, left, *right.to_integer());
    if (is_sequence(right) && left.to_integer()) return repeat(interpreter, right, *left.to_integer());
  }
  unsupported(op, left, right);
}

bool compare(std::string_view op, const Value& left, const Value& right) {
  if (op == "==") return equal(left, right);
  if (op == "!=") return !equal(left, right);
  if (op == "in") return contains(right, left);
  if (op == "not in") return !contains(right, left);
  if (left.is_number() && right.is_number() && (std::isnan(left.to_real()) || std::isnan(right.to_real())))
    return false;
  if (op == "<") return less(left, right);
  if (op == ">") return less(right, left);
  if (op == "<=") return !less(right, left);
  return !less(left, right);
}

}  // namespace corbel::jinja
