#include "corbel/base/cat.h"
#include "corbel/text/jinja_parser.h"

namespace corbel::jinja {

void TokenStream::fail(std::string message) const { throw SyntaxError{std::move(message), now().line, now().column}; }

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::end: return "the end of the template";
    case TokenType::block_end: return "\"%}\"";
    case TokenType::variable_end: return "\"}}\"";
    default: return cat("\"", token.text, "\"");
  }
}

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

}  // namespace corbel::jinja
