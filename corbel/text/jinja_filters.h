#pragma once
#include <span>
#include <string_view>

#include "corbel/text/jinja_interpreter.h"

namespace corbel::jinja {

using FilterFunction = Value (*)(Interpreter& interpreter, const Value& input, CallArgs& args);

struct Filter {
  std::string_view name;
  FilterFunction function;
  std::size_t cost = 1;  // bytes of work for a byte of a string
};

/// The filters of jinja_filters.cpp, jinja_list_filters.cpp, jinja_number_filters.cpp, ...
std::span<const Filter> text_filters();
std::span<const Filter> list_filters();
std::span<const Filter> number_filters();
std::span<const Filter> layout_filters();  // widths and lines
std::span<const Filter> markup_filters();  // HTML and URLs

bool test_exists(std::string_view name);
/// Null where there is none.
const Filter* find_filter(std::string_view name);

}  // namespace corbel::jinja
