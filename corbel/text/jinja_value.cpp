#include "corbel/text/jinja_value.h"

#include <algorithm>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_text.h"

namespace corbel::jinja {
namespace {

constexpr int kMaxValueDepth = 200;

/// Python compares whole and real numbers exactly; long double holds both.
long double exact(const Value& number) {
  const auto integer = number.to_integer();
  return integer ? static_cast<long double>(*integer) : static_cast<long double>(number.to_real());
}

int depth_of(const Value& value) {
  if (const auto* list = value.as<ListPtr>()) return (*list)->depth;
  if (const auto* dict = value.as<DictPtr>()) return (*dict)->depth;
  return 0;
}

int checked_depth(int inner) {
  if (inner >= kMaxValueDepth) raise(cat("values are nested deeper than ", kMaxValueDepth));
  return inner + 1;
}

std::int64_t checked_weight(std::int64_t weight) {
  constexpr std::int64_t kMaxValueWeight = 8 << 20;
  if (weight > kMaxValueWeight) raise("a value is too big: its parts come to more than 8 million");
  return weight;
}

bool equal_lists(const List& a, const List& b) {
  if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!equal(a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  return std::all_of(a.items.begin(), a.items.end(), [&](const auto& item) {
    const Value* other = b.find(item.first);
    return other != nullptr && equal(item.second, *other);
  });
}

}  // namespace

void raise(std::string message) { throw RenderError{std::move(message)}; }

Value Object::attribute(std::string_view name) const {
  return Value::undefined(cat("'", describe(), "' has no attribute '", name, "'"));
}

Value Object::call(Interpreter&, CallArgs&) { raise(cat(describe(), " is not callable")); }

Value Value::undefined(std::string what) {
  return Value(State(Undefined{std::make_shared<const std::string>(std::move(what))}));
}

Value Value::text(std::string bytes, bool safe) {
  return Value(State(Text{std::make_shared<const std::string>(std::move(bytes)), safe}));
}

Value Value::list(std::vector<Value> items, ListKind kind) {
  int depth = 0;
  std::int64_t weight = 1;
  for (const Value& item : items) {
    depth = std::max(depth, depth_of(item));
    weight = checked_weight(weight + weight_of(item));
  }
  auto list = std::make_shared<List>();
  list->weight = weight;
  list->kind = kind;
  list->depth = checked_depth(depth);
  list->items = std::move(items);
  return Value(State(std::move(list)));
}

Value Value::dict(Dict dict) {
  int depth = 0;
  dict.weight = 1;
  for (const auto& [key, value] : dict.items) {
    depth = std::max({depth, depth_of(key), depth_of(value)});
    dict.weight = checked_weight(dict.weight + weight_of(key) + weight_of(value));
  }
  dict.depth = checked_depth(depth);
  return Value(State(std::make_shared<Dict>(std::move(dict))));
}

std::int64_t weight_of(const Value& value) {
  if (value.is_text()) return 1 + static_cast<std::int64_t>(value.text().size() / 32);
  if (const auto* list = value.as<ListPtr>()) return (*list)->weight;
  if (const auto* dict = value.as<DictPtr>()) return (*dict)->weight;
  return 1;
}

const std::string& Value::text() const { return *as<Text>()->bytes; }

std::optional<std::int64_t> Value::to_integer() const {
  if (const auto* value = as<std::int64_t>()) return *value;
  if (const auto* value = as<bool>()) return *value ? 1 : 0;
  return std::nullopt;
}

double Value::to_real() const {
  if (const auto* value = as<double>()) return *value;
  return static_cast<double>(to_integer().value_or(0));
}

const Value* Dict::find(const Value& key) const {
  if (key.is_text()) return find(key.text());
  for (const auto& [known, value] : items) {
    if (equal(known, key)) return &value;
  }
  return nullptr;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [known, value] : items) {
    if (known.is_text() && known.text() == key) return &value;
  }
  return nullptr;
}

void Dict::set(Value key, Value value) {
  if (const Value* known = find(key)) {
    *const_cast<Value*>(known) = std::move(value);  // NOLINT(cppcoreguidelines-pro-type-const-cast): this is not const
    return;
  }
  items.emplace_back(std::move(key), std::move(value));
}

Value Namespace::attribute(std::string_view name) const {
  for (const auto& [known, value] : attributes_) {
    if (known == name) return value;
  }
  return Value::undefined(cat("the namespace has no attribute '", name, "'"));
}

void Namespace::set(std::string_view name, Value value) {
  if (name.starts_with('_')) raise(cat("a namespace cannot hold '", name, "': names begin with a letter"));
  for (auto& [known, old] : attributes_) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  attributes_.emplace_back(name, std::move(value));
}

std::string type_name(const Value& value) {
  switch (value.state().index()) {
    case 0: return "Undefined";
    case 1: return "NoneType";
    case 2: return "bool";
    case 3: return "int";
    case 4: return "float";
    case 5: return "str";
    case 7: return "dict";
    case 8: return (*value.as<ObjectPtr>())->describe();
    default: break;
  }
  switch ((*value.as<ListPtr>())->kind) {
    case ListKind::list: return "list";
    case ListKind::tuple: return "tuple";
    case ListKind::range: return "range";
    case ListKind::keys: return "dict_keys";
    case ListKind::values: return "dict_values";
    case ListKind::items: return "dict_items";
    case ListKind::generator: return "generator";
  }
  return "list";
}

void require_hashable(const Value& value) {
  const auto* list = value.as<ListPtr>();
  const bool tuple = list != nullptr && (*list)->kind == ListKind::tuple;
  if (tuple) {
    for (const Value& item : (*list)->items) require_hashable(item);
  }
  const bool hashless =
      list != nullptr && (*list)->kind != ListKind::range && (*list)->kind != ListKind::generator && !tuple;
  if (hashless || value.as<DictPtr>() != nullptr) raise(cat("unhashable type: '", type_name(value), "'"));
}

bool is_true(const Value& value) {
  if (const auto* boolean = value.as<bool>()) return *boolean;
  if (value.is_number()) return value.to_real() != 0;
  if (value.is_text()) return !value.text().empty();
  if (const auto* list = value.as<ListPtr>()) return (*list)->kind == ListKind::generator || !(*list)->items.empty();
  if (const auto* dict = value.as<DictPtr>()) return !(*dict)->items.empty();
  return value.as<ObjectPtr>() != nullptr;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    return exact(a) == exact(b);
  }
  if (a.state().index() != b.state().index()) return false;
  if (a.is_text()) return a.text() == b.text();
  if (const auto* list = a.as<ListPtr>()) return *list == *b.as<ListPtr>() || equal_lists(**list, **b.as<ListPtr>());
  if (const auto* dict = a.as<DictPtr>()) return *dict == *b.as<DictPtr>() || equal_dicts(**dict, **b.as<DictPtr>());
  if (const auto* object = a.as<ObjectPtr>()) return *object == *b.as<ObjectPtr>();
  return true;  // none, undefined
}

bool less(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    return exact(a) < exact(b);
  }
  if (a.is_text() && b.is_text()) return a.text() < b.text();  // UTF-8 sorts as code points do
  const auto* left = a.as<ListPtr>();
  const auto* right = b.as<ListPtr>();
  const auto ordered = [](const ListPtr& list) {
    return list->kind == ListKind::list || list->kind == ListKind::tuple;
  };
  if (left != nullptr && right != nullptr && ordered(*left) && (*left)->kind == (*right)->kind) {
    const auto& x = (*left)->items;
    const auto& y = (*right)->items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(x[i], y[i])) return less(x[i], y[i]);
    }
    return x.size() < y.size();
  }
  raise(cat("'<' is not supported between '", type_name(a), "' and '", type_name(b), "'"));
}

std::vector<Value> iterate(const Value& value) {
  if (value.is_undefined()) return {};
  if (const auto* list = value.as<ListPtr>()) {
    if ((*list)->kind == ListKind::generator) {
      if ((*list)->consumed) return {};
      (*list)->consumed = true;
    }
    return (*list)->items;
  }
  std::vector<Value> items;
  if (const auto* dict = value.as<DictPtr>()) {
    for (const auto& [key, held] : (*dict)->items) items.push_back(key);
    return items;
  }
  if (value.is_text()) {
    for (std::string& c : characters(value.text())) items.push_back(Value::text(std::move(c)));
    return items;
  }
  raise(cat("'", type_name(value), "' is not iterable"));
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is_text() || value.as<ListPtr>() != nullptr || value.as<DictPtr>() != nullptr;
}

std::optional<std::int64_t> length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_text()) return static_cast<std::int64_t>(count_characters(value.text()));
  if (const auto* dict = value.as<DictPtr>()) return static_cast<std::int64_t>((*dict)->items.size());
  if (const auto* list = value.as<ListPtr>(); list != nullptr && (*list)->kind != ListKind::generator) {
    return static_cast<std::int64_t>((*list)->items.size());
  }
  return std::nullopt;
}

bool contains(const Value& container, const Value& item) {
  if (container.is_text()) {
    if (!item.is_text()) raise(cat("'in <string>' needs a string on the left, found '", type_name(item), "'"));
    return container.text().find(item.text()) != std::string::npos;
  }
  if (const auto* dict = container.as<DictPtr>()) {
    require_hashable(item);
    return (*dict)->find(item) != nullptr;
  }
  if (!is_iterable(container)) raise(cat("'", type_name(container), "' is not iterable"));
  const std::vector<Value> items = iterate(container);
  return std::any_of(items.begin(), items.end(), [&](const Value& held) { return equal(held, item); });
}

}  // namespace corbel::jinja
