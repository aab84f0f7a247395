#pragma once
#include <span>
#include <string_view>

#include "corbel/text/jinja_interpreter.h"

namespace corbel::jinja {

using FilterFunction = Value (*)(Interpreter& interpreter, const Value& input, CallArgs& args);

struct Filter {
  std::string_view name;
  FilterFunction function;
};

/// The filters of jinja_filters.cpp (texts, numbers) and of jinja_list_filters.cpp.
std::span<const Filter> text_filters();
std::span<const Filter> list_filters();

/// Null where there is none.
FilterFunction find_filter(std::string_view name);

}  // namespace corbel::jinja
