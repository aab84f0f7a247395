#include "corbel/base/cat.h"
#include "corbel/text/jinja_filters.h"
#include "corbel/text/jinja_lexer.h"
#include "corbel/text/jinja_parser.h"

namespace corbel::jinja {
namespace {

/// Looks for filters and tests that do not exist. As in Jinja, one below an {% if %} or a conditional expression may
/// stand where it never runs, and fails only when it does; anywhere else the template does not compile.
class NameCheck {
 public:
  void body(const Body& statements, bool excused) {
    for (const auto& statement : statements) check(*statement, excused);
  }

 private:
  void check(const Statement& statement, bool excused) {
    const bool scoped = statement.kind == StatementKind::filter || statement.kind == StatementKind::assign_block;
    expression(statement.expression.get(), excused && !scoped);
    expression(statement.condition.get(), false);
    for (const auto& [target, value] : statement.assignments) expression(value.get(), excused);
    for (const auto& [condition, inner] : statement.branches) {
      expression(condition.get(), true);
      body(inner, true);
    }
    if (statement.callback != nullptr) {
      for (const Parameter& parameter : statement.callback->parameters) expression(parameter.fallback.get(), false);
      body(statement.callback->body, false);
    }
    body(statement.body, false);
    body(statement.otherwise, statement.kind == StatementKind::branch);
  }

  void expression(const Expression* found, bool excused) {
    if (found == nullptr) return;
    const bool soft = excused || found->kind == ExpressionKind::conditional;
    if (!soft && found->kind == ExpressionKind::filter && find_filter(found->name) == nullptr) {
      throw SyntaxError{cat("no filter is named '", found->name, "'"), found->line, found->column};
    }
    if (!soft && found->kind == ExpressionKind::test && !test_exists(found->name)) {
      throw SyntaxError{cat("no test is named '", found->name, "'"), found->line, found->column};
    }
    for (const ExpressionPtr& part : found->parts) expression(part.get(), soft);
    for (const auto& [name, value] : found->named) expression(value.get(), soft);
    expression(found->star.get(), soft);
    expression(found->star_star.get(), soft);
  }
};

}  // namespace

void check_names(const Body& body) { NameCheck().body(body, false); }

}  // namespace corbel::jinja
