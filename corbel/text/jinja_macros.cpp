#include <optional>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_interpreter.h"

namespace corbel::jinja {
namespace {

/// A macro, or the body of a {% call %} block.
class Macro final : public Object {
 public:
  Macro(const Callback& callback, const std::shared_ptr<Scope>& scope) : callback_(callback), scope_(scope) {}

  Value attribute(std::string_view name) const override {
    if (name == "name") return callback_.name.empty() ? Value::none() : Value::text(callback_.name);
    if (name == "catch_varargs") return Value::boolean(callback_.uses_varargs);
    if (name == "catch_kwargs") return Value::boolean(callback_.uses_kwargs);
    if (name == "caller") return Value::boolean(callback_.uses_caller);
    if (name != "arguments") return Object::attribute(name);
    std::vector<Value> names;
    for (const Parameter& parameter : callback_.parameters) names.push_back(Value::text(parameter.name));
    return Value::list(std::move(names), ListKind::tuple);
  }
  Value call(Interpreter& interpreter, CallArgs& args) override {
    const std::shared_ptr<Scope> scope = scope_.lock();
    if (scope == nullptr) raise(cat("macro '", callback_.name, "' is called after the block that it was made in"));
    return interpreter.run_callback(callback_, scope, args);
  }
  std::string describe() const override {
    return callback_.name.empty() ? "<Macro anonymous>" : cat("<Macro ", to_repr(Value::text(callback_.name)), ">");
  }

 private:
  const Callback& callback_;
  std::weak_ptr<Scope> scope_;  // the scope holds the macro
};

}  // namespace

Value Interpreter::make_macro(const Callback& callback) {
  charge(sizeof(Macro));
  return Value::object(std::make_shared<Macro>(callback, scope_));
}

void Interpreter::run_call(const Statement& statement) {
  const Expression& call_expression = *statement.expression;
  const Value callee = evaluate(*call_expression.parts[0]);
  CallArgs args;
  evaluate_arguments(call_expression, args);
  args.named.emplace_back("caller", make_macro(*statement.callback));
  print_text(call(callee, args));
}

Value Interpreter::run_callback(const Callback& callback, const std::shared_ptr<Scope>& defined_in, CallArgs& args) {
  const Deeper deeper(*this);
  auto scope = std::make_shared<Scope>();
  scope->parent = defined_in;
  const std::shared_ptr<Scope> outside = std::exchange(scope_, scope);
  bind_parameters(callback, args);
  Value text = make_text(capture(callback.body));
  scope_ = outside;
  return text;
}

void Interpreter::bind_parameters(const Callback& callback, CallArgs& args) {
  const std::size_t count = callback.parameters.size();
  const auto take_named = [&](std::string_view name) -> std::optional<Value> {
    for (auto named = args.named.begin(); named != args.named.end(); ++named) {
      if (named->first != name) continue;
      Value value = std::move(named->second);
      args.named.erase(named);
      return value;
    }
    return std::nullopt;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const Parameter& parameter = callback.parameters[i];
    std::optional<Value> value;
    if (i < args.positional.size()) {
      value = args.positional[i];
    } else {
      value = take_named(parameter.name);
    }
    if (!value && parameter.fallback != nullptr) value = evaluate(*parameter.fallback);
    if (!value) value = Value::undefined(cat("parameter '", parameter.name, "' was not provided"));
    scope_->set(parameter.name, *std::move(value));
  }
  if (callback.uses_caller) {
    if (auto caller = take_named("caller")) {
      scope_->set("caller", *std::move(caller));
    } else if (scope_->variables.empty() || scope_->find("caller") == nullptr) {
      scope_->set("caller", Value::undefined("no caller defined"));
    }
  }
  if (callback.uses_kwargs) {
    Dict rest;
    for (auto& [name, value] : args.named) rest.set(Value::text(name), std::move(value));
    scope_->set("kwargs", Value::dict(std::move(rest)));
  } else if (!args.named.empty()) {
    raise(cat("macro '", callback.name, "' has no parameter '", args.named[0].first, "'"));
  }
  if (callback.uses_varargs) {
    std::vector<Value> rest;
    for (std::size_t i = count; i < args.positional.size(); ++i) rest.push_back(args.positional[i]);
    scope_->set("varargs", Value::list(std::move(rest), ListKind::tuple));
  } else if (args.positional.size() > count) {
    raise(cat("macro '", callback.name, "' takes at most ", count, " arguments, found ", args.positional.size()));
  }
}

}  // namespace corbel::jinja
