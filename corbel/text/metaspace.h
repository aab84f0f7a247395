#pragma once
#include <string>

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// When the mark of a space is put in front of a piece without one.
enum class PrependScheme { always, first, never };

/// Settings of "Metaspace" as pre-tokenizer and as decoder: spaces are spelled by a visible character.
struct Metaspace {
  std::string replacement;  // the character's bytes
  PrependScheme prepend = PrependScheme::always;
  bool split = true;  // every mark begins a piece

  /// Fields replacement, prepend_scheme, split; the older add_prefix_space is checked against prepend_scheme.
  static Result<Metaspace> read(const JsonFields& fields);
};

}  // namespace corbel
