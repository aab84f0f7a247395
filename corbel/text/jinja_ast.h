#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "corbel/text/jinja_value.h"

namespace corbel::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class ExpressionKind {
  constant,          // value
  name,              // name
  tuple,             // parts
  list,              // parts
  dict,              // parts: key, value, key, value, ...
  conditional,       // parts: value, condition, other (null: undefined)
  logical_and,       // parts: two
  logical_or,        // parts: two
  logical_not,       // parts: one
  comparison,        // parts: operands; operators[i] stands between parts i and i + 1 ("in" and "not in" among them)
  binary,            // parts: two; name: the operator
  concat,            // parts
  negative,          // parts: one
  positive,          // parts: one
  attribute,         // parts: object; name
  item,              // parts: object, index
  slice,             // parts: start, stop, step (each may be null); only as an index
  call,              // parts: callee, arguments...
  filter,            // name; parts: input (null in a block), arguments...
  test,              // name; parts: input, arguments...
  namespace_target,  // parts: none; name: the variable; operators[0]: the attribute
};

struct Expression {
  ExpressionKind kind = ExpressionKind::constant;
  int line = 0;
  int column = 0;
  int depth = 1;  // levels below, itself included; bounded by the parser
  std::string name;
  Value value;
  std::vector<ExpressionPtr> parts;
  std::vector<std::string> operators;
  std::vector<std::pair<std::string, ExpressionPtr>> named;  // keyword arguments
  ExpressionPtr star;                                        // *args
  ExpressionPtr star_star;                                   // **kwargs
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // null: none
};

/// What {% macro %} and {% call %} have in common.
struct Callback {
  std::string name;  // empty for {% call %}
  std::vector<Parameter> parameters;
  Body body;
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

enum class StatementKind {
  data,          // text
  print,         // expression
  branch,        // branches; otherwise
  loop,          // target, expression (the items), condition, body, otherwise
  assign,        // target, expression
  assign_block,  // target, body, expression (a chain of filters or null)
  macro,         // callback
  call,          // callback, expression (the call)
  filter,        // expression (a chain of filters), body
  with,          // assignments, body
  scope,         // body, with variables of its own
  leave_loop,
  next_round,
};

struct Statement {
  StatementKind kind = StatementKind::data;
  int line = 0;
  int column = 0;
  std::string text;
  ExpressionPtr target;
  ExpressionPtr expression;
  ExpressionPtr condition;
  bool recursive = false;
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> assignments;
  Body body;
  Body otherwise;
  std::unique_ptr<Callback> callback;
};

/// Parses a template (UTF-8). Throws SyntaxError; nesting is bounded, so that no template can exhaust the stack.
Body parse(std::string_view source);

}  // namespace corbel::jinja
