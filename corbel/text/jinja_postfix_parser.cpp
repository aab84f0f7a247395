#include "corbel/base/cat.h"
#include "corbel/text/jinja_parser.h"

namespace corbel::jinja {

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
