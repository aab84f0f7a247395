#include "corbel/text/jinja_parser.h"

#include <algorithm>

#include "corbel/base/cat.h"

namespace corbel::jinja {
namespace {

constexpr int kMaxBlocks = 100;  // blocks in blocks

class Parser {
 public:
  explicit Parser(std::string_view source) : stream_(tokenize(source)), expressions_(stream_) {}

  Body run() {
    Body body = statements({});
    if (stream_.now().type != TokenType::end) {
      stream_.fail(cat("\"", stream_.now().text, "\" has no block to end"));
    }
    return body;
  }

 private:
  using Ends = std::initializer_list<std::string_view>;

  std::unique_ptr<Statement> make(StatementKind kind) const {
    auto made = std::make_unique<Statement>();
    made->kind = kind;
    made->line = stream_.now().line;
    made->column = stream_.now().column;
    return made;
  }

  bool at_any(Ends ends) const {
    return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return stream_.is_name(end); });
  }

  /// Statements up to a tag of `ends`, whose name is the token now, or to a tag that nobody knows.
  Body statements(Ends ends) {
    if (++nesting_ > kMaxBlocks) stream_.fail(cat("blocks are nested deeper than ", kMaxBlocks));
    Body body;
    while (stream_.now().type != TokenType::end) {
      if (stream_.now().type == TokenType::data) {
        auto data = make(StatementKind::data);
        data->text = stream_.next().text;
        body.push_back(std::move(data));
      } else if (stream_.now().type == TokenType::variable_begin) {
        stream_.next();
        auto print = make(StatementKind::print);
        print->expression = expressions_.tuple_or_expression(true);
        stream_.expect(TokenType::variable_end, "\"}}\"");
        body.push_back(std::move(print));
      } else {
        stream_.expect(TokenType::block_begin, "a tag");
        if (at_any(ends) || stream_.now().text.starts_with("end")) break;
        body.push_back(tag());
      }
    }
    --nesting_;
    if (ends.size() > 0 && !at_any(ends)) {
      stream_.fail(
          cat("a block is not closed: \"", *(ends.end() - 1), "\" expected, found \"", stream_.now().text, "\""));
    }
    return body;
  }

  void end_tag() { stream_.expect(TokenType::block_end, "\"%}\""); }

  /// The body up to `end`, tags included.
  Body body_until(std::string_view end) {
    end_tag();
    Body body = statements({end});
    stream_.next();
    end_tag();
    return body;
  }

  std::unique_ptr<Statement> tag() {
    const std::string name = stream_.now().text;
    if (stream_.now().type != TokenType::name) stream_.fail("expected the name of a tag");
    if (name == "if") return branch();
    if (name == "for") return loop();
    if (name == "set") return assign();
    if (name == "macro") return macro();
    if (name == "call") return call();
    if (name == "filter") return filter();
    if (name == "with") return with();
    if (name == "generation") {
      auto made = make(StatementKind::scope);
      stream_.next();
      const int loops = std::exchange(loops_, 0);  // a call block in Jinja: no way out of it
      made->body = body_until("endgeneration");
      loops_ = loops;
      return made;
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) stream_.fail(cat("\"", name, "\" outside a loop"));
      auto made = make(name == "break" ? StatementKind::leave_loop : StatementKind::next_round);
      stream_.next();
      end_tag();
      return made;
    }
    stream_.fail(cat("the tag \"", name,
                     "\" is not supported; known: if, for, set, macro, call, filter, with, break, "
                     "continue, generation, raw"));
  }

  std::unique_ptr<Statement> branch() {
    auto made = make(StatementKind::branch);
    stream_.next();
    while (true) {
      ExpressionPtr condition = expressions_.tuple_or_expression(false);
      end_tag();
      Body body = statements({"elif", "else", "endif"});
      made->branches.emplace_back(std::move(condition), std::move(body));
      if (!stream_.skip_name("elif")) break;
    }
    if (stream_.skip_name("else")) {
      end_tag();
      made->otherwise = statements({"endif"});
    }
    stream_.next();
    end_tag();
    return made;
  }

  void refuse_loop_variable(const Expression& target) const {
    if (target.name == "loop") stream_.fail("cannot assign to \"loop\" in a loop");
    for (const ExpressionPtr& part : target.parts) refuse_loop_variable(*part);
  }

  std::unique_ptr<Statement> loop() {
    auto made = make(StatementKind::loop);
    stream_.next();
    made->target = expressions_.target(false);
    refuse_loop_variable(*made->target);
    if (!stream_.skip_name("in")) stream_.fail("expected \"in\"");
    made->expression = expressions_.tuple_or_expression(false);
    if (stream_.skip_name("if")) made->condition = expressions_.expression();
    made->recursive = stream_.skip_name("recursive");
    end_tag();
    ++loops_;
    made->body = statements({"else", "endfor"});
    --loops_;
    if (stream_.skip_name("else")) {
      end_tag();
      made->otherwise = statements({"endfor"});
    }
    stream_.next();
    end_tag();
    return made;
  }

  std::unique_ptr<Statement> assign() {
    auto made = make(StatementKind::assign);
    stream_.next();
    made->target = expressions_.target(true);
    if (stream_.skip_op("=")) {
      made->expression = expressions_.tuple_or_expression(true);
      end_tag();
      return made;
    }
    made->kind = StatementKind::assign_block;
    if (stream_.is_op("|")) made->expression = expressions_.filters(nullptr);
    made->body = body_until("endset");
    return made;
  }

  void parameters(Callback& callback) {
    stream_.expect_op("(");
    while (!stream_.is_op(")")) {
      Parameter parameter;
      parameter.name = stream_.expect_name();
      if (stream_.skip_op("=")) {
        parameter.fallback = expressions_.expression();
      } else if (!callback.parameters.empty() && callback.parameters.back().fallback != nullptr) {
        stream_.fail(cat("parameter \"", parameter.name, "\" has no default, and one before it has"));
      }
      callback.parameters.push_back(std::move(parameter));
      if (!stream_.skip_op(",")) break;
    }
    stream_.expect_op(")");
  }

  /// The body of a macro, with what it uses of its surroundings.
  void callback_body(Callback& callback, std::string_view end) {
    const ExpressionParser::Uses outside = expressions_.uses;
    const int loops = std::exchange(loops_, 0);
    expressions_.uses = {};
    callback.body = body_until(end);
    callback.uses_caller = expressions_.uses.caller;
    callback.uses_varargs = expressions_.uses.varargs;
    callback.uses_kwargs = expressions_.uses.kwargs;
    // Jinja counts what macros within use, too.
    expressions_.uses = {.caller = outside.caller || callback.uses_caller,
                         .varargs = outside.varargs || callback.uses_varargs,
                         .kwargs = outside.kwargs || callback.uses_kwargs};
    loops_ = loops;
  }

  std::unique_ptr<Statement> macro() {
    auto made = make(StatementKind::macro);
    stream_.next();
    made->callback = std::make_unique<Callback>();
    made->callback->name = stream_.expect_name();
    parameters(*made->callback);
    callback_body(*made->callback, "endmacro");
    return made;
  }

  std::unique_ptr<Statement> call() {
    auto made = make(StatementKind::call);
    stream_.next();
    made->callback = std::make_unique<Callback>();
    if (stream_.is_op("(")) parameters(*made->callback);
    made->expression = expressions_.expression();
    if (made->expression->kind != ExpressionKind::call) stream_.fail("expected a call");
    callback_body(*made->callback, "endcall");
    return made;
  }

  std::unique_ptr<Statement> filter() {
    auto made = make(StatementKind::filter);
    stream_.next();
    made->expression = expressions_.filter_chain();
    made->body = body_until("endfilter");
    return made;
  }

  std::unique_ptr<Statement> with() {
    auto made = make(StatementKind::with);
    stream_.next();
    while (stream_.now().type != TokenType::block_end) {
      if (!made->assignments.empty()) stream_.expect_op(",");
      ExpressionPtr target = expressions_.target(false);
      stream_.expect_op("=");
      made->assignments.emplace_back(std::move(target), expressions_.expression());
    }
    made->body = body_until("endwith");
    return made;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
  int nesting_ = 0;
  int loops_ = 0;
};

}  // namespace

Body parse(std::string_view source) {
  Body body = Parser(source).run();
  check_names(body);
  return body;
}

}  // namespace corbel::jinja
