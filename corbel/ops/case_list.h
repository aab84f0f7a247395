#pragma once
#include <set>
#include <utility>

#include "corbel/ops/op.h"

namespace corbel {

/// The cases without those whose name, and with it spec and inputs, came before: models share sizes.
template <typename Op>
std::vector<OpCase<Op>> without_repeats(std::vector<OpCase<Op>> cases) {
  std::set<std::string> seen;
  std::vector<OpCase<Op>> kept;
  for (OpCase<Op>& one : cases)
    if (seen.insert(one.name).second) kept.push_back(std::move(one));
  return kept;
}

}  // namespace corbel
