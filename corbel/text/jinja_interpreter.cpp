#include "corbel/text/jinja_interpreter.h"

#include <algorithm>

#include "corbel/base/cat.h"

namespace corbel::jinja {
namespace {

/// A macro, or the body of a {% call %} block.
class Macro final : public Object {
 public:
  Macro(const Callback& callback, const std::shared_ptr<Scope>& scope) : callback_(callback), scope_(scope) {}

  Value attribute(std::string_view name) const override {
    return name == "name" ? Value::text(callback_.name) : Object::attribute(name);
  }
  Value call(Interpreter& interpreter, CallArgs& args) override {
    const std::shared_ptr<Scope> scope = scope_.lock();
    if (scope == nullptr) raise(cat("macro '", callback_.name, "' is called after the block that it was made in"));
    return interpreter.run_callback(callback_, scope, args);
  }
  std::string describe() const override { return cat("<Macro '", callback_.name, "'>"); }

 private:
  const Callback& callback_;
  std::weak_ptr<Scope> scope_;  // the scope holds the macro
};

/// The variable `loop`. Templates may keep it beyond the loop, so it owns what it shows.
class Loop final : public Object, public std::enable_shared_from_this<Loop> {
 public:
  using Items = std::shared_ptr<const std::vector<Value>>;

  Loop(const Statement& statement, Items items, int depth)
      : statement_(statement), items_(std::move(items)), depth_(depth) {}

  Value attribute(std::string_view name) const override {
    const auto count = static_cast<std::int64_t>(items_->size());
    if (name == "index") return Value::integer(index_ + 1);
    if (name == "index0") return Value::integer(index_);
    if (name == "first") return Value::boolean(index_ == 0);
    if (name == "last") return Value::boolean(index_ + 1 == count);
    if (name == "length") return Value::integer(count);
    if (name == "revindex") return Value::integer(count - index_);
    if (name == "revindex0") return Value::integer(count - index_ - 1);
    if (name == "depth") return Value::integer(depth_ + 1);
    if (name == "depth0") return Value::integer(depth_);
    if (name == "previtem") {
      return index_ > 0 ? (*items_)[static_cast<std::size_t>(index_) - 1]
                        : Value::undefined("there is no previous item");
    }
    if (name == "nextitem") {
      return index_ + 1 < count ? (*items_)[static_cast<std::size_t>(index_) + 1]
                                : Value::undefined("there is no next item");
    }
    if (name == "cycle" || name == "changed") {
      return Value::object(std::make_shared<Method>(weak_from_this(), name == "cycle"));
    }
    return Object::attribute(name);
  }
  Value call(Interpreter& interpreter, CallArgs& args) override {
    if (!statement_.recursive) raise("the loop is not marked as recursive");
    if (args.positional.size() != 1) raise("loop() needs the items of the next level");
    return interpreter.run_loop(statement_, args.positional[0], depth_ + 1);
  }
  std::string describe() const override { return "<LoopContext>"; }

  void advance() { ++index_; }
  void finish() {
    finished_ = true;
    last_changed_ = Value();  // it may hold this loop
  }

 private:
  /// loop.cycle and loop.changed.
  class Method final : public Object {
   public:
    Method(std::weak_ptr<const Loop> loop, bool cycle) : loop_(std::move(loop)), cycle_(cycle) {}
    Value call(Interpreter&, CallArgs& args) override {
      const std::shared_ptr<const Loop> loop = loop_.lock();
      if (loop == nullptr || loop->finished_) raise("a loop's method is called after the loop");
      if (cycle_) {
        if (args.positional.empty()) raise("loop.cycle() has nothing to cycle through");
        return args.positional[static_cast<std::size_t>(loop->index_) % args.positional.size()];
      }
      Value now = Value::list(args.positional, ListKind::tuple);
      if (equal(loop->last_changed_, now)) return Value::boolean(false);
      loop->last_changed_ = std::move(now);
      return Value::boolean(true);
    }
    std::string describe() const override { return "<method of loop>"; }

   private:
    std::weak_ptr<const Loop> loop_;
    bool cycle_;
  };

  const Statement& statement_;
  Items items_;
  int depth_;
  std::int64_t index_ = 0;
  bool finished_ = false;
  mutable Value last_changed_;
};

/// Ends a loop however it is left.
struct LoopEnd {
  explicit LoopEnd(Loop& ended) : loop(ended) {}
  LoopEnd(const LoopEnd&) = delete;
  LoopEnd& operator=(const LoopEnd&) = delete;
  ~LoopEnd() { loop.finish(); }
  Loop& loop;
};

}  // namespace

/// One level deeper in calls and expressions.
class Interpreter::Deeper {
 public:
  explicit Deeper(Interpreter& interpreter) : interpreter_(interpreter) {
    if (++interpreter_.depth_ > interpreter_.budget_.depth) {
      --interpreter_.depth_;
      raise(cat("the template nests calls and expressions deeper than ", interpreter_.budget_.depth));
    }
  }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
  ~Deeper() { --interpreter_.depth_; }

 private:
  Interpreter& interpreter_;
};

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [known, value] : scope->variables) {
      if (known == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [known, old] : variables) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(name, std::move(value));
}

Interpreter::~Interpreter() {
  for (const auto& held : namespaces_) held->clear();
}

void Interpreter::step(std::int64_t count) {
  budget_.steps -= count;
  if (budget_.steps < 0) raise("the template takes too many steps");
}

void Interpreter::charge(std::size_t bytes) {
  budget_.work_bytes -= static_cast<std::int64_t>(bytes);
  if (budget_.work_bytes < 0) raise("the template makes too much text");
}

Value Interpreter::make_text(std::string bytes, bool safe) {
  charge(bytes.size());
  return Value::text(std::move(bytes), safe);
}

Value Interpreter::make_list(std::vector<Value> items, ListKind kind) {
  step(static_cast<std::int64_t>(items.size() / 4));
  charge(items.size() * sizeof(Value));
  return Value::list(std::move(items), kind);
}

ObjectPtr Interpreter::make_namespace() {
  charge(sizeof(Namespace));
  namespaces_.push_back(std::make_shared<Namespace>());
  return namespaces_.back();
}

void Interpreter::print(std::string_view text) {
  charge(text.size());
  printed_ += static_cast<std::int64_t>(text.size());
  if (printed_ > budget_.output_bytes) raise(cat("the template prints more than ", budget_.output_bytes, " bytes"));
  output_.append(text);
}

std::string Interpreter::render(const Body& body, std::shared_ptr<Scope> variables) {
  scope_ = std::move(variables);
  run(body);
  return std::move(output_);
}

std::string Interpreter::capture(const Body& body) {
  std::string outside = std::exchange(output_, {});
  run(body);
  return std::exchange(output_, std::move(outside));
}

Interpreter::Flow Interpreter::run(const Body& body) {
  const Deeper deeper(*this);
  for (const auto& statement : body) {
    if (const Flow flow = run(*statement); flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::run_scope(const Body& body) {
  auto scope = std::make_shared<Scope>();
  scope->parent = scope_;
  const std::shared_ptr<Scope> outside = std::exchange(scope_, scope);
  const Flow flow = run(body);
  scope_ = outside;
  return flow;
}

Interpreter::Flow Interpreter::run(const Statement& statement) {
  step();
  at(statement.line, statement.column);
  switch (statement.kind) {
    case StatementKind::data: print(statement.text); break;
    case StatementKind::print: print(to_text(evaluate(*statement.expression))); break;
    case StatementKind::branch: return run_branch(statement);
    case StatementKind::loop: loop_over(statement, evaluate(*statement.expression), 0); break;
    case StatementKind::assign: assign(*statement.target, evaluate(*statement.expression)); break;
    case StatementKind::assign_block: run_assign_block(statement); break;
    case StatementKind::macro:
      scope_->set(statement.callback->name, Value::object(std::make_shared<Macro>(*statement.callback, scope_)));
      break;
    case StatementKind::call: run_call(statement); break;
    case StatementKind::filter: {
      const Value text = make_text(capture(statement.body));
      const Value* outside = std::exchange(block_text_, &text);
      print(to_text(evaluate(*statement.expression)));
      block_text_ = outside;
      break;
    }
    case StatementKind::with: return run_with(statement);
    case StatementKind::scope: return run_scope(statement.body);
    case StatementKind::leave_loop: return Flow::leave_loop;
    case StatementKind::next_round: return Flow::next_round;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::run_branch(const Statement& statement) {
  for (const auto& [condition, body] : statement.branches) {
    if (is_true(evaluate(*condition))) return run(body);
  }
  return run(statement.otherwise);
}

Interpreter::Flow Interpreter::run_with(const Statement& statement) {
  auto scope = std::make_shared<Scope>();
  scope->parent = scope_;
  std::vector<Value> values;
  for (const auto& [target, value] : statement.assignments) values.push_back(evaluate(*value));
  const std::shared_ptr<Scope> outside = std::exchange(scope_, scope);
  for (std::size_t i = 0; i < values.size(); ++i) assign(*statement.assignments[i].first, std::move(values[i]));
  const Flow flow = run(statement.body);
  scope_ = outside;
  return flow;
}

void Interpreter::run_assign_block(const Statement& statement) {
  auto scope = std::make_shared<Scope>();
  scope->parent = scope_;
  const std::shared_ptr<Scope> outside = std::exchange(scope_, scope);
  Value text = make_text(capture(statement.body));
  scope_ = outside;
  if (statement.expression != nullptr) {
    const Value input = text;
    const Value* before = std::exchange(block_text_, &input);
    text = evaluate(*statement.expression);
    block_text_ = before;
  }
  assign(*statement.target, std::move(text));
}

void Interpreter::run_call(const Statement& statement) {
  const Expression& call_expression = *statement.expression;
  const Value callee = evaluate(*call_expression.parts[0]);
  CallArgs args;
  evaluate_arguments(call_expression, args);
  args.named.emplace_back("caller", Value::object(std::make_shared<Macro>(*statement.callback, scope_)));
  print(to_text(call(callee, args)));
}

void Interpreter::assign(const Expression& target, Value value) {
  if (target.kind == ExpressionKind::name) {
    scope_->set(target.name, std::move(value));
    return;
  }
  if (target.kind == ExpressionKind::namespace_target) {
    const Value* held = scope_->find(target.name);
    const auto* object = held != nullptr ? held->as<ObjectPtr>() : nullptr;
    auto* space = object != nullptr ? dynamic_cast<Namespace*>(object->get()) : nullptr;
    if (space == nullptr)
      raise(cat("cannot set attribute '", target.operators[0], "' of '", target.name, "': not a namespace"));
    space->set(target.operators[0], std::move(value));
    return;
  }
  const std::vector<Value> items = iterate(value);
  if (items.size() != target.parts.size()) {
    raise(cat("cannot unpack ", items.size(), " values into ", target.parts.size(), " names"));
  }
  for (std::size_t i = 0; i < items.size(); ++i) assign(*target.parts[i], items[i]);
}

void Interpreter::loop_over(const Statement& statement, const Value& over, int depth) {
  std::vector<Value> items = iterate(over);
  const std::shared_ptr<Scope> outside = scope_;
  const auto fresh_scope = [&] {
    scope_ = std::make_shared<Scope>();
    scope_->parent = outside;
  };
  if (statement.condition != nullptr) {
    std::vector<Value> kept;
    for (Value& item : items) {
      fresh_scope();
      assign(*statement.target, item);
      if (is_true(evaluate(*statement.condition))) kept.push_back(std::move(item));
    }
    items = std::move(kept);
  }
  if (items.empty()) {
    scope_ = outside;
    run_scope(statement.otherwise);
    return;
  }
  charge(items.size() * sizeof(Value));
  const auto kept = std::make_shared<const std::vector<Value>>(std::move(items));
  const auto loop = std::make_shared<Loop>(statement, kept, depth);
  const LoopEnd end(*loop);
  for (const Value& item : *kept) {
    step();
    fresh_scope();
    scope_->set("loop", Value::object(loop));
    assign(*statement.target, item);
    if (run(statement.body) == Flow::leave_loop) break;
    loop->advance();
  }
  scope_ = outside;
}

Value Interpreter::run_loop(const Statement& statement, const Value& items, int depth) {
  const Deeper deeper(*this);
  std::string outside = std::exchange(output_, {});
  loop_over(statement, items, depth);
  return make_text(std::exchange(output_, std::move(outside)));
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
