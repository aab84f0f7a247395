#pragma once
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_ast.h"
#include "corbel/text/jinja_value.h"

namespace corbel::jinja {

/// What an operation costs that goes through a string character by character, in bytes of work for a byte.
inline constexpr std::size_t kWalksCharacters = 16;

/// A template is untrusted code: it may not take more than this.
struct Budget {
  std::int64_t steps = 4'000'000;        // statements, expressions and items touched: about a second
  std::int64_t output_bytes = 64 << 20;  // of the prompt, and of any one text on the way to it
  std::int64_t work_bytes = 512 << 20;   // of all strings and lists ever made or walked through
  int depth = 1000;                      // of calls and expressions in each other
};

/// Variables of one region of a template. Names point into the template or into the caller's variables.
struct Scope {
  std::vector<std::pair<std::string_view, Value>> variables;
  std::shared_ptr<Scope> parent;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

/// One rendering of one template. Throws RenderError.
class Interpreter {
 public:
  /// `now`: the clock that strftime_now reads.
  Interpreter(const Budget& budget, const std::tm& now) : budget_(budget), now_(now) {}
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  ~Interpreter();

  std::string render(const Body& body, std::shared_ptr<Scope> variables);

  Value evaluate(const Expression& expression);
  Value call(const Value& callee, CallArgs& args);
  /// Runs a macro's body: parameters bound to args, `caller` among the named ones.
  Value run_callback(const Callback& callback, const std::shared_ptr<Scope>& defined_in, CallArgs& args);
  /// The text of one more level of a recursive loop.
  Value run_loop(const Statement& statement, const Value& items, int depth);

  Value apply_filter(std::string_view name, const Value& input, CallArgs& args);
  bool apply_test(std::string_view name, const Value& input, CallArgs& args);

  /// object.name and object[index], with Jinja's fallbacks from one to the other.
  Value attribute_of(const Value& object, std::string_view name);
  Value item_of(const Value& object, const Value& index);

  void step(std::int64_t count = 1);
  void charge(std::size_t bytes);  // for work about to be done
  /// For a text of `size` bytes that is about to grow by `more`.
  void grow(std::size_t size, std::size_t more);
  std::string shown(const Value& value);  // its text, paid for
  Value make_text(std::string bytes, bool safe = false);
  Value make_list(std::vector<Value> items, ListKind kind = ListKind::list);
  Value make_range(const RangeBounds& bounds);
  ObjectPtr make_namespace();
  const std::tm& now() const { return now_; }

  /// Place of the last tag or expression begun, for messages.
  int line() const { return line_; }
  int column() const { return column_; }

 private:
  enum class Flow { next, leave_loop, next_round };
  class Deeper;

  Flow run(const Body& body);
  Flow run(const Statement& statement);
  Flow run_branch(const Statement& statement);
  Flow run_with(const Statement& statement);
  void loop_over(const Statement& statement, const Value& items, int depth);
  Flow run_scope(const Body& body);
  Flow run_assign_block(const Statement& statement);
  Flow run_filter_block(const Statement& statement);
  void run_call(const Statement& statement);
  void assign(const Expression& target, Value value);
  void bind_parameters(const Callback& callback, CallArgs& args);
  std::string capture(const Body& body, Flow* flow = nullptr);
  void print(std::string_view text);
  void print_text(const Value& value);  // of a block: refuses what is no string
  Value make_macro(const Callback& callback);

  Value evaluate_name(const Expression& expression);
  Value evaluate_parts(const Expression& expression);
  Value evaluate_comparison(const Expression& expression);
  Value evaluate_concat(const Expression& expression);
  Value evaluate_item(const Expression& expression);
  Value evaluate_call(const Expression& expression);
  Value evaluate_filter(const Expression& expression);
  Value evaluate_test(const Expression& expression);
  Value slice_of(const Value& object, const Expression& slice);
  void evaluate_arguments(const Expression& expression, CallArgs& args);
  void at(int line, int column) {
    line_ = line;
    column_ = column;
  }

  Budget budget_;
  std::tm now_;
  std::shared_ptr<Scope> scope_;
  std::string output_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;  // emptied at the end: they may hold each other
  const Value* block_text_ = nullptr;                   // the input of a filter without one
  std::int64_t printed_ = 0;
  int depth_ = 0;
  int line_ = 0;
  int column_ = 0;
};

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

/// The functions that every template sees: range, namespace, dict, raise_exception, strftime_now.
void add_globals(Scope& scope);

// Operators of Python, by their spelling in templates.
Value binary(Interpreter& interpreter, std::string_view op, const Value& left, const Value& right);
bool compare(std::string_view op, const Value& left, const Value& right);
/// text % values.
Value format_percent(Interpreter& interpreter, const Value& format, const Value& values);
/// text.format(args).
Value format_braces(Interpreter& interpreter, const Value& format, const CallArgs& args);

/// Python's dict.fromkeys(keys, value = None); `self` is not looked at.
Value dict_from_keys(Interpreter& interpreter, const Value& self, CallArgs& args);

/// The method or attribute `name` of a string, list, dict or number; undefined where there is none. Methods that
/// would change the value refuse when they are called.
Value method_of(const Value& object, std::string_view name);

}  // namespace corbel::jinja
