#include <algorithm>
#include <cmath>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_filters.h"
#include "corbel/text/jinja_text.h"

namespace corbel::jinja {
namespace {

/// item.a.b as Jinja's attribute arguments spell it: parts between dots, digits are indices.
class AttributePath {
 public:
  explicit AttributePath(const Value* attribute) {
    if (attribute == nullptr || attribute->is_none()) return;
    if (!attribute->is_text()) {
      parts_.push_back(*attribute);
      return;
    }
    const std::string& text = attribute->text();
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t stop = std::min(text.find('.', at), text.size());
      const std::string part = text.substr(at, stop - at);
      const bool digits =
          !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
      parts_.push_back(digits ? Value::integer(std::stoi(part)) : Value::text(part));
      at = stop + 1;
    }
  }

  Value of(Interpreter& interpreter, const Value& item, const Value* fallback = nullptr) const {
    Value value = item;
    for (const Value& part : parts_) {
      value = interpreter.item_of(value, part);
      if (fallback != nullptr && !fallback->is_none() && value.is_undefined()) value = *fallback;
    }
    return value;
  }

 private:
  std::vector<Value> parts_;
};

Value folded(const Value& value, bool case_sensitive) {
  return value.is_text() && !case_sensitive ? Value::text(to_lower(value.text())) : value;
}

/// Sorts stably by keys; counts every comparison.
void sort_by(Interpreter& interpreter, std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    interpreter.step(1 + weight_of(a.first) / 16);
    return reverse ? less(b.first, a.first) : less(a.first, b.first);
  });
}

Value seconds(Interpreter& interpreter, std::vector<std::pair<Value, Value>> keyed) {
  std::vector<Value> items;
  for (auto& [key, item] : keyed) items.push_back(std::move(item));
  return interpreter.make_list(std::move(items));
}

Value length_filter(Interpreter&, const Value& input, CallArgs&) {
  const auto count = length(input);
  if (!count) raise(cat("a '", type_name(input), "' has no length"));
  return Value::integer(*count);
}

Value join(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("join", args, {"d", "attribute"});
  const std::string between = bound.get(0) != nullptr ? to_text(bound[0]) : "";
  const AttributePath path(bound.get(1));
  std::string out;
  bool first = true;
  for (const Value& item : iterate(input)) {
    if (!first) out += between;
    first = false;
    const std::string shown = interpreter.shown(path.of(interpreter, item));
    interpreter.grow(out.size(), shown.size() + between.size());
    out += shown;
  }
  return interpreter.make_text(std::move(out));
}

Value first(Interpreter&, const Value& input, CallArgs&) {
  const std::vector<Value> items = iterate(input);
  return items.empty() ? Value::undefined("no first item, the sequence was empty") : items.front();
}

Value last(Interpreter&, const Value& input, CallArgs&) {
  if (const auto* list = input.as<ListPtr>(); list != nullptr && (*list)->kind == ListKind::generator) {
    raise("'generator' object is not reversible");
  }
  const std::vector<Value> items = iterate(input);
  return items.empty() ? Value::undefined("no last item, the sequence was empty") : items.back();
}

Value list(Interpreter& interpreter, const Value& input, CallArgs&) { return interpreter.make_list(iterate(input)); }

Value items(Interpreter& interpreter, const Value& input, CallArgs&) {
  std::vector<Value> pairs;
  if (!input.is_undefined()) {
    const auto* dict = input.as<DictPtr>();
    if (dict == nullptr) raise(cat("items() needs a mapping, found '", type_name(input), "'"));
    for (const auto& [key, value] : (*dict)->items) pairs.push_back(Value::list({key, value}, ListKind::tuple));
  }
  return interpreter.make_list(std::move(pairs), ListKind::generator);
}

Value dictsort(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.text(1, "key");
  if (by != "key" && by != "value") raise("dictsort() sorts by \"key\" or \"value\"");
  const auto* dict = input.as<DictPtr>();
  if (dict == nullptr) raise(cat("dictsort() needs a mapping, found '", type_name(input), "'"));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : (*dict)->items) {
    keyed.emplace_back(folded(by == "key" ? key : value, bound.truth(0, false)),
                       Value::list({key, value}, ListKind::tuple));
  }
  sort_by(interpreter, keyed, bound.truth(2, false));
  return seconds(interpreter, std::move(keyed));
}

Value sort(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("sort", args, {"reverse", "case_sensitive", "attribute"});
  std::vector<AttributePath> paths;
  if (bound.get(2) != nullptr && bound[2].is_text()) {
    const std::string& names = bound[2].text();
    for (std::size_t at = 0; at <= names.size();) {
      const std::size_t stop = std::min(names.find(',', at), names.size());
      const Value name = Value::text(names.substr(at, stop - at));
      paths.emplace_back(&name);
      at = stop + 1;
    }
  } else {
    paths.emplace_back(bound.get(2));
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : iterate(input)) {
    std::vector<Value> keys;
    for (const AttributePath& path : paths) {
      keys.push_back(folded(path.of(interpreter, item), bound.truth(1, false)));
    }
    keyed.emplace_back(interpreter.make_list(std::move(keys)), item);
  }
  sort_by(interpreter, keyed, bound.truth(0, false));
  return seconds(interpreter, std::move(keyed));
}

Value unique(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("unique", args, {"case_sensitive", "attribute"});
  const AttributePath path(bound.get(1));
  std::vector<Value> seen;
  std::vector<Value> kept;
  for (const Value& item : iterate(input)) {
    const Value key = folded(path.of(interpreter, item), bound.truth(0, false));
    require_hashable(key);
    interpreter.step(static_cast<std::int64_t>(seen.size()) * (1 + weight_of(key) / 16) + 1);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& known) { return equal(known, key); })) continue;
    seen.push_back(key);
    kept.push_back(item);
  }
  return interpreter.make_list(std::move(kept), ListKind::generator);
}

Value reverse(Interpreter& interpreter, const Value& input, CallArgs&) {
  if (input.is_text()) {
    std::string out;
    const std::vector<std::string> all = characters(input.text());
    for (auto c = all.rbegin(); c != all.rend(); ++c) out += *c;
    return interpreter.make_text(std::move(out), input.safe());
  }
  const auto* list = input.as<ListPtr>();
  const bool generator = list != nullptr && (*list)->kind == ListKind::generator;
  std::vector<Value> turned = iterate(input);
  std::reverse(turned.begin(), turned.end());
  return interpreter.make_list(std::move(turned), generator ? ListKind::list : ListKind::generator);
}

// map, select and their relatives give nothing for whatever is false, None among it.
Value map(Interpreter& interpreter, const Value& input, CallArgs& args) {
  std::vector<Value> mapped;
  if (!is_true(input)) return interpreter.make_list({}, ListKind::generator);
  if (args.positional.empty()) {
    const Arguments bound("map", args, {"attribute", "default"}, 1);
    const AttributePath path(&bound[0]);
    for (const Value& item : iterate(input)) mapped.push_back(path.of(interpreter, item, bound.get(1)));
    return interpreter.make_list(std::move(mapped), ListKind::generator);
  }
  const std::string name = to_text(args.positional[0]);
  args.positional.erase(args.positional.begin());
  for (const Value& item : iterate(input)) {
    interpreter.step();
    CallArgs same = args;
    mapped.push_back(interpreter.apply_filter(name, item, same));
  }
  return interpreter.make_list(std::move(mapped), ListKind::generator);
}

/// select, reject and their forms for attributes.
template <bool kKeeps, bool kAttribute>
Value choose(Interpreter& interpreter, const Value& input, CallArgs& args) {
  if (!is_true(input)) return interpreter.make_list({}, ListKind::generator);
  AttributePath path(nullptr);
  if (kAttribute) {
    if (args.positional.empty()) raise("selectattr() and rejectattr() need an attribute's name");
    path = AttributePath(args.positional.data());
    args.positional.erase(args.positional.begin());
  }
  std::optional<std::string> test;
  if (!args.positional.empty()) {
    test = to_text(args.positional[0]);
    args.positional.erase(args.positional.begin());
  }
  std::vector<Value> kept;
  for (const Value& item : iterate(input)) {
    interpreter.step();
    const Value value = path.of(interpreter, item);
    CallArgs same = args;
    if ((test ? interpreter.apply_test(*test, value, same) : is_true(value)) == kKeeps) kept.push_back(item);
  }
  return interpreter.make_list(std::move(kept), ListKind::generator);
}

Value sum(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("sum", args, {"attribute", "start"});
  const AttributePath path(bound.get(0));
  Value total = bound.get(1) != nullptr ? bound[1] : Value::integer(0);
  if (total.is_text()) raise("sum() cannot sum strings; use join");
  for (const Value& item : iterate(input)) total = binary(interpreter, "+", total, path.of(interpreter, item));
  return total;
}

template <bool kLargest>
Value extreme(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("min/max", args, {"case_sensitive", "attribute"});
  const AttributePath path(bound.get(1));
  Value best = Value::undefined("no item, the sequence was empty");
  Value best_key;
  bool any = false;
  for (const Value& item : iterate(input)) {
    Value key = folded(path.of(interpreter, item), bound.truth(0, false));
    if (!any || (kLargest ? less(best_key, key) : less(key, best_key))) {
      best = item;
      best_key = std::move(key);
    }
    any = true;
  }
  return best;
}

Value groupby(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const AttributePath path(&bound[0]);
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : iterate(input)) {
    keyed.emplace_back(folded(path.of(interpreter, item, bound.get(1)), bound.truth(2, false)), item);
  }
  sort_by(interpreter, keyed, false);
  std::vector<Value> groups;
  for (std::size_t i = 0; i < keyed.size();) {
    std::vector<Value> members;
    const std::size_t begin = i;
    for (; i < keyed.size() && equal(keyed[i].first, keyed[begin].first); ++i) members.push_back(keyed[i].second);
    Value key = path.of(interpreter, members.front(), bound.get(1));
    groups.push_back(Value::list({std::move(key), interpreter.make_list(std::move(members))}, ListKind::tuple));
    (*groups.back().as<ListPtr>())->group = true;
  }
  return interpreter.make_list(std::move(groups));
}

Value batch(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("batch", args, {"linecount", "fill_with"}, 1);
  const std::int64_t size = bound.integer(0, 1);
  if (size < 1 || size > 100000) raise("batch() needs a count between 1 and 100000");
  std::vector<Value> rows;
  std::vector<Value> row;
  const auto end_row = [&] {
    rows.push_back(interpreter.make_list(std::move(row)));
    row.clear();
  };
  for (const Value& item : iterate(input)) {
    if (static_cast<std::int64_t>(row.size()) == size) end_row();
    row.push_back(item);
  }
  if (!row.empty()) {
    while (bound.given(1) != nullptr && static_cast<std::int64_t>(row.size()) < size) row.push_back(bound[1]);
    end_row();
  }
  return interpreter.make_list(std::move(rows), ListKind::generator);
}

Value slice(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("slice", args, {"slices", "fill_with"}, 1);
  const std::int64_t slices = bound.integer(0, 1);
  if (slices < 1 || slices > 100000) raise("slice() needs a count between 1 and 100000");
  const std::vector<Value> all = iterate(input);
  const auto size = static_cast<std::int64_t>(all.size());
  std::vector<Value> columns;
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < slices; ++i) {
    const std::int64_t count = size / slices + (i < size % slices ? 1 : 0);
    std::vector<Value> column(all.begin() + at, all.begin() + at + count);
    at += count;
    if (bound.given(1) != nullptr && i >= size % slices) column.push_back(bound[1]);
    columns.push_back(interpreter.make_list(std::move(column)));
  }
  return interpreter.make_list(std::move(columns), ListKind::generator);
}

Value attr(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("attr", args, {"name"}, 1);
  const std::string name = to_text(bound[0]);
  if (input.is_undefined() || input.as<ObjectPtr>() != nullptr) return interpreter.attribute_of(input, name);
  return method_of(input, name);
}

constexpr Filter kListFilters[] = {
    {"length", length_filter},
    {"count", length_filter},
    {"join", join},
    {"first", first, kWalksCharacters},
    {"last", last, kWalksCharacters},
    {"list", list, kWalksCharacters},
    {"items", items},
    {"dictsort", dictsort},
    {"sort", sort, kWalksCharacters},
    {"unique", unique, kWalksCharacters},
    {"reverse", reverse, kWalksCharacters},
    {"map", map, kWalksCharacters},
    {"select", choose<true, false>, kWalksCharacters},
    {"reject", choose<false, false>, kWalksCharacters},
    {"selectattr", choose<true, true>},
    {"rejectattr", choose<false, true>},
    {"sum", sum},
    {"min", extreme<false>},
    {"max", extreme<true>},
    {"groupby", groupby},
    {"batch", batch},
    {"slice", slice},
    {"attr", attr},
};

}  // namespace

std::span<const Filter> list_filters() { return kListFilters; }

}  // namespace corbel::jinja
