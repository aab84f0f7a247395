#include <algorithm>
#include <array>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_interpreter.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

struct Range {
  std::int64_t start;
  std::int64_t step;
  std::int64_t count;
  std::int64_t stop;
};

/// Python's slice.indices.
Range slice_range(std::int64_t size, const std::array<std::optional<std::int64_t>, 3>& bounds) {
  const std::int64_t step = bounds[2].value_or(1);
  if (step == 0) raise("a slice's step is 0");
  const std::int64_t low = step < 0 ? -1 : 0;
  const std::int64_t high = step < 0 ? size - 1 : size;
  const auto place = [&](std::optional<std::int64_t> bound, std::int64_t fallback) {
    if (!bound) return fallback;
    if (*bound >= 0) return std::min(*bound, high);
    return *bound < -size ? low : std::max(*bound + size, low);
  };
  const std::int64_t start = place(bounds[0], step < 0 ? high : low);
  const std::int64_t stop = place(bounds[1], step < 0 ? low : high);
  if (step > 0 ? start >= stop : start <= stop) return {start, step, 0, stop};
  // Steps beyond the size give one item; clamping keeps the sums below in range.
  const std::int64_t reach = std::clamp<std::int64_t>(step, -size - 1, size + 1);
  const std::int64_t distance = step > 0 ? stop - start : start - stop;
  return {start, reach, (distance - 1) / (reach > 0 ? reach : -reach) + 1, stop};
}

/// The byte where the character begins that stands `distance` characters from the one at byte `at`.
std::size_t place_of(const std::string& text, std::size_t at, std::int64_t distance) {
  for (; distance > 0 && at < text.size(); --distance) at += utf8_at(text.data() + at).bytes;
  for (; distance < 0 && at > 0; ++distance) at -= utf8_before(text.data() + at).bytes;
  return at;
}

std::optional<std::int64_t> in_range(std::int64_t index, std::size_t size) {
  const auto count = static_cast<std::int64_t>(size);
  if (index < -count || index >= count) return std::nullopt;
  return index < 0 ? index + count : index;
}

}  // namespace

Value Interpreter::evaluate(const Expression& expression) {
  const Deeper deeper(*this);
  step();
  at(expression.line, expression.column);
  const auto part = [&](std::size_t i) -> const Expression& { return *expression.parts[i]; };
  switch (expression.kind) {
    case ExpressionKind::constant: return expression.value;
    case ExpressionKind::name: return evaluate_name(expression);
    case ExpressionKind::tuple:
    case ExpressionKind::list:
    case ExpressionKind::dict: return evaluate_parts(expression);
    case ExpressionKind::conditional:
      if (is_true(evaluate(part(1)))) return evaluate(part(0));
      return expression.parts[2] != nullptr ? evaluate(part(2))
                                            : Value::undefined("the condition is false and has no else");
    case ExpressionKind::logical_and: {
      Value left = evaluate(part(0));
      return is_true(left) ? evaluate(part(1)) : left;
    }
    case ExpressionKind::logical_or: {
      Value left = evaluate(part(0));
      return is_true(left) ? left : evaluate(part(1));
    }
    case ExpressionKind::logical_not: return Value::boolean(!is_true(evaluate(part(0))));
    case ExpressionKind::comparison: return evaluate_comparison(expression);
    case ExpressionKind::binary: {
      const Value left = evaluate(part(0));
      return binary(*this, expression.name, left, evaluate(part(1)));
    }
    case ExpressionKind::concat: return evaluate_concat(expression);
    case ExpressionKind::negative: return binary(*this, "neg", Value::integer(0), evaluate(part(0)));
    case ExpressionKind::positive: {
      Value value = evaluate(part(0));
      return value.as<double>() != nullptr ? value : binary(*this, "+", Value::integer(0), value);
    }
    case ExpressionKind::attribute: return attribute_of(evaluate(part(0)), expression.name);
    case ExpressionKind::item: return evaluate_item(expression);
    case ExpressionKind::call: return evaluate_call(expression);
    case ExpressionKind::filter: return evaluate_filter(expression);
    case ExpressionKind::test: return evaluate_test(expression);
    case ExpressionKind::slice: raise("a slice stands outside [...]");
    case ExpressionKind::namespace_target: break;
  }
  raise("this cannot be evaluated");
}

Value Interpreter::evaluate_name(const Expression& expression) {
  if (const Value* held = scope_->find(expression.name)) return *held;
  return Value::undefined(cat("'", expression.name, "' is undefined"));
}

Value Interpreter::evaluate_parts(const Expression& expression) {
  if (expression.kind == ExpressionKind::dict) {
    Dict dict;
    charge(expression.parts.size() * sizeof(Value));
    for (std::size_t i = 0; i < expression.parts.size(); i += 2) {
      Value key = evaluate(*expression.parts[i]);
      require_hashable(key);
      step(static_cast<std::int64_t>(dict.items.size() / 8));
      dict.set(std::move(key), evaluate(*expression.parts[i + 1]));
    }
    return Value::dict(std::move(dict));
  }
  std::vector<Value> items;
  for (const ExpressionPtr& part : expression.parts) items.push_back(evaluate(*part));
  return make_list(std::move(items), expression.kind == ExpressionKind::tuple ? ListKind::tuple : ListKind::list);
}

Value Interpreter::evaluate_comparison(const Expression& expression) {
  Value left = evaluate(*expression.parts[0]);
  for (std::size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = evaluate(*expression.parts[i + 1]);
    if (right.is_text()) charge(right.text().size() * 8);  // a search in it
    step((weight_of(left) + weight_of(right)) / 8);
    if (!compare(expression.operators[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_concat(const Expression& expression) {
  std::string text;
  for (const ExpressionPtr& part : expression.parts) {
    const Value value = evaluate(*part);
    const std::string part_text = shown(value);
    charge(part_text.size());
    text += part_text;
  }
  return make_text(std::move(text));
}

Value Interpreter::evaluate_item(const Expression& expression) {
  const Value object = evaluate(*expression.parts[0]);
  const Expression& index = *expression.parts[1];
  if (index.kind == ExpressionKind::slice) return slice_of(object, index);
  return item_of(object, evaluate(index));
}

Value Interpreter::slice_of(const Value& object, const Expression& slice) {
  std::array<std::optional<std::int64_t>, 3> bounds;
  for (std::size_t i = 0; i < 3; ++i) {
    if (slice.parts[i] == nullptr) continue;
    const Value bound = evaluate(*slice.parts[i]);
    if (bound.is_none()) continue;
    bounds[i] = bound.to_integer();
    if (!bounds[i]) raise(cat("a slice's bounds must be whole numbers or None, found '", type_name(bound), "'"));
  }
  if (object.is_undefined()) item_of(object, Value::none());  // raises
  const auto* list = object.as<ListPtr>();
  const bool sliceable = list != nullptr && ((*list)->kind == ListKind::list || (*list)->kind == ListKind::tuple ||
                                             (*list)->kind == ListKind::range);
  if (sliceable) {
    std::vector<Value> items;
    const Range range = slice_range(static_cast<std::int64_t>((*list)->items.size()), bounds);
    if ((*list)->kind == ListKind::range) {
      const RangeBounds& all = (*list)->range;
      return make_range({all.start + range.start * all.step, all.start + range.stop * all.step, all.step * range.step});
    }
    for (std::int64_t i = 0; i < range.count; ++i) {
      items.push_back((*list)->items[static_cast<std::size_t>(range.start + i * range.step)]);
    }
    return make_list(std::move(items), (*list)->kind);
  }
  if (!object.is_text()) raise(cat("a '", type_name(object), "' cannot be sliced"));
  charge(object.text().size());
  const std::string& source = object.text();
  const Range range = slice_range(static_cast<std::int64_t>(count_characters(source)), bounds);
  std::string text;
  std::size_t at = place_of(source, 0, range.start);
  for (std::int64_t i = 0; i < range.count; ++i) {
    text.append(source, at, utf8_at(source.data() + at).bytes);
    if (i + 1 < range.count) at = place_of(source, at, range.step);
  }
  return make_text(std::move(text), object.safe());
}

void Interpreter::evaluate_arguments(const Expression& expression, CallArgs& args) {
  for (std::size_t i = 1; i < expression.parts.size(); ++i) args.positional.push_back(evaluate(*expression.parts[i]));
  if (expression.star != nullptr) {
    for (Value& item : iterate(evaluate(*expression.star))) args.positional.push_back(std::move(item));
  }
  for (const auto& [name, value] : expression.named) args.named.emplace_back(name, evaluate(*value));
  if (expression.star_star != nullptr) {
    const Value extra = evaluate(*expression.star_star);
    const auto* dict = extra.as<DictPtr>();
    if (dict == nullptr) raise(cat("** needs a mapping, found '", type_name(extra), "'"));
    for (const auto& [key, value] : (*dict)->items) args.named.emplace_back(to_text(key), value);
  }
  for (std::size_t i = 0; i < args.named.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (args.named[i].first == args.named[k].first)
        raise(cat("the argument '", args.named[i].first, "' is given twice"));
    }
  }
}

Value Interpreter::evaluate_call(const Expression& expression) {
  const Value callee = evaluate(*expression.parts[0]);
  CallArgs args;
  evaluate_arguments(expression, args);
  at(expression.line, expression.column);
  return call(callee, args);
}

Value Interpreter::call(const Value& callee, CallArgs& args) {
  if (const auto* undefined = callee.as<Undefined>())
    raise(undefined->what != nullptr ? *undefined->what : "a value is undefined");
  const auto* object = callee.as<ObjectPtr>();
  if (object == nullptr) raise(cat("a '", type_name(callee), "' is not callable"));
  const ObjectPtr held = *object;
  return held->call(*this, args);
}

Value Interpreter::evaluate_filter(const Expression& expression) {
  Value input;
  if (expression.parts[0] != nullptr) {
    input = evaluate(*expression.parts[0]);
  } else if (block_text_ != nullptr) {
    input = *block_text_;
  }
  CallArgs args;
  evaluate_arguments(expression, args);
  at(expression.line, expression.column);
  return apply_filter(expression.name, input, args);
}

Value Interpreter::evaluate_test(const Expression& expression) {
  const Value input = evaluate(*expression.parts[0]);
  CallArgs args;
  evaluate_arguments(expression, args);
  at(expression.line, expression.column);
  return Value::boolean(apply_test(expression.name, input, args));
}

Value Interpreter::attribute_of(const Value& object, std::string_view name) {
  if (const auto* undefined = object.as<Undefined>()) {
    raise(cat(undefined->what != nullptr ? *undefined->what : "a value is undefined", "; it has no attribute '", name,
              "'"));
  }
  if (const auto* held = object.as<ObjectPtr>()) return (*held)->attribute(name);
  if (Value method = method_of(object, name); !method.is_undefined()) return method;
  if (const auto* dict = object.as<DictPtr>()) {
    step(static_cast<std::int64_t>((*dict)->items.size() / 8));
    if (const Value* found = (*dict)->find(name)) return *found;
  }
  return Value::undefined(cat("'", type_name(object), "' has no attribute '", name, "'"));
}

Value Interpreter::item_of(const Value& object, const Value& index) {
  if (const auto* undefined = object.as<Undefined>()) {
    raise(cat(undefined->what != nullptr ? *undefined->what : "a value is undefined", "; it has no items"));
  }
  const auto integer = index.to_integer();
  if (const auto* list = object.as<ListPtr>()) {
    const bool indexed =
        (*list)->kind == ListKind::list || (*list)->kind == ListKind::tuple || (*list)->kind == ListKind::range;
    if (indexed && integer) {
      const auto at_index = in_range(*integer, (*list)->items.size());
      return at_index ? (*list)->items[static_cast<std::size_t>(*at_index)]
                      : Value::undefined("the list has no such item");
    }
  } else if (object.is_text() && integer) {
    charge(object.text().size());
    const std::string& source = object.text();
    const auto at_index = in_range(*integer, count_characters(source));
    if (!at_index) return Value::undefined("the string has no such character");
    const std::size_t at = place_of(source, 0, *at_index);
    return Value::text(source.substr(at, utf8_at(source.data() + at).bytes), object.safe());
  } else if (const auto* dict = object.as<DictPtr>()) {
    step(static_cast<std::int64_t>((*dict)->items.size() / 8));
    if (const Value* found = (*dict)->find(index)) return *found;
  }
  if (!index.is_text()) return Value::undefined(cat("'", type_name(object), "' has no item ", to_repr(index)));
  if (const auto* held = object.as<ObjectPtr>()) return (*held)->attribute(index.text());
  Value method = method_of(object, index.text());
  return method.is_undefined() ? Value::undefined(cat("'", type_name(object), "' has no item '", index.text(), "'"))
                               : method;
}

}  // namespace corbel::jinja
