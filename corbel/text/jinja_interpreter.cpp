#include "corbel/text/jinja_interpreter.h"

#include "corbel/base/cat.h"

namespace corbel::jinja {
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

void Interpreter::grow(std::size_t size, std::size_t more) {
  charge(more);
  if (static_cast<std::int64_t>(size + more) > budget_.output_bytes) {
    raise(cat("the template makes too much text: a string of more than ", budget_.output_bytes, " bytes"));
  }
}

Value Interpreter::make_text(std::string bytes, bool safe) {
  grow(0, bytes.size());
  return Value::text(std::move(bytes), safe);
}

Value Interpreter::make_list(std::vector<Value> items, ListKind kind) {
  step(1 + static_cast<std::int64_t>(items.size() / 4));
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

std::string Interpreter::shown(const Value& value) {
  if (!value.is_text()) step(weight_of(value));
  return to_text(value);
}

void Interpreter::print_text(const Value& value) {
  if (!value.is_text()) raise(cat("a block gives a '", type_name(value), "'; only a string can be printed"));
  print(value.text());
}

std::string Interpreter::render(const Body& body, std::shared_ptr<Scope> variables) {
  scope_ = std::move(variables);
  run(body);
  return std::move(output_);
}

std::string Interpreter::capture(const Body& body, Flow* flow) {
  std::string outside = std::exchange(output_, {});
  const Flow left_by = run(body);
  if (flow != nullptr) *flow = left_by;
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
    case StatementKind::print: print(shown(evaluate(*statement.expression))); break;
    case StatementKind::branch: return run_branch(statement);
    case StatementKind::loop: loop_over(statement, evaluate(*statement.expression), 0); break;
    case StatementKind::assign: assign(*statement.target, evaluate(*statement.expression)); break;
    case StatementKind::assign_block: return run_assign_block(statement);
    case StatementKind::macro: scope_->set(statement.callback->name, make_macro(*statement.callback)); break;
    case StatementKind::call: run_call(statement); break;
    case StatementKind::filter: return run_filter_block(statement);
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

Interpreter::Flow Interpreter::run_filter_block(const Statement& statement) {
  auto scope = std::make_shared<Scope>();
  scope->parent = scope_;
  const std::shared_ptr<Scope> outside = std::exchange(scope_, scope);
  Flow flow = Flow::next;
  const Value text = make_text(capture(statement.body, &flow));
  if (flow == Flow::next) {  // a loop left from within drops the block's text
    const Value* before = std::exchange(block_text_, &text);
    print_text(evaluate(*statement.expression));
    block_text_ = before;
  }
  scope_ = outside;
  return flow;
}

Interpreter::Flow Interpreter::run_assign_block(const Statement& statement) {
  auto scope = std::make_shared<Scope>();
  scope->parent = scope_;
  const std::shared_ptr<Scope> outside = std::exchange(scope_, scope);
  Flow flow = Flow::next;
  Value text = make_text(capture(statement.body, &flow));
  scope_ = outside;
  if (flow != Flow::next) return flow;
  if (statement.expression != nullptr) {
    const Value input = text;
    const Value* before = std::exchange(block_text_, &input);
    text = evaluate(*statement.expression);
    block_text_ = before;
  }
  assign(*statement.target, std::move(text));
  return Flow::next;
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

}  // namespace corbel::jinja
