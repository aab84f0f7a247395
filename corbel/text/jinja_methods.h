#pragma once
#include <span>
#include <string_view>

#include "corbel/text/jinja_interpreter.h"

namespace corbel::jinja {

using MethodFunction = Value (*)(Interpreter& interpreter, const Value& self, CallArgs& args);

struct MethodEntry {
  std::string_view name;
  MethodFunction function;
  std::size_t cost = 1;  // bytes of work for a byte of a string
};

/// The methods of Python's str that the sandbox allows.
std::span<const MethodEntry> text_methods();
/// Those that ask what kind of characters a string has.
std::span<const MethodEntry> character_methods();

}  // namespace corbel::jinja
