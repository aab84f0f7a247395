#include <algorithm>
#include <charconv>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_parser.h"

namespace corbel::jinja {
namespace {

constexpr int kMaxDepth = 400;  // levels of a tree; long chains of + make deep trees

}  // namespace

ExpressionPtr ExpressionParser::make(ExpressionKind kind) const {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = stream_.now().line;
  made->column = stream_.now().column;
  return made;
}

ExpressionPtr ExpressionParser::measured(ExpressionPtr made) const {
  int depth = 0;
  for (const ExpressionPtr& part : made->parts) depth = std::max(depth, part != nullptr ? part->depth : 0);
  for (const auto& [name, part] : made->named) depth = std::max(depth, part->depth);
  if (made->star != nullptr) depth = std::max(depth, made->star->depth);
  if (made->star_star != nullptr) depth = std::max(depth, made->star_star->depth);
  made->depth = depth + 1;
  if (made->depth > kMaxDepth) stream_.fail(cat("an expression has more than ", kMaxDepth, " levels"));
  return made;
}

ExpressionPtr ExpressionParser::with_parts(ExpressionPtr made, ExpressionPtr first, ExpressionPtr second) {
  made->parts.push_back(std::move(first));
  if (second != nullptr) made->parts.push_back(std::move(second));
  return made;
}

ExpressionPtr ExpressionParser::expression() {
  const DepthGuard guard(*this);
  ExpressionPtr value = logical_or();
  while (stream_.is_name("if")) {
    ExpressionPtr made = make(ExpressionKind::conditional);
    stream_.next();
    ExpressionPtr condition = logical_or();
    ExpressionPtr other = stream_.skip_name("else") ? expression() : nullptr;
    made->parts.push_back(std::move(value));
    made->parts.push_back(std::move(condition));
    made->parts.push_back(std::move(other));
    value = measured(std::move(made));
  }
  return value;
}

ExpressionPtr ExpressionParser::without_condition() { return logical_or(); }

ExpressionPtr ExpressionParser::logical_or() {
  ExpressionPtr left = logical_and();
  while (stream_.is_name("or")) {
    ExpressionPtr made = make(ExpressionKind::logical_or);
    stream_.next();
    ExpressionPtr right = logical_and();
    left = measured(with_parts(std::move(made), std::move(left), std::move(right)));
  }
  return left;
}

ExpressionPtr ExpressionParser::logical_and() {
  ExpressionPtr left = logical_not();
  while (stream_.is_name("and")) {
    ExpressionPtr made = make(ExpressionKind::logical_and);
    stream_.next();
    ExpressionPtr right = logical_not();
    left = measured(with_parts(std::move(made), std::move(left), std::move(right)));
  }
  return left;
}

ExpressionPtr ExpressionParser::logical_not() {
  if (!stream_.is_name("not")) return comparison();
  const DepthGuard guard(*this);
  ExpressionPtr made = make(ExpressionKind::logical_not);
  stream_.next();
  return measured(with_parts(std::move(made), logical_not()));
}

ExpressionPtr ExpressionParser::comparison() {
  ExpressionPtr left = sum();
  ExpressionPtr made;
  while (true) {
    std::string op;
    if (stream_.now().type == TokenType::op && (stream_.is_op("==") || stream_.is_op("!=") || stream_.is_op("<") ||
                                                stream_.is_op("<=") || stream_.is_op(">") || stream_.is_op(">="))) {
      op = stream_.now().text;
    } else if (stream_.is_name("in")) {
      op = "in";
    } else if (stream_.is_name("not") && stream_.look().type == TokenType::name && stream_.look().text == "in") {
      op = "not in";
    } else {
      break;
    }
    if (made == nullptr) {
      made = make(ExpressionKind::comparison);
      made->parts.push_back(std::move(left));
    }
    stream_.next();
    if (op == "not in") stream_.next();
    made->operators.push_back(std::move(op));
    made->parts.push_back(sum());
  }
  return made == nullptr ? std::move(left) : measured(std::move(made));
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = concat();
  while (stream_.is_op("+") || stream_.is_op("-")) {
    ExpressionPtr made = make(ExpressionKind::binary);
    made->name = stream_.next().text;
    ExpressionPtr right = concat();
    left = measured(with_parts(std::move(made), std::move(left), std::move(right)));
  }
  return left;
}

ExpressionPtr ExpressionParser::concat() {
  ExpressionPtr first = product();
  if (!stream_.is_op("~")) return first;
  ExpressionPtr made = make(ExpressionKind::concat);
  made->parts.push_back(std::move(first));
  while (stream_.skip_op("~")) made->parts.push_back(product());
  return measured(std::move(made));
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr left = power();
  while (stream_.is_op("*") || stream_.is_op("/") || stream_.is_op("//") || stream_.is_op("%")) {
    ExpressionPtr made = make(ExpressionKind::binary);
    made->name = stream_.next().text;
    ExpressionPtr right = power();
    left = measured(with_parts(std::move(made), std::move(left), std::move(right)));
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary(true);
  while (stream_.is_op("**")) {
    ExpressionPtr made = make(ExpressionKind::binary);
    made->name = stream_.next().text;
    ExpressionPtr right = unary(true);
    left = measured(with_parts(std::move(made), std::move(left), std::move(right)));
  }
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  ExpressionPtr value;
  if (stream_.is_op("-") || stream_.is_op("+")) {
    const DepthGuard guard(*this);
    ExpressionPtr made = make(stream_.is_op("-") ? ExpressionKind::negative : ExpressionKind::positive);
    stream_.next();
    value = measured(with_parts(std::move(made), unary(false)));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filters ? filters(std::move(value)) : std::move(value);
}

ExpressionPtr ExpressionParser::primary() {
  const Token& token = stream_.now();
  switch (token.type) {
    case TokenType::name: return name_or_constant();
    case TokenType::integer:
    case TokenType::real: return number();
    case TokenType::text: {
      ExpressionPtr made = make(ExpressionKind::constant);
      std::string text;
      while (stream_.now().type == TokenType::text) text += stream_.next().text;  // adjacent strings are one
      made->value = Value::text(std::move(text));
      return made;
    }
    default: break;
  }
  if (stream_.is_op("(")) return parenthesized();
  if (stream_.is_op("[")) return list();
  if (stream_.is_op("{")) return dict();
  stream_.fail(cat("expected an expression, found ", describe(token)));
}

ExpressionPtr ExpressionParser::name_or_constant() {
  ExpressionPtr made = make(ExpressionKind::constant);
  const std::string& name = stream_.next().text;
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    made->value = Value::boolean(name == "true" || name == "True");
  } else if (name == "none" || name == "None") {
    made->value = Value::none();
  } else {
    made->kind = ExpressionKind::name;
    made->name = name;
    uses.caller |= name == "caller";
    uses.varargs |= name == "varargs";
    uses.kwargs |= name == "kwargs";
  }
  return made;
}

ExpressionPtr ExpressionParser::number() {
  ExpressionPtr made = make(ExpressionKind::constant);
  const std::string& text = stream_.now().text;
  const char* end = text.data() + text.size();
  if (stream_.now().type == TokenType::integer) {
    std::int64_t value = 0;
    if (std::from_chars(text.data(), end, value).ec != std::errc()) stream_.fail("a whole number is beyond 64 bits");
    made->value = Value::integer(value);
  } else {
    double value = 0;
    if (std::from_chars(text.data(), end, value).ec != std::errc()) stream_.fail("a number is out of range");
    made->value = Value::real(value);
  }
  stream_.next();
  return made;
}

ExpressionPtr ExpressionParser::parenthesized() {
  stream_.expect_op("(");
  if (stream_.is_op(")")) {
    ExpressionPtr made = make(ExpressionKind::tuple);
    stream_.next();
    return made;
  }
  ExpressionPtr inner = tuple_or_expression(true);
  stream_.expect_op(")");
  return inner;
}

ExpressionPtr ExpressionParser::tuple_or_expression(bool with_condition) {
  ExpressionPtr made = make(ExpressionKind::tuple);
  ExpressionPtr first = with_condition ? expression() : without_condition();
  if (!stream_.is_op(",")) return first;
  made->parts.push_back(std::move(first));
  while (stream_.skip_op(",")) {
    const TokenType type = stream_.now().type;
    if (type == TokenType::block_end || type == TokenType::variable_end || stream_.is_op(")")) break;
    if (!with_condition && (stream_.is_name("recursive") || stream_.is_name("if"))) break;
    made->parts.push_back(with_condition ? expression() : without_condition());
  }
  return measured(std::move(made));
}

ExpressionPtr ExpressionParser::list() {
  ExpressionPtr made = make(ExpressionKind::list);
  stream_.expect_op("[");
  while (!stream_.is_op("]")) {
    made->parts.push_back(expression());
    if (!stream_.skip_op(",")) break;
  }
  stream_.expect_op("]");
  return measured(std::move(made));
}

ExpressionPtr ExpressionParser::dict() {
  ExpressionPtr made = make(ExpressionKind::dict);
  stream_.expect_op("{");
  while (!stream_.is_op("}")) {
    made->parts.push_back(expression());
    stream_.expect_op(":");
    made->parts.push_back(expression());
    if (!stream_.skip_op(",")) break;
  }
  stream_.expect_op("}");
  return measured(std::move(made));
}

}  // namespace corbel::jinja
