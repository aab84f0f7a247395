#include <algorithm>
#include <cmath>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_filters.h"
#include "corbel/text/jinja_interpreter.h"
#include "corbel/text/jinja_text.h"

namespace corbel::jinja {
namespace {

using TestFunction = bool (*)(Interpreter& interpreter, const Value& value, const CallArgs& args);

template <bool (*kTest)(const Value&)>
bool plain(Interpreter&, const Value& value, const CallArgs& args) {
  const Arguments none("test", args, {});
  return kTest(value);
}

bool is_defined(const Value& value) { return !value.is_undefined(); }
bool is_undefined(const Value& value) { return value.is_undefined(); }
bool is_none(const Value& value) { return value.is_none(); }
bool is_string(const Value& value) { return value.is_text(); }
bool is_mapping(const Value& value) { return value.as<DictPtr>() != nullptr; }
bool is_number(const Value& value) { return value.is_number(); }
bool is_integer(const Value& value) { return value.as<std::int64_t>() != nullptr; }
bool is_float(const Value& value) { return value.as<double>() != nullptr; }
bool is_boolean(const Value& value) { return value.as<bool>() != nullptr; }
bool is_the_true(const Value& value) { return value.as<bool>() != nullptr && *value.as<bool>(); }
bool is_the_false(const Value& value) { return value.as<bool>() != nullptr && !*value.as<bool>(); }
bool is_escaped(const Value& value) { return value.safe(); }
bool is_lower(const Value& value) {
  const std::string text = to_text(value);
  return text == to_lower(text) && text != to_upper(text);
}
bool is_upper(const Value& value) {
  const std::string text = to_text(value);
  return text == to_upper(text) && text != to_lower(text);
}
bool is_sequence(const Value& value) {
  const auto* list = value.as<ListPtr>();
  const bool indexed = list != nullptr && ((*list)->kind == ListKind::list || (*list)->kind == ListKind::tuple ||
                                           (*list)->kind == ListKind::range);
  return indexed || value.is_text() || value.is_undefined() || value.as<DictPtr>() != nullptr;
}
bool is_callable(const Value& value) {
  const auto* object = value.as<ObjectPtr>();
  return value.is_undefined() || (object != nullptr && (*object)->callable());
}
bool is_filter(const Value& value) {
  require_hashable(value);
  return value.is_text() && find_filter(value.text()) != nullptr;
}

bool leaves(Interpreter& interpreter, const Value& value, const Value& divisor, std::int64_t rest) {
  return equal(binary(interpreter, "%", value, divisor), Value::integer(rest));
}
bool is_even(Interpreter& interpreter, const Value& value, const CallArgs& args) {
  const Arguments none("even", args, {});
  return leaves(interpreter, value, Value::integer(2), 0);
}
bool is_odd(Interpreter& interpreter, const Value& value, const CallArgs& args) {
  const Arguments none("odd", args, {});
  return leaves(interpreter, value, Value::integer(2), 1);
}
bool is_divisible(Interpreter& interpreter, const Value& value, const CallArgs& args) {
  return leaves(interpreter, value, Arguments("divisibleby", args, {"num"}, 1)[0], 0);
}

bool is_same(Interpreter&, const Value& value, const CallArgs& args) {
  const Value& other = Arguments("sameas", args, {"other"}, 1)[0];
  if (value.state().index() != other.state().index()) return false;
  if (const auto* list = value.as<ListPtr>()) return *list == *other.as<ListPtr>();
  if (const auto* dict = value.as<DictPtr>()) return *dict == *other.as<DictPtr>();
  return equal(value, other);
}

template <char kFirst, char kSecond = '\0'>
bool compares(Interpreter&, const Value& value, const CallArgs& args) {
  const char op[] = {kFirst, kSecond, '\0'};
  return compare(op, value, Arguments(op, args, {"other"}, 1)[0]);
}

bool is_in(Interpreter&, const Value& value, const CallArgs& args) {
  return contains(Arguments("in", args, {"seq"}, 1)[0], value);
}

bool is_test(Interpreter&, const Value& value, const CallArgs& args);

struct Test {
  std::string_view name;
  TestFunction function;
};

constexpr Test kTests[] = {
    {"defined", plain<is_defined>},
    {"undefined", plain<is_undefined>},
    {"none", plain<is_none>},
    {"string", plain<is_string>},
    {"mapping", plain<is_mapping>},
    {"iterable", plain<is_iterable>},
    {"sequence", plain<is_sequence>},
    {"number", plain<is_number>},
    {"integer", plain<is_integer>},
    {"float", plain<is_float>},
    {"boolean", plain<is_boolean>},
    {"true", plain<is_the_true>},
    {"false", plain<is_the_false>},
    {"callable", plain<is_callable>},
    {"escaped", plain<is_escaped>},
    {"lower", plain<is_lower>},
    {"upper", plain<is_upper>},
    {"even", is_even},
    {"odd", is_odd},
    {"filter", plain<is_filter>},
    {"test", is_test},
    {"divisibleby", is_divisible},
    {"sameas", is_same},
    {"in", is_in},
    {"equalto", compares<'=', '='>},
    {"eq", compares<'=', '='>},
    {"==", compares<'=', '='>},
    {"ne", compares<'!', '='>},
    {"!=", compares<'!', '='>},
    {"lt", compares<'<'>},
    {"lessthan", compares<'<'>},
    {"<", compares<'<'>},
    {"le", compares<'<', '='>},
    {"<=", compares<'<', '='>},
    {"gt", compares<'>'>},
    {"greaterthan", compares<'>'>},
    {">", compares<'>'>},
    {"ge", compares<'>', '='>},
    {">=", compares<'>', '='>},
};

TestFunction find_test(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kTests), std::end(kTests), [&](const Test& test) { return test.name == name; });
  return found == std::end(kTests) ? nullptr : found->function;
}

bool is_test(Interpreter&, const Value& value, const CallArgs& args) {
  const Arguments none("test", args, {});
  require_hashable(value);
  return value.is_text() && find_test(value.text()) != nullptr;
}

}  // namespace

bool test_exists(std::string_view name) { return find_test(name) != nullptr; }

bool Interpreter::apply_test(std::string_view name, const Value& input, CallArgs& args) {
  const TestFunction function = find_test(name);
  if (function == nullptr) raise(cat("no test is named '", name, "'"));
  if (input.is_text()) charge(input.text().size() * (name == "lower" || name == "upper" ? kWalksCharacters : 1));
  step(weight_of(input) / 8);
  return function(*this, input, args);
}

}  // namespace corbel::jinja
