#include <algorithm>
#include <charconv>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_parser.h"

namespace corbel::jinja {
namespace {

constexpr int kMaxNesting = 100;  // brackets in brackets
constexpr int kMaxDepth = 400;    // levels of a tree; long chains of + make deep trees

}  // namespace

/// Counts brackets in brackets, which the parser recurses over.
class DepthGuard {
 public:
  explicit DepthGuard(ExpressionParser& parser) : parser_(parser) {
    if (++parser_.nesting_ > kMaxNesting) parser_.stream_.fail(cat("nested deeper than ", kMaxNesting));
  }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  ~DepthGuard() { --parser_.nesting_; }

 private:
  ExpressionParser& parser_;
};

void TokenStream::fail(std::string message) const { throw SyntaxError{std::move(message), now().line, now().column}; }

namespace {
std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::end: return "the end of the template";
    case TokenType::block_end: return "\"%}\"";
    case TokenType::variable_end: return "\"}}\"";
    default: return cat("\"", token.text, "\"");
  }
}
}  // namespace

void TokenStream::expect_op(std::string_view op) {
  if (!skip_op(op)) fail(cat("expected \"", op, "\", found ", describe(now())));
}

std::string TokenStream::expect_name() {
  if (now().type != TokenType::name) fail(cat("expected a name, found ", describe(now())));
  return next().text;
}

void TokenStream::expect(TokenType type, std::string_view what) {
  if (now().type != type) fail(cat("expected ", what, ", found ", describe(now())));
  next();
}

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

ExpressionPtr ExpressionParser::postfix(ExpressionPtr object) {
  while (true) {
    if (stream_.is_op(".") || stream_.is_op("[")) {
      object = subscript(std::move(object));
    } else if (stream_.is_op("(")) {
      object = call(std::move(object));
    } else {
      return object;
    }
  }
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr input) {
  while (true) {
    if (stream_.is_op("|")) {
      stream_.next();
      input = filter(std::move(input));
    } else if (stream_.is_name("is")) {
      input = test(std::move(input));
    } else if (stream_.is_op("(")) {
      input = call(std::move(input));
    } else {
      return input;
    }
  }
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr input) {
  ExpressionPtr made = make(ExpressionKind::filter);
  made->name = stream_.expect_name();
  while (stream_.skip_op(".")) made->name += cat(".", stream_.expect_name());
  made->parts.push_back(std::move(input));
  if (stream_.is_op("(")) arguments(*made);
  return measured(std::move(made));
}

ExpressionPtr ExpressionParser::test(ExpressionPtr input) {
  stream_.next();
  const bool negated = stream_.skip_name("not");
  ExpressionPtr made = make(ExpressionKind::test);
  made->name = stream_.expect_name();
  made->parts.push_back(std::move(input));
  const TokenType type = stream_.now().type;
  const bool operand =
      type == TokenType::text || type == TokenType::integer || type == TokenType::real || stream_.is_op("[") ||
      stream_.is_op("{") ||
      (type == TokenType::name && !stream_.is_name("else") && !stream_.is_name("or") && !stream_.is_name("and"));
  if (stream_.is_op("(")) {
    arguments(*made);
  } else if (operand) {
    if (stream_.is_name("is")) stream_.fail("tests cannot be chained with \"is\"");
    made->parts.push_back(postfix(primary()));
  }
  made = measured(std::move(made));
  if (!negated) return made;
  return measured(with_parts(make(ExpressionKind::logical_not), std::move(made)));
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr object) {
  ExpressionPtr made = make(ExpressionKind::item);
  made->parts.push_back(std::move(object));
  if (stream_.skip_op(".")) {
    if (stream_.now().type == TokenType::name) {
      made->kind = ExpressionKind::attribute;
      made->name = stream_.next().text;
    } else if (stream_.now().type == TokenType::integer) {
      made->parts.push_back(number());
    } else {
      stream_.fail(cat("expected a name or a number, found ", describe(stream_.now())));
    }
    return measured(std::move(made));
  }
  stream_.expect_op("[");
  ExpressionPtr index = subscribed();
  if (stream_.is_op(",")) {
    ExpressionPtr several = make(ExpressionKind::tuple);
    several->parts.push_back(std::move(index));
    while (stream_.skip_op(",")) several->parts.push_back(subscribed());
    index = measured(std::move(several));
  }
  stream_.expect_op("]");
  made->parts.push_back(std::move(index));
  return measured(std::move(made));
}

ExpressionPtr ExpressionParser::subscribed() {
  ExpressionPtr made = make(ExpressionKind::slice);
  made->parts.resize(3);
  for (std::size_t i = 0; i < 3; ++i) {
    if (!stream_.is_op(":") && !stream_.is_op("]") && !stream_.is_op(",")) made->parts[i] = expression();
    if (i == 0 && !stream_.is_op(":")) {
      if (made->parts[0] == nullptr) stream_.fail("expected an index");
      return std::move(made->parts[0]);
    }
    if (i < 2 && !stream_.skip_op(":")) break;
  }
  return measured(std::move(made));
}

ExpressionPtr ExpressionParser::call(ExpressionPtr callee) {
  ExpressionPtr made = make(ExpressionKind::call);
  made->parts.push_back(std::move(callee));
  arguments(*made);
  return measured(std::move(made));
}

void ExpressionParser::arguments(Expression& into) {
  stream_.expect_op("(");
  while (!stream_.is_op(")")) {
    if (stream_.skip_op("*")) {
      if (into.star != nullptr || into.star_star != nullptr) stream_.fail("wrong order of arguments");
      into.star = expression();
    } else if (stream_.skip_op("**")) {
      if (into.star_star != nullptr) stream_.fail("wrong order of arguments");
      into.star_star = expression();
    } else if (stream_.now().type == TokenType::name && stream_.look().type == TokenType::op &&
               stream_.look().text == "=") {
      std::string name = stream_.next().text;
      stream_.next();
      into.named.emplace_back(std::move(name), expression());
    } else {
      if (!into.named.empty() || into.star != nullptr || into.star_star != nullptr) {
        stream_.fail("a positional argument follows a named one");
      }
      into.parts.push_back(expression());
    }
    if (!stream_.skip_op(",")) break;
  }
  stream_.expect_op(")");
}

ExpressionPtr ExpressionParser::target(bool with_namespace) {
  const auto one = [&]() -> ExpressionPtr {
    if (stream_.skip_op("(")) {
      const DepthGuard guard(*this);
      ExpressionPtr inner = target(with_namespace);
      stream_.expect_op(")");
      return inner;
    }
    ExpressionPtr made = make(ExpressionKind::name);
    made->name = stream_.expect_name();
    for (const std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
      if (made->name == reserved) stream_.fail(cat("cannot assign to ", reserved));
    }
    if (with_namespace && stream_.skip_op(".")) {
      made->kind = ExpressionKind::namespace_target;
      made->operators.push_back(stream_.expect_name());
    }
    return made;
  };
  ExpressionPtr made = make(ExpressionKind::tuple);
  ExpressionPtr first = one();
  if (!stream_.is_op(",")) return first;
  made->parts.push_back(std::move(first));
  while (stream_.skip_op(",")) {
    if (stream_.is_op("=") || stream_.is_name("in") || stream_.is_op(")")) break;
    made->parts.push_back(one());
  }
  return measured(std::move(made));
}

}  // namespace corbel::jinja
