#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_ast.h"
#include "corbel/text/jinja_lexer.h"

namespace corbel::jinja {

/// Refuses filters and tests that do not exist, where Jinja does. Throws SyntaxError.
void check_names(const Body& body);

/// As messages call it.
std::string describe(const Token& token);

/// The tokens of a template and the place reached in them.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool is_op(std::string_view op) const { return now().type == TokenType::op && now().text == op; }
  bool is_name(std::string_view name) const { return now().type == TokenType::name && now().text == name; }
  bool skip_op(std::string_view op) { return is_op(op) && (next(), true); }
  bool skip_name(std::string_view name) { return is_name(name) && (next(), true); }
  void expect_op(std::string_view op);
  std::string expect_name();
  void expect(TokenType type, std::string_view what);
  [[noreturn]] void fail(std::string message) const;

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// Expressions, by the precedence of Jinja's own parser (from weak to strong: if, or, and, not, comparisons, + -, ~,
/// * / // %, **, unary sign, postfix, filters and tests).
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  ExpressionPtr expression();         // with `a if b else c`
  ExpressionPtr without_condition();  // for the items of a loop
  ExpressionPtr tuple_or_expression(bool with_condition);
  ExpressionPtr target(bool with_namespace);                         // of an assignment or a loop
  ExpressionPtr filters(ExpressionPtr input);                        // `| name(args) ...`; the input may be null
  ExpressionPtr filter_chain() { return filters(filter(nullptr)); }  // `name(args) | name ...` of {% filter %}
  ExpressionPtr postfix(ExpressionPtr object);

  /// Names used so far; macros look here for `caller`, `varargs`, `kwargs`.
  struct Uses {
    bool caller = false;
    bool varargs = false;
    bool kwargs = false;
  };
  Uses uses;

 private:
  friend class DepthGuard;
  static constexpr int kMaxNesting = 100;  // brackets in brackets
  ExpressionPtr make(ExpressionKind kind) const;
  static ExpressionPtr with_parts(ExpressionPtr made, ExpressionPtr first, ExpressionPtr second = nullptr);
  ExpressionPtr logical_or();
  ExpressionPtr logical_and();
  ExpressionPtr logical_not();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concat();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr name_or_constant();
  ExpressionPtr number();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr parenthesized();
  ExpressionPtr subscript(ExpressionPtr object);
  ExpressionPtr subscribed();
  ExpressionPtr call(ExpressionPtr callee);
  ExpressionPtr filter(ExpressionPtr input);
  ExpressionPtr test(ExpressionPtr input);
  void arguments(Expression& into);
  ExpressionPtr measured(ExpressionPtr made) const;  // sets depth, refuses too much of it

  TokenStream& stream_;
  int nesting_ = 0;
};

/// Counts brackets in brackets, which the parser recurses over.
class DepthGuard {
 public:
  explicit DepthGuard(ExpressionParser& parser) : parser_(parser) {
    if (++parser_.nesting_ > ExpressionParser::kMaxNesting)
      parser_.stream_.fail(cat("nested deeper than ", ExpressionParser::kMaxNesting));
  }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  ~DepthGuard() { --parser_.nesting_; }

 private:
  ExpressionParser& parser_;
};

}  // namespace corbel::jinja
