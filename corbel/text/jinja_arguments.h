#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_value.h"

namespace corbel::jinja {

/// The arguments of one call, bound to parameter names as Python does. Raises for missing, unknown and too many.
class Arguments {
 public:
  Arguments(std::string_view function, const CallArgs& args, std::initializer_list<std::string_view> names,
            std::size_t required = 0)
      : function_(function), values_(names.size(), nullptr) {
    if (args.positional.size() > names.size()) {
      raise(cat(function, "() takes at most ", names.size(), " arguments, found ", args.positional.size()));
    }
    for (std::size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
    for (const auto& [name, value] : args.named) {
      std::size_t i = 0;
      while (i < names.size() && *(names.begin() + i) != name) ++i;
      if (i == names.size()) raise(cat(function, "() has no parameter '", name, "'"));
      if (values_[i] != nullptr) raise(cat(function, "() has two values for '", name, "'"));
      values_[i] = &value;
    }
    for (std::size_t i = 0; i < required; ++i) {
      if (values_[i] == nullptr) raise(cat(function, "() needs the argument '", *(names.begin() + i), "'"));
    }
  }

  /// Null when it was not given.
  const Value* get(std::size_t i) const { return values_[i]; }
  const Value& operator[](std::size_t i) const { return *values_[i]; }
  /// Null when it was not given or is None.
  const Value* given(std::size_t i) const {
    return values_[i] == nullptr || values_[i]->is_none() ? nullptr : values_[i];
  }

  std::int64_t integer(std::size_t i, std::int64_t fallback) const {
    if (values_[i] == nullptr) return fallback;
    const auto value = values_[i]->to_integer();
    if (!value) raise(cat(function_, "() needs a whole number, found '", type_name(*values_[i]), "'"));
    return *value;
  }
  bool truth(std::size_t i, bool fallback) const { return values_[i] == nullptr ? fallback : is_true(*values_[i]); }
  std::string text(std::size_t i, std::string fallback) const {
    if (values_[i] == nullptr) return fallback;
    if (!values_[i]->is_text()) raise(cat(function_, "() needs a string, found '", type_name(*values_[i]), "'"));
    return values_[i]->text();
  }

 private:
  std::string_view function_;
  std::vector<const Value*> values_;
};

}  // namespace corbel::jinja
