#pragma once
#include <vector>

#include "corbel/base/json.h"
#include "corbel/engine/constraint.h"

namespace corbel {

/// What a constraint was compiled from: enough to compile it again.
struct ConstraintSource {
  GrammarSource grammar;
  ConstraintOptions options;
  std::vector<std::int32_t> end_ids;  // of the ConstraintCompiler
};

/// An object that reads back as the same source.
Json constraint_json(const ConstraintSource& source);
/// Refused: fields and kinds that are not known, wrong types. What the grammar itself refuses is found by compiling.
Result<ConstraintSource> read_constraint(const JsonFields& fields);

}  // namespace corbel
