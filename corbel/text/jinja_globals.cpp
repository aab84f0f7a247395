#include <ctime>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_interpreter.h"

namespace corbel::jinja {
namespace {

using Function = Value (*)(Interpreter& interpreter, CallArgs& args);

class GlobalFunction final : public Object {
 public:
  GlobalFunction(std::string_view name, Function function) : name_(name), function_(function) {}
  Value call(Interpreter& interpreter, CallArgs& args) override { return function_(interpreter, args); }
  std::string describe() const override { return cat("<function ", name_, ">"); }

 private:
  std::string_view name_;
  Function function_;
};

constexpr std::int64_t kMaxRange = 100000;  // that of Jinja's sandbox

Value range(Interpreter& interpreter, CallArgs& args) {
  if (!args.named.empty()) raise("range() takes no named arguments");
  const Arguments bound("range", args, {"start", "stop", "step"}, 1);
  const bool alone = bound.get(1) == nullptr;
  return interpreter.make_range(
      {.start = alone ? 0 : bound.integer(0, 0), .stop = bound.integer(alone ? 0 : 1, 0), .step = bound.integer(2, 1)});
}

Value make_dict(Interpreter& interpreter, CallArgs& args) {
  Dict dict;
  if (args.positional.size() > 1) raise(cat("dict() takes at most 1 argument, found ", args.positional.size()));
  const auto set = [&](const Value& key, const Value& value) {
    require_hashable(key);
    interpreter.step(static_cast<std::int64_t>(dict.items.size() / 8) + 1);
    dict.set(key, value);
  };
  for (const Value& source : args.positional) {
    if (source.is_undefined()) continue;
    if (const auto* other = source.as<DictPtr>()) {
      for (const auto& [key, value] : (*other)->items) set(key, value);
      continue;
    }
    for (const Value& pair : iterate(source)) {
      const std::vector<Value> both = iterate(pair);
      if (both.size() != 2) raise("dict() needs pairs");
      set(both[0], both[1]);
    }
  }
  for (auto& [name, value] : args.named) set(Value::text(name), value);
  return Value::dict(std::move(dict));
}

/// The global `dict`, which has one method.
class DictType final : public Object {
 public:
  Value call(Interpreter& interpreter, CallArgs& args) override { return make_dict(interpreter, args); }
  Value attribute(std::string_view name) const override {
    return name == "fromkeys" ? Value::object(std::make_shared<GlobalFunction>("fromkeys", from_keys))
                              : Object::attribute(name);
  }
  std::string describe() const override { return "<function dict>"; }

 private:
  static Value from_keys(Interpreter& interpreter, CallArgs& args) { return dict_from_keys(interpreter, {}, args); }
};

/// cycler(a, b): next() gives one after the other, current is what comes.
class Cycler final : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {}
  Value attribute(std::string_view name) const override {
    if (name == "current") return items_[at_];
    if (name == "items") return Value::list(items_, ListKind::tuple);
    if (name != "next" && name != "reset") return Object::attribute(name);
    auto self = std::const_pointer_cast<Cycler>(shared_from_this());
    return Value::object(std::make_shared<Step>(std::move(self), name == "next"));
  }
  bool callable() const override { return false; }
  std::string describe() const override { return "<Cycler>"; }

 private:
  class Step final : public Object {
   public:
    Step(std::shared_ptr<Cycler> cycler, bool advances) : cycler_(std::move(cycler)), advances_(advances) {}
    Value call(Interpreter&, CallArgs& args) override {
      const Arguments none("a cycler's method", args, {});
      Value now = advances_ ? cycler_->items_[cycler_->at_] : Value::none();
      cycler_->at_ = advances_ ? (cycler_->at_ + 1) % cycler_->items_.size() : 0;
      return now;
    }
    std::string describe() const override { return "<method of cycler>"; }

   private:
    std::shared_ptr<Cycler> cycler_;
    bool advances_;
  };

  std::vector<Value> items_;
  std::size_t at_ = 0;
};

Value make_cycler(Interpreter&, CallArgs& args) {
  if (args.positional.empty() || !args.named.empty()) raise("cycler() needs at least one item");
  return Value::object(std::make_shared<Cycler>(args.positional));
}

/// joiner(text): nothing at its first call, the text at the others.
class Joiner final : public Object {
 public:
  explicit Joiner(std::string text) : text_(std::move(text)) {}
  Value call(Interpreter& interpreter, CallArgs& args) override {
    const Arguments none("a joiner", args, {});
    return interpreter.make_text(std::exchange(used_, true) ? text_ : "");
  }
  Value attribute(std::string_view name) const override {
    if (name == "sep") return Value::text(text_);
    return name == "used" ? Value::boolean(used_) : Object::attribute(name);
  }
  std::string describe() const override { return "<Joiner>"; }

 private:
  std::string text_;
  bool used_ = false;
};

Value make_joiner(Interpreter&, CallArgs& args) {
  return Value::object(std::make_shared<Joiner>(Arguments("joiner", args, {"sep"}).text(0, ", ")));
}

Value lipsum(Interpreter&, CallArgs&) {
  raise("lipsum() gives other text each time and is refused: a prompt is always the same");
}

Value make_namespace(Interpreter& interpreter, CallArgs& args) {
  Value made = Value::object(interpreter.make_namespace());
  auto& space = static_cast<Namespace&>(**made.as<ObjectPtr>());
  CallArgs copy = args;
  const Value start = make_dict(interpreter, copy);
  for (const auto& [key, value] : (*start.as<DictPtr>())->items) {
    if (!key.is_text()) continue;  // nothing can ask for it
    space.set(key.text(), value);
  }
  return made;
}

Value raise_exception(Interpreter&, CallArgs& args) {
  raise(to_text(Arguments("raise_exception", args, {"message"}, 1)[0]));
}

/// As of Python's naive datetime: no zone (%Z and %z print nothing), no fraction of a second (%f).
Value strftime_now(Interpreter& interpreter, CallArgs& args) {
  const std::string format = Arguments("strftime_now", args, {"format"}, 1).text(0, "");
  if (format.size() > 1000) raise("strftime_now() needs a format of at most 1000 bytes");
  std::string known;
  for (std::size_t at = 0; at < format.size(); ++at) {
    const char next = format[at] == '%' && at + 1 < format.size() ? format[at + 1] : '\0';
    if (next == 'f') known += "000000";
    if (next != 'f' && next != 'Z' && next != 'z') known += format[at];
    if (next == '%') known += '%';
    if (next == 'f' || next == 'Z' || next == 'z' || next == '%') ++at;
  }
  if (known.empty()) return Value::text("");
  std::string buffer(known.size() * 64 + 64, '\0');
  buffer.resize(std::strftime(buffer.data(), buffer.size(), known.c_str(), &interpreter.now()));
  return interpreter.make_text(std::move(buffer));
}

struct Entry {
  std::string_view name;
  Function function;
};
constexpr Entry kGlobals[] = {{"range", range},
                              {"namespace", make_namespace},
                              {"raise_exception", raise_exception},
                              {"strftime_now", strftime_now},
                              {"cycler", make_cycler},
                              {"joiner", make_joiner},
                              {"lipsum", lipsum}};

}  // namespace

Value Interpreter::make_range(const RangeBounds& bounds) {
  const auto& [start, stop, step] = bounds;
  if (step == 0) raise("range() needs a step other than 0");
  constexpr std::int64_t kFar = 1LL << 60;
  if (start < -kFar || start > kFar || stop < -kFar || stop > kFar || step < -kFar || step > kFar)
    raise("range() is too big");
  const std::int64_t distance = step > 0 ? stop - start : start - stop;
  const std::int64_t count = distance <= 0 ? 0 : (distance - 1) / (step > 0 ? step : -step) + 1;
  if (count > kMaxRange) raise(cat("range() has ", count, " items; the limit is ", kMaxRange));
  this->step(count);
  std::vector<Value> items;
  items.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) items.push_back(Value::integer(start + i * step));
  Value made = make_list(std::move(items), ListKind::range);
  (*made.as<ListPtr>())->range = bounds;
  return made;
}

Value dict_from_keys(Interpreter& interpreter, const Value&, CallArgs& args) {
  const Arguments bound("fromkeys", args, {"iterable", "value"}, 1);
  Dict dict;
  for (const Value& key : iterate(bound[0])) {
    require_hashable(key);
    interpreter.step(static_cast<std::int64_t>(dict.items.size() / 8) + 1);
    dict.set(key, bound.get(1) != nullptr ? bound[1] : Value::none());
  }
  return Value::dict(std::move(dict));
}

void add_globals(Scope& scope) {
  scope.set("dict", Value::object(std::make_shared<DictType>()));
  for (const Entry& entry : kGlobals) {
    scope.set(entry.name, Value::object(std::make_shared<GlobalFunction>(entry.name, entry.function)));
  }
}

}  // namespace corbel::jinja
