#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// Values of the template language, with Python's semantics: that is what template authors test against. For the
/// sources of this folder only; what fails throws RenderError, which ChatTemplate catches.
namespace corbel::jinja {

/// A template failed: its own refusal, or something that Python would have raised.
struct RenderError {
  std::string message;
};
[[noreturn]] void raise(std::string message);

class Value;
class Interpreter;
struct CallArgs;

/// What a lookup without a result gives. Prints as nothing, is false, has no items; any other use is an error.
struct Undefined {
  std::shared_ptr<const std::string> what;  // why, for messages; may be null
};
struct None {};

/// A string. `safe`: marked as HTML by |safe, so that strings joined to it are escaped (as markupsafe does).
struct Text {
  std::shared_ptr<const std::string> bytes;
  bool safe = false;
};

/// Python's several kinds of sequence; they print, compare and count as true in different ways.
enum class ListKind { list, tuple, range, keys, values, items, generator };

/// What range() was called with.
struct RangeBounds {
  std::int64_t start = 0;
  std::int64_t stop = 0;
  std::int64_t step = 1;
};

struct List {
  ListKind kind = ListKind::list;
  bool group = false;  // of |groupby: its two items have names, grouper and list
  RangeBounds range;   // of a range; its items are here, too
  std::vector<Value> items;
  int depth = 1;            // levels of containers; bounded, so that recursion over values is
  std::int64_t weight = 1;  // see weight_of
  bool consumed = false;    // a generator gives its items once
};

/// Keeps insertion order. Immutable once a template can see it.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  int depth = 1;
  std::int64_t weight = 1;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  /// Replaces or appends.
  void set(Value key, Value value);
};

/// Everything else that a template can hold: methods, functions, macros, loops, namespaces.
class Object {
 public:
  virtual ~Object() = default;
  virtual Value attribute(std::string_view name) const;
  virtual Value call(Interpreter& interpreter, CallArgs& args);
  virtual bool callable() const { return true; }
  virtual std::string describe() const = 0;
};

using ListPtr = std::shared_ptr<List>;
using DictPtr = std::shared_ptr<Dict>;
using ObjectPtr = std::shared_ptr<Object>;

class Value {
 public:
  using State = std::variant<Undefined, None, bool, std::int64_t, double, Text, ListPtr, DictPtr, ObjectPtr>;

  Value() = default;                                // undefined
  Value(State state) : state_(std::move(state)) {}  // NOLINT(google-explicit-constructor)

  static Value undefined(std::string what);
  static Value none() { return Value(State(None{})); }
  static Value boolean(bool value) { return Value(State(value)); }
  static Value integer(std::int64_t value) { return Value(State(value)); }
  static Value real(double value) { return Value(State(value)); }
  static Value text(std::string bytes, bool safe = false);
  /// Refuses nesting beyond the limit.
  static Value list(std::vector<Value> items, ListKind kind = ListKind::list);
  static Value dict(Dict dict);
  static Value object(ObjectPtr object) { return Value(State(std::move(object))); }

  const State& state() const noexcept { return state_; }
  template <typename T>
  const T* as() const noexcept {
    return std::get_if<T>(&state_);
  }

  bool is_undefined() const noexcept { return as<Undefined>() != nullptr; }
  bool is_none() const noexcept { return as<None>() != nullptr; }
  bool is_text() const noexcept { return as<Text>() != nullptr; }
  bool is_number() const noexcept { return state_.index() >= 2 && state_.index() <= 4; }  // booleans count
  const std::string& text() const;                                                        // REQUIRES is_text()
  bool safe() const noexcept { return is_text() && as<Text>()->safe; }
  std::optional<std::int64_t> to_integer() const;  // integers and booleans
  double to_real() const;                          // REQUIRES is_number()

 private:
  State state_;
};

struct CallArgs {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Attributes that {% set x.y = ... %} may change.
class Namespace final : public Object {
 public:
  Value attribute(std::string_view name) const override;
  bool callable() const override { return false; }
  std::string describe() const override { return "<Namespace>"; }
  void set(std::string_view name, Value value);
  void clear() { attributes_.clear(); }

 private:
  std::vector<std::pair<std::string, Value>> attributes_;
};

/// What it costs to walk through a value: one for each value in it, however often, and one for each 32 bytes of text.
/// Bounded, as values may share their parts: a list of twice the same list, 100 times over, is small in memory only.
std::int64_t weight_of(const Value& value);

/// Python's name of a value's type: "str", "int", "NoneType", ...
std::string type_name(const Value& value);

/// As a key of a dict; raises for lists and dicts.
void require_hashable(const Value& value);

bool is_true(const Value& value);
bool equal(const Value& a, const Value& b);
/// Python's a < b. Raises for values without an order.
bool less(const Value& a, const Value& b);

/// Python's str() and repr().
std::string to_text(const Value& value);
std::string to_repr(const Value& value);
std::string real_repr(double value);

/// The items that a for loop would see. Raises for values that have none; a generator gives them once.
std::vector<Value> iterate(const Value& value);
/// The same without raising: nothing where there are no items to see.
bool is_iterable(const Value& value);
/// Python's len(); nothing where there is none.
std::optional<std::int64_t> length(const Value& value);
bool contains(const Value& container, const Value& item);

std::string escape_html(std::string_view text);

}  // namespace corbel::jinja
