#include "corbel/text/jinja_methods.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_text.h"

namespace corbel::jinja {
namespace {

class BoundMethod final : public Object {
 public:
  BoundMethod(Value self, const MethodEntry& entry) : self_(std::move(self)), entry_(entry) {}
  Value call(Interpreter& interpreter, CallArgs& args) override {
    if (self_.is_text()) interpreter.charge(self_.text().size() * entry_.cost);
    return entry_.function(interpreter, self_, args);
  }
  std::string describe() const override { return cat("<method ", entry_.name, ">"); }

 private:
  Value self_;
  const MethodEntry& entry_;
};

Value get(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments bound("get", args, {"key", "default"}, 1);
  if (const Value* found = (*self.as<DictPtr>())->find(bound[0])) return *found;
  return bound.get(1) != nullptr ? bound[1] : Value::none();
}

template <ListKind kKind>
Value view(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments none("items", args, {});
  std::vector<Value> out;
  for (const auto& [key, value] : (*self.as<DictPtr>())->items) {
    if (kKind == ListKind::keys) {
      out.push_back(key);
    } else if (kKind == ListKind::values) {
      out.push_back(value);
    } else {
      out.push_back(Value::list({key, value}, ListKind::tuple));
    }
  }
  return interpreter.make_list(std::move(out), kKind);
}

Value copy(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments none("copy", args, {});
  return self;
}

Value refused(Interpreter&, const Value&, CallArgs&) { raise("a template may not change a value"); }

constexpr MethodEntry kDictMethods[] = {
    {"get", get},
    {"items", view<ListKind::items>},
    {"keys", view<ListKind::keys>},
    {"values", view<ListKind::values>},
    {"copy", copy},
    {"fromkeys", dict_from_keys},
    {"update", refused},
    {"pop", refused},
    {"popitem", refused},
    {"clear", refused},
    {"setdefault", refused},
};

Value list_index(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("index", args, {"value", "start", "stop"}, 1);
  const auto& all = (*self.as<ListPtr>())->items;
  const auto size = static_cast<std::int64_t>(all.size());
  const auto place = [&](std::size_t i, std::int64_t fallback) {
    const std::int64_t given = bound.integer(i, fallback);
    return std::clamp<std::int64_t>(given < 0 ? given + size : given, 0, size);
  };
  interpreter.step(size);
  for (std::int64_t at = place(1, 0), end = place(2, size); at < end; ++at) {
    if (equal(all[static_cast<std::size_t>(at)], bound[0])) return Value::integer(at);
  }
  raise(cat(to_repr(bound[0]), " is not in the list"));
}

Value list_count(Interpreter& interpreter, const Value& self, CallArgs& args) {
  const Arguments bound("count", args, {"value"}, 1);
  const auto& all = (*self.as<ListPtr>())->items;
  interpreter.step(static_cast<std::int64_t>(all.size()));
  return Value::integer(
      std::count_if(all.begin(), all.end(), [&](const Value& item) { return equal(item, bound[0]); }));
}

constexpr MethodEntry kListMethods[] = {
    {"index", list_index}, {"count", list_count}, {"copy", copy},     {"append", refused},
    {"extend", refused},   {"insert", refused},   {"pop", refused},   {"remove", refused},
    {"sort", refused},     {"reverse", refused},  {"clear", refused},
};
constexpr MethodEntry kTupleMethods[] = {{"index", list_index}, {"count", list_count}};

Value bit_length(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments none("bit_length", args, {});
  const std::int64_t value = *self.to_integer();
  return Value::integer(
      std::bit_width(value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value)));
}

Value is_integer(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments none("is_integer", args, {});
  return Value::boolean(std::isfinite(self.to_real()) && std::trunc(self.to_real()) == self.to_real());
}

constexpr MethodEntry kIntegerMethods[] = {{"bit_length", bit_length}, {"conjugate", copy}};
constexpr MethodEntry kRealMethods[] = {{"is_integer", is_integer}, {"conjugate", copy}};

/// Attributes of numbers and ranges that are no methods; undefined where there is none.
Value data_attribute(const Value& object, std::string_view name) {
  if (const auto integer = object.to_integer()) {
    if (name == "real" || name == "numerator") return Value::integer(*integer);
    if (name == "imag") return Value::integer(0);
    if (name == "denominator") return Value::integer(1);
  } else if (object.is_number()) {
    if (name == "real") return object;
    if (name == "imag") return Value::real(0);
  } else if (const auto* list = object.as<ListPtr>(); list != nullptr && (*list)->kind == ListKind::range) {
    if (name == "start") return Value::integer((*list)->range.start);
    if (name == "stop") return Value::integer((*list)->range.stop);
    if (name == "step") return Value::integer((*list)->range.step);
  } else if (list != nullptr && (*list)->group) {
    if (name == "grouper") return (*list)->items[0];
    if (name == "list") return (*list)->items[1];
  }
  return {};
}

}  // namespace

Value method_of(const Value& object, std::string_view name) {
  std::span<const MethodEntry> table;
  if (object.is_text()) table = text_methods();
  if (object.as<DictPtr>() != nullptr) table = kDictMethods;
  if (const auto* list = object.as<ListPtr>()) {
    if ((*list)->kind == ListKind::list) table = kListMethods;
    if ((*list)->kind == ListKind::tuple || (*list)->kind == ListKind::range) table = kTupleMethods;
  }
  if (object.to_integer()) table = kIntegerMethods;
  if (object.as<double>() != nullptr) table = kRealMethods;
  const std::span<const MethodEntry> more = object.is_text() ? character_methods() : std::span<const MethodEntry>();
  for (const std::span<const MethodEntry> entries : {table, more}) {
    for (const MethodEntry& entry : entries) {
      if (entry.name == name) return Value::object(std::make_shared<BoundMethod>(object, entry));
    }
  }
  return data_attribute(object, name);
}

}  // namespace corbel::jinja
