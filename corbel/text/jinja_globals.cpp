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
  const Arguments bound("range", args, {"start", "stop", "step"}, 1);
  const bool alone = bound.get(1) == nullptr;
  const std::int64_t start = alone ? 0 : bound.integer(0, 0);
  const std::int64_t stop = bound.integer(alone ? 0 : 1, 0);
  const std::int64_t step = bound.integer(2, 1);
  if (step == 0) raise("range() needs a step other than 0");
  constexpr std::int64_t kFar = 1LL << 60;
  if (start < -kFar || start > kFar || stop < -kFar || stop > kFar || step < -kFar || step > kFar)
    raise("range() is too big");
  const std::int64_t distance = step > 0 ? stop - start : start - stop;
  const std::int64_t count = distance <= 0 ? 0 : (distance - 1) / (step > 0 ? step : -step) + 1;
  if (count > kMaxRange) raise(cat("range() has ", count, " items; the limit is ", kMaxRange));
  interpreter.step(count);
  std::vector<Value> items;
  for (std::int64_t i = 0; i < count; ++i) items.push_back(Value::integer(start + i * step));
  return interpreter.make_list(std::move(items), ListKind::range);
}

Value make_dict(Interpreter&, CallArgs& args) {
  Dict dict;
  for (const Value& source : args.positional) {
    if (const auto* other = source.as<DictPtr>()) {
      for (const auto& [key, value] : (*other)->items) dict.set(key, value);
      continue;
    }
    for (const Value& pair : iterate(source)) {
      const std::vector<Value> both = iterate(pair);
      if (both.size() != 2) raise("dict() needs pairs");
      dict.set(both[0], both[1]);
    }
  }
  for (auto& [name, value] : args.named) dict.set(Value::text(name), value);
  return Value::dict(std::move(dict));
}

Value make_namespace(Interpreter& interpreter, CallArgs& args) {
  Value made = Value::object(interpreter.make_namespace());
  auto& space = static_cast<Namespace&>(**made.as<ObjectPtr>());
  CallArgs copy = args;
  const Value start = make_dict(interpreter, copy);
  for (const auto& [key, value] : (*start.as<DictPtr>())->items) space.set(to_text(key), value);
  return made;
}

Value raise_exception(Interpreter&, CallArgs& args) {
  raise(to_text(Arguments("raise_exception", args, {"message"}, 1)[0]));
}

Value strftime_now(Interpreter& interpreter, CallArgs& args) {
  const std::string format = Arguments("strftime_now", args, {"format"}, 1).text(0, "");
  if (format.size() > 1000) raise("strftime_now() needs a format of at most 1000 bytes");
  if (format.empty()) return Value::text("");
  std::string buffer(format.size() * 64 + 64, '\0');
  buffer.resize(std::strftime(buffer.data(), buffer.size(), format.c_str(), &interpreter.now()));
  return interpreter.make_text(std::move(buffer));
}

struct Entry {
  std::string_view name;
  Function function;
};
constexpr Entry kGlobals[] = {{"range", range},
                              {"dict", make_dict},
                              {"namespace", make_namespace},
                              {"raise_exception", raise_exception},
                              {"strftime_now", strftime_now}};

}  // namespace

void add_globals(Scope& scope) {
  for (const Entry& entry : kGlobals) {
    scope.set(entry.name, Value::object(std::make_shared<GlobalFunction>(entry.name, entry.function)));
  }
}

}  // namespace corbel::jinja
